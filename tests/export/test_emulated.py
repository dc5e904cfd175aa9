"""LiteRT and ONNX Runtime run exported files on aarch64 and on x86 without VNNI, and their outputs pass the gates."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from pmsi_export.checks.gates import GATES, agreement
from pmsi_export.formats.open import load_file, read_contract
from tests.export.conftest import run_command
from tests.export.emulated import EMULATORS, SUFFIXES, VARIABLE, probabilities, run, runner_of, why_not

REASONS = {processor: why_not(os.environ.get(VARIABLE), processor) for processor in EMULATORS}
QEMU = Path(os.environ.get(VARIABLE, ""))
FOLDER = Path(__file__).parent / "fixtures" / "v1"
MODELS = sorted(path for path in FOLDER.iterdir() if path.suffix in SUFFIXES)
INT8 = [path for path in MODELS if "int8" in path.name]
# That of version 1 has weights up to 127, two of which overflow 16 bits.
OVERFLOWING = FOLDER / "ckpt-int8.onnx"
on_avx2 = pytest.mark.skipif(REASONS["avx2"] is not None, reason=REASONS["avx2"] or "")


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "golden.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize(
    ("processor", "model"),
    [*(("aarch64", model) for model in MODELS), *(("avx2", model) for model in INT8)],
    ids=lambda given: getattr(given, "name", given),
)
def test_outputs_on_another_processor_pass_the_gate(processor: str, model: Path, recorded: dict[str, np.ndarray]):
    if reason := REASONS[processor]:
        pytest.skip(reason)
    options = ["session.x64quantprecision=1"] if model == OVERFLOWING else []
    given = probabilities(QEMU, processor, model, recorded["images"], *options)
    precision = read_contract(model).precision
    measured = agreement(runner_of(given), recorded["images"], recorded["probabilities"])
    assert GATES[precision].misses(measured) == []
    # What x86 with VNNI gave: kernels round otherwise, a step of int8 is 1/256.
    assert np.abs(given - recorded[model.name]).max() <= (1e-4 if precision == "fp32" else 0.03)


@on_avx2
def test_weights_that_overflow_are_seen_there(recorded: dict[str, np.ndarray]):
    given = probabilities(QEMU, "avx2", OVERFLOWING, recorded["images"])
    assert np.abs(given - recorded[OVERFLOWING.name]).max() > 0.05


@on_avx2
def test_an_int8_onnx_file_gives_the_same_with_and_without_vnni(
    pictures: Path, tmp_path: Path, recorded: dict[str, np.ndarray]
):
    arguments = ["--format", "onnx", "--precision", "int8", "--calibration", pictures, "--output", tmp_path]
    done = run_command("pmsi-export", FOLDER / "ckpt.pt", *arguments, "--no-verify")
    assert done.status == 0, done.stderr
    model = tmp_path / "ckpt-int8.onnx"
    here = np.stack([load_file(model).predict(image) for image in recorded["images"]])
    assert np.abs(probabilities(QEMU, "avx2", model, recorded["images"]) - here).max() < 0.01


@pytest.mark.parametrize("name", ["ckpt.tflite", "ckpt-int8.onnx"])
def test_predict_answers_on_aarch64_as_here(name: str, pictures: Path):
    """The small install on a server or a single-board computer."""
    if reason := REASONS["aarch64"]:
        pytest.skip(reason)
    arguments = [FOLDER / name, *sorted(pictures.rglob("*.png"))[:3], "--json"]
    code = "from pmsi_export.commands.predict import main; main()"
    there = run(QEMU, "aarch64", "-c", code, *arguments)
    here = run_command("pmsi-predict", *arguments)
    assert there.returncode == here.status == 0, there.stderr
    answers = zip(*(json.loads(done.stdout)["predictions"] for done in (there, here)), strict=True)
    for given, wanted in ((given["top"][0], wanted["top"][0]) for given, wanted in answers):
        assert given["class"] == wanted["class"]
        assert given["probability"] == pytest.approx(wanted["probability"], abs=0.03)


def test_reason_says_what_to_do(tmp_path: Path):
    for processor in EMULATORS:
        assert "tests.export.emulated fetch FOLDER" in why_not(None, processor)
        assert f"fetch {tmp_path}" in why_not(str(tmp_path), processor)
