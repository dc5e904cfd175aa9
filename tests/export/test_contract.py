import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from pmsi_export.contract.schema import (
    Contract,
    InputSpec,
    ModelSummary,
    OutputSpec,
    Parity,
    PreprocessingSpec,
    parse_contract,
    seal,
    sidecar_path,
    write_labels,
    write_sidecar,
)
from pmsi_mobile.errors import PmsiError


def contract():
    return Contract(
        format="tflite",
        precision="fp32",
        minimum_runtime="LiteRT 1.0",
        model=ModelSummary(method="rmg-pmsi", backbone="mobilenet_v2", stages=3, heads="separable", width=320),
        input=InputSpec(layout="NHWC", shape=(1, 224, 224, 3)),
        output=OutputSpec(shape=(1, 2)),
        classes=("käna", "teal, green"),
        preprocessing=PreprocessingSpec(resize=256, crop=224, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)),
        mix="logits",
        checkpoint_sha256="0" * 64,
        tools={"torch": "2.14.1"},
        created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        parity=Parity(status="not measured", gate="some gate", reason="Core ML runs on macOS and iOS only"),
        metrics={"mix": {"top1": 0.652}},
    )


def test_a_sidecar_is_the_text_that_is_in_the_file(tmp_path):
    model, text = tmp_path / "bird.v2.tflite", seal(contract())
    assert write_sidecar(text, model).name == "bird.v2.tflite.json"
    assert sidecar_path(model).read_bytes() == text.encode()
    assert parse_contract(text, model).model_copy(update={"contract_sha256": ""}) == contract()


def test_labels_are_one_a_line(tmp_path):
    labels = tmp_path / "bird.labels.txt"
    write_labels(("käna", "teal, green"), labels)
    assert labels.read_text(encoding="utf-8") == "käna\nteal, green\n"


def test_the_preprocessing_of_a_contract_is_that_of_the_network():
    preprocessing = contract().preprocessing.for_network()
    assert (preprocessing.resize, preprocessing.crop, preprocessing.mean) == (256, 224, (0.5, 0.5, 0.5))


def test_an_unknown_field_is_refused():
    with pytest.raises(ValidationError):
        Contract.model_validate({**contract().model_dump(), "colour_space": "sRGB"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a model contract"),
        ("[]", "is not a model contract"),
        ("{}", "schema_version"),
        (json.dumps({"schema_version": 2, "anything": "new"}), "upgrade with pip install -U pmsi-mobile"),
        (json.dumps({"schema_version": 1}), "format: Field required"),
        ('{"schema_version": "newest"}', "schema_version: Input should be a valid integer"),
        ('{"schema_version": 1' + "0" * 4000 + "}", "schema_version: "),
        ('{"schema_version": -1}', "schema_version: "),
        ("[" * 100_000, "is not a model contract"),
    ],
)
def test_a_text_that_is_no_contract_says_why(text, message):
    with pytest.raises(PmsiError, match=message) as error:
        parse_contract(text, Path("model.onnx"))
    assert "\n" not in str(error.value)
