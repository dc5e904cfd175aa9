import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from pmsi_export.contract.schema import (
    Contract,
    InputSpec,
    ModelSummary,
    OutputSpec,
    Parity,
    PreprocessingSpec,
    read_sidecar,
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


def test_a_sidecar_reads_back_as_it_was_written(tmp_path):
    model = tmp_path / "bird.v2.tflite"
    assert write_sidecar(contract(), model).name == "bird.v2.tflite.json"
    assert read_sidecar(model) == contract()


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
    ],
)
def test_a_sidecar_that_cannot_be_used_says_why(tmp_path, text, message):
    model = tmp_path / "model.onnx"
    (tmp_path / "model.onnx.json").write_text(text)
    with pytest.raises(PmsiError, match=message):
        read_sidecar(model)


def test_a_missing_sidecar_says_where_it_should_be(tmp_path):
    with pytest.raises(PmsiError, match=r"model\.onnx\.json is missing"):
        read_sidecar(tmp_path / "model.onnx")
