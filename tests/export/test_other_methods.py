"""The methods of Table V as files: what they give, and what they are refused with."""

import pytest

from pmsi_export import export
from pmsi_export.formats.open import read_contract
from pmsi_export.graph.variant import Variant, load_variant
from pmsi_export.jobs.exporter import prepare_int8
from pmsi_mobile.errors import PmsiError
from tests.export.conftest import make_checkpoint


@pytest.mark.parametrize(("method", "name"), [("bcnn", "tflite"), ("hbp", "onnx")])
def test_a_file_gives_what_the_methods_training_network_gives(method, name, tmp_path):
    checkpoint = make_checkpoint(tmp_path / "ckpt.pt", method=method)
    export(checkpoint, format=name)
    contract = read_contract(tmp_path / f"ckpt.{name}")
    assert contract.model.method == method
    assert contract.model.stages is None
    assert contract.parity.status == "passed"


@pytest.mark.parametrize("method", ["bcnn", "hbp"])
def test_int8_of_bilinear_pooling_is_refused_with_its_reason(method, tmp_path):
    checkpoint = make_checkpoint(tmp_path / "ckpt.pt", method=method)
    with pytest.raises(PmsiError, match=rf"{method} ends in a layer .* GB\): export fp32 or fp16$"):
        prepare_int8(checkpoint, Variant(), [], tmp_path / "int8.pt")


def test_a_method_with_one_classifier_has_no_concat_head(tmp_path):
    checkpoint = make_checkpoint(tmp_path / "ckpt.pt", method="pc")
    with pytest.raises(PmsiError, match="pc has one classifier"):
        load_variant(checkpoint, Variant(head="concat"))
