import json
import subprocess
import sys

import pytest
from PIL import Image

from pmsi_export.commands.predict import predict
from pmsi_export.formats.open import read_contract
from pmsi_export.formats.registry import FORMATS
from pmsi_mobile.errors import MeasurementError
from tests.export.conftest import CLASSES, make_checkpoint, run_command


@pytest.mark.parametrize("command", ["export", "predict"])
def test_help_loads_nothing_heavy(command):
    code = (
        f"import sys; from pmsi_export.commands.{command} import main; sys.argv = ['x', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'numpy', 'PIL', 'pydantic') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage:" in done.stdout
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_is_exported_with_its_contract(exported, name):
    model = exported.file(name)
    assert model == exported.folder / f"ckpt{FORMATS[name].suffix}"
    contract = read_contract(model)
    assert contract.format == name
    assert contract.classes == CLASSES
    assert contract.input.shape == ((1, 64, 64, 3) if name == "tflite" else (1, 3, 64, 64))
    assert (contract.preprocessing.resize, contract.preprocessing.crop) == (72, 64)
    assert contract.metrics == {"mix": {"top1": 0.5}}
    assert exported.rows[name]["bytes"] > 1_000_000


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_file_passed_its_gate_on_golden_samples_and_photos(exported, name):
    parity = read_contract(exported.file(name)).parity
    assert parity.status == "passed"
    assert parity.runtime == FORMATS[name].runtime_here
    assert parity.golden.images == 8
    assert parity.photos.images >= 4
    assert parity.photos.top1 == parity.photos.reference_top1


def test_an_export_leaves_models_contracts_labels_and_nothing_else(exported):
    suffixes = [known.suffix for known in FORMATS.values()]
    expected = {
        "ckpt.labels.txt",
        "ckpt.md",
        "ckpt.golden.zip",
        *(f"ckpt{s}" for s in suffixes),
        *(f"ckpt{s}.json" for s in suffixes),
    }
    assert {path.name for path in exported.folder.iterdir()} == expected
    assert (exported.folder / "ckpt.labels.txt").read_text(encoding="utf-8").splitlines() == list(CLASSES)


def test_names_of_inputs_and_outputs_are_those_of_the_contract(exported):
    import onnx
    from ai_edge_litert.interpreter import Interpreter

    signature = Interpreter(str(exported.file("tflite"))).get_signature_list()["serving_default"]
    assert signature == {"inputs": ["image"], "outputs": ["probabilities"]}
    model = onnx.load(exported.file("onnx"))
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["image", "probabilities"]
    assert (model.ir_version, model.opset_import[0].version) == (8, 18)


def test_the_core_ml_package_names_its_features_and_classes(exported):
    # As bytes: importing coremltools here would bring TensorFlow into this process.
    specification = (exported.file("coreml") / "Data/com.apple.CoreML/model.mlmodel").read_bytes()
    for text in ("image", "classLabel", "probabilities", *CLASSES):
        assert text.encode() in specification
    assert b"classLabel_probs" not in specification


def test_predictions_of_every_file_are_those_of_the_checkpoint(exported, checkpoint, pictures, capsys):
    def top_two(model):
        predict(model, [pictures], top=2, as_json=True)
        return json.loads(capsys.readouterr().out)["predictions"]

    expected = top_two(checkpoint)
    assert len(expected) == 20
    for name in FORMATS:
        for ours, theirs in zip(top_two(exported.file(name)), expected, strict=True):
            assert ours["photo"] == theirs["photo"]
            for own, other in zip(ours["top"], theirs["top"], strict=True):
                assert own["class"] == other["class"]
                assert own["probability"] == pytest.approx(other["probability"], abs=1e-4)


def test_predict_prints_a_table_from_a_file(exported, pictures):
    result = run_command("pmsi-predict", exported.file("tflite"), pictures / CLASSES[0], "--top", 1)
    assert (result.status, result.stderr) == (0, "")
    assert result.stdout.count("%") == 4


def test_an_unreadable_photo_is_named_and_the_others_go_on(checkpoint, tmp_path, capsys):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.new("RGB", (80, 70), "teal").save(good)
    bad.write_bytes(b"")
    with pytest.raises(MeasurementError, match=f"1 of 2 photos have no prediction, the first is {bad}"):
        predict(checkpoint, [bad, good], as_json=True)
    first, second = json.loads(capsys.readouterr().out)["predictions"]
    assert first == {"photo": str(bad), "error": "empty file"}
    assert sum(entry["probability"] for entry in second["top"]) == pytest.approx(1, abs=1e-5)


def test_a_file_that_disagrees_is_rejected(tmp_path):
    swapped = make_checkpoint(tmp_path / "swapped.pt", swap_golden_channels=True)
    earlier = tmp_path / "swapped.ptl"
    earlier.write_bytes(b"an earlier export")
    result = run_command("pmsi-export", swapped, "--format", "torchscript")
    assert result.status == 1
    assert "swapped.ptl (rejected: golden samples: max abs difference" in result.stderr
    assert not earlier.exists()
    assert read_contract(tmp_path / "swapped.rejected.ptl").parity.status == "failed"
    assert "next:" not in result.stdout


def test_no_verify_is_written_in_the_contract(checkpoint, tmp_path):
    result = run_command(
        "pmsi-export", checkpoint, "--format", "torchscript", "--no-verify", "--output", tmp_path, "--name", "bird"
    )
    assert result.status == 0
    assert f"next: pmsi-bench {tmp_path}/bird.ptl" in result.stdout
    parity = read_contract(tmp_path / "bird.ptl").parity
    assert (parity.status, parity.reason) == ("not measured", "--no-verify")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("pmsi-export", "gone.pt"), "checkpoint gone.pt does not exist"),
        (("pmsi-export", "gone.pt", "--format", "ncnn"), "unknown format 'ncnn'"),
        (("pmsi-export", "gone.pt", "--precision", "int3"), "unknown precision 'int3'"),
        (
            ("pmsi-export", "gone.pt", "--format", "torchscript", "--precision", "int8"),
            "torchscript cannot be written in int8: PyTorch has retired the Lite interpreter",
        ),
        (("pmsi-export", __file__, "--precision", "int8"), "int8 needs photos to calibrate on and"),
        (("pmsi-predict", "gone.tflite", __file__), "model gone.tflite does not exist"),
        (("pmsi-predict", "gone.pt", "gone.jpg"), "photo gone.jpg does not exist"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(command, message):
    result = run_command(*command)
    assert result.status == 2
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
