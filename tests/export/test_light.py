"""What happens to a file after its export imports no PyTorch: a predicting machine need not have it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pmsi_export.formats.open import read_contract
from pmsi_export.runtime.preprocess import load_image, load_resized
from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.images import load_rgb
from pmsi_mobile.data.resizes import RESIZES
from pmsi_mobile.data.transforms import eval_transform

FIXTURES = Path(__file__).parent / "fixtures" / "v1"
HEAVY = ("torch", "torchvision", "timm", "tensorflow", "onnx", "scipy", "matplotlib")


def imported(code: str, *arguments: object) -> set[str]:
    """The heavy packages that a new process has loaded after running `code`."""
    last = f"import json, sys; print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{last}", *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    Image.effect_mandelbrot((90, 70), (-2, -1, 1, 1), 50).convert("RGB").save(path)
    return path


def called(command: str) -> str:
    """A command's function with sys.argv, which ends by SystemExit."""
    module, _, name = command.partition(":")
    return f"from {module} import {name}\ntry: {name}()\nexcept SystemExit as end: assert not end.code, end.code"


@pytest.mark.parametrize("name", ["ckpt.tflite", "ckpt-int8.tflite", "ckpt.onnx", "ckpt-int8.onnx"])
def test_predicting_needs_no_pytorch(name, photo):
    assert imported(called("pmsi_export.commands.predict:main"), FIXTURES / name, photo) == set()


@pytest.mark.parametrize("name", ["ckpt.tflite", "ckpt.onnx"])
def test_evaluating_a_file_needs_no_pytorch(name, photo, tmp_path):
    folder = tmp_path / "photos" / "test" / read_contract(FIXTURES / name).classes[0]
    folder.mkdir(parents=True)
    shutil.copy(photo, folder)
    arguments = (FIXTURES / name, tmp_path / "photos", "--output", tmp_path / "eval")
    # Of pictures.
    assert imported(called("pmsi_export.commands.evaluate:main"), *arguments) == {"matplotlib"}


@pytest.mark.parametrize("name", ["ckpt.tflite", "ckpt.onnx", "ckpt.pte", "ckpt.ptl"])
def test_the_contract_is_shown_without_pytorch(name):
    assert imported(called("pmsi_export.commands.export:main"), "--info", FIXTURES / name) == set()


@pytest.mark.parametrize("name", ["ckpt.tflite", "ckpt.onnx"])
def test_golden_samples_are_checked_without_pytorch(name):
    code = (
        "import sys; from pathlib import Path\n"
        "from pmsi_export.checks.gates import agreement, judge\n"
        "from pmsi_export.contract.golden_samples import golden_of\n"
        "from pmsi_export.formats.open import load_file, read_contract\n"
        "path = Path(sys.argv[1]); contract = read_contract(path); golden = golden_of(path, contract)\n"
        "judged = judge(contract.precision, agreement(load_file(path), golden.images, golden.probabilities))\n"
        "assert judged.status == 'passed', judged"
    )
    assert imported(code, FIXTURES / name) == set()


@pytest.mark.parametrize("name", ["ckpt.tflite", "ckpt.onnx"])
def test_a_benchmarks_worker_runs_a_file_without_pytorch(name):
    code = (
        "import io, sys; from pathlib import Path\n"
        "from pmsi_bench.host import worker\n"
        "served = worker.Served(Path(sys.argv[1]), worker._exported(Path(sys.argv[1]), 1), True)\n"
        "sys.stdin = io.StringIO('run 1\\nround 1\\nquit\\n')\n"
        "worker.serve(served, 64, open('/dev/null', 'w'))"
    )
    assert imported(code, FIXTURES / name) == set()


def test_pixels_are_bit_for_bit_those_that_training_evaluates_with(photo):
    for preprocessing in (Preprocessing(resize=72, crop=64), Preprocessing(resize=73, crop=64)):
        loaded = load_rgb(photo)
        for resize in RESIZES:
            expected = eval_transform(loaded, preprocessing, resize).permute(1, 2, 0).numpy()
            assert np.array_equal(load_resized(photo, preprocessing)[resize], expected)
        trained = eval_transform(loaded, preprocessing)
        assert torch.equal(torch.from_numpy(load_image(photo, preprocessing).copy()).permute(2, 0, 1), trained)
