"""The whole way on real photos: train, evaluate, export, predict, time. Needs shared/ beside the checkout."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pmsi_export.formats.open import read_contract

CLASSES = ("Asparagus", "Avocado", "Banana", "Carrots", "Lemon")
BIN = Path(sys.executable).parent


def run(*arguments: object) -> str:
    result = subprocess.run(
        [str(BIN / str(arguments[0])), *map(str, arguments[1:])],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=500,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


@pytest.fixture(scope="module")
def photos(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for split in ("train", "val"):
        for name in CLASSES:
            shutil.copytree(shared / "data" / "grocery" / split / name, root / split / name)
    return root


def test_from_photos_to_checked_files(photos: Path, shared: Path, tmp_path: Path) -> None:
    settings = ("preprocessing.resize=110", "preprocessing.crop=96", "train.batch_size=16", "data.workers=0")
    run(
        *("pmsi-train", photos, "--output", tmp_path, "--epochs", 6),
        *("--weights", shared / "weights" / "mobilenet_v2_features.safetensors"),
        *(word for value in settings for word in ("--set", value)),
    )
    heads = json.loads(run("pmsi-eval", tmp_path / "ckpt.pt", photos, "--json"))["heads"]
    # Six epochs are a start; chance is 20 %.
    assert heads["hbp"]["top1"] > 0.5

    run("pmsi-export", "--format", "tflite", "--format", "onnx", "--data", photos, tmp_path / "ckpt.pt")
    files = [tmp_path / "ckpt.tflite", tmp_path / "ckpt.onnx"]
    for file in files:
        contract = read_contract(file)
        assert contract.classes == CLASSES
        assert contract.parity.status == "passed"
        assert contract.parity.photos is not None
        assert contract.parity.photos.top1 == pytest.approx(heads["hbp"]["top1"])

    banana = sorted((photos / "train" / "Banana").iterdir())[0]
    from_checkpoint, *from_files = (
        json.loads(run("pmsi-predict", model, banana, "--json")) for model in (tmp_path / "ckpt.pt", *files)
    )
    best = [row["class"] for row in from_checkpoint["predictions"][0]["top"]]
    for result in from_files:
        assert [row["class"] for row in result["predictions"][0]["top"]] == best

    timed = json.loads(run("pmsi-bench", *files, "--rounds", 6, "--json", "--report", tmp_path / "report.html"))
    assert [row["status"] for row in timed["files"]] == ["measured", "measured"]
    assert "ckpt.tflite" in (tmp_path / "report.html").read_text(encoding="utf-8")
