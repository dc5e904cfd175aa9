"""The lean heads as files: three convolutions per stage, strided, on a backbone without its last convolution."""

import json

import pytest

from pmsi_export.formats.open import read_contract
from tests.export.conftest import make_checkpoint, run_command


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_a_file_of_lean_heads_gives_what_the_training_network_gives(name, tmp_path, pictures):
    checkpoint = make_checkpoint(tmp_path / "ckpt.pt", model__heads="lean", model__last_conv=False)
    result = run_command(
        "pmsi-export", checkpoint, "--format", name, "--output", tmp_path, "--data", pictures, "--json"
    )
    assert result.status == 0, result.stderr
    [row] = json.loads(result.stdout)
    contract = read_contract(tmp_path / f"ckpt.{name}")
    assert row["format"] == contract.format == name
    assert contract.model.heads == "lean"
    assert contract.parity.status == "passed"
    assert contract.parity.photos.top1_agreement == 1
