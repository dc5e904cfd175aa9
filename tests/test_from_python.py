"""The way in for Python programs, as the README shows it."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import pmsi_export
import pmsi_mobile
from pmsi_mobile.data.birds import write_birds
from tests.pmsi_mobile.runs import SMALL

CHECKPOINT = Path(__file__).parent / "export" / "fixtures" / "v1" / "ckpt.pt"
LIGHT = "import sys, pmsi_mobile, pmsi_export, pmsi_bench; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"


@pytest.mark.slow
def test_a_run_an_export_and_a_prediction_are_three_lines(tmp_path):
    write_birds(tmp_path / "birds", species=3, train=8, val=2, test=2, size=72, seed=0)
    photo = next((tmp_path / "birds" / "test").rglob("*.jpg"))

    checkpoint = pmsi_mobile.train(tmp_path / "birds", tmp_path / "run", settings=SMALL, device="cpu")
    model = pmsi_export.export(checkpoint, "onnx")
    ranking = pmsi_export.predict(model, photo, top=2)

    assert (checkpoint, model) == (tmp_path / "run" / "ckpt.pt", tmp_path / "run" / "ckpt.onnx")
    species = {path.name for path in (tmp_path / "birds" / "train").iterdir()}
    assert {name for name, _ in ranking} < species
    assert 1 >= ranking[0][1] >= ranking[1][1] > 0
    reference = dict(pmsi_export.predict(checkpoint, photo))
    assert ranking[0][1] == pytest.approx(reference[ranking[0][0]], abs=1e-4)
    with pytest.raises(pmsi_mobile.PmsiError, match="already holds a run"):
        pmsi_mobile.train(tmp_path / "birds", tmp_path / "run")
    with pytest.raises(pmsi_mobile.PmsiError, match="cannot be read"):
        pmsi_export.predict(model, checkpoint)


@pytest.mark.slow
def test_a_file_that_fails_its_gate_is_an_error(tmp_path):
    (tmp_path / "photos").mkdir()
    for number in range(12):
        grey = Image.effect_mandelbrot((90, 90), (-2, -1, 1, 1), 30 + number)
        grey.convert("RGB").save(tmp_path / "photos" / f"{number}.png")
    with pytest.raises(pmsi_mobile.PmsiError, match=r"ckpt-int8.rejected.onnx fails its gate: .* SQNR"):
        pmsi_export.export(CHECKPOINT, "onnx", "int8", output=tmp_path, calibration=tmp_path / "photos")
    assert (tmp_path / "ckpt-int8.rejected.onnx").is_file()
    with pytest.raises(pmsi_mobile.PmsiError, match="int8 needs photos to calibrate on"):
        pmsi_export.export(CHECKPOINT, "onnx", "int8", output=tmp_path)


@pytest.mark.parametrize("package", [pmsi_mobile, pmsi_export])
def test_the_exported_names_are_there_and_no_others(package):
    assert all(callable(getattr(package, name)) for name in package.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        package.no_such_name  # noqa: B018


def test_importing_the_packages_is_light():
    subprocess.run([sys.executable, "-c", LIGHT], check=True)
