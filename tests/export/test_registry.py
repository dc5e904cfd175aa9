from pathlib import Path

import pytest

from pmsi_export.formats import registry
from pmsi_export.formats.choice import choose
from pmsi_export.formats.open import load_file
from pmsi_export.formats.registry import FORMATS, PRECISIONS, format_of, get_format, refusal, require
from pmsi_export.formats.support import with_tables
from pmsi_mobile.errors import PmsiError

ROOT = Path(__file__).parents[2]


def test_a_format_is_found_by_its_suffix():
    assert {format_of(Path(f"model{known.suffix}")).name for known in FORMATS.values()} == set(FORMATS)


def test_an_unknown_format_lists_the_known_ones():
    with pytest.raises(PmsiError, match="unknown format 'ncnn': choose from tflite, onnx, torchscript"):
        get_format("ncnn")


def test_a_file_of_another_suffix_is_not_a_model():
    with pytest.raises(PmsiError, match=r"photo\.jpg is not an exported model"):
        load_file(Path("photo.jpg"))


def test_a_missing_package_says_which_extra_brings_it(monkeypatch):
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    for known in FORMATS.values():
        for needs in (known.convert_needs, known.run_needs):
            extra = r"\[[\w,]+\]"
            with pytest.raises(PmsiError, match=rf"needs {', '.join(needs)}, .*pip install 'pmsi-mobile{extra}'"):
                require(known, needs)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PmsiError, match=r"gone\.onnx does not exist"):
        load_file(tmp_path / "gone.onnx")


@pytest.mark.parametrize("name", ["tflite", "onnx", "torchscript", "executorch"])
def test_a_damaged_file_is_an_error_of_one_line(tmp_path, name):
    damaged = tmp_path / f"model{FORMATS[name].suffix}"
    damaged.write_bytes(b"not a model" * 100)
    with pytest.raises(PmsiError, match=f"cannot be read as a {name} model") as error:
        load_file(damaged, verify=False)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("page", ["README.md", "export/README.md"])
def test_the_readmes_show_what_the_registry_says(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert with_tables(text) == text, "python -m pmsi_export.formats.support README.md export/README.md"


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_a_precision_or_says_why_not(name):
    known = FORMATS[name]
    assert set(known.precisions) | set(known.refused) == set(PRECISIONS)
    assert not set(known.precisions) & set(known.refused)


def test_a_refusal_names_the_way_out():
    assert refusal(FORMATS["tflite"], "fp32") is None
    assert refusal(FORMATS["torchscript"], "int8").endswith("use --format executorch")


def test_few_bits_and_a_score_beside_the_probabilities_exclude_each_other():
    with pytest.raises(PmsiError, match=r"in palette6 with --unknown-score: .*; take fp16"):
        choose(["coreml"], ["palette6"], unknown_score=True)
    chosen, refused = choose(["coreml"], ["all"], unknown_score=True)
    assert [precision for _, precision in chosen] == ["fp32", "fp16"]
    assert any("with --unknown-score" in reason for reason in refused)
