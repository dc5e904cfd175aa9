"""The model card beside exported files: what is known, and "not known" or "not measured" where nothing is."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pmsi_export.contract.schema import Agreement, Contract, FileConfidence, ResizeAccuracy, write_sidecar
from pmsi_export.formats.open import read_contract
from pmsi_export.formats.registry import container, format_of
from pmsi_export.jobs.job import Exported, Job, Origin, rejected_path
from pmsi_export.jobs.model_card import card_path, write_card
from pmsi_mobile.confidence.record import Answers, Unknown
from pmsi_mobile.data.splits import DataSet, Photo, save_data

FIXTURES = Path(__file__).parent / "fixtures" / "v1"
ORIGIN = Origin(
    config={"method": "rmg-pmsi", "model": {"weights": "/home/someone/secret/start.pt"}, "train": {"epochs": 16}},
    provenance={
        "created": "2026-11-24T08:17:40+00:00",
        "versions": {"torch": "2.14.1"},
        "data": {"name": "birds", "layout": "split folders", "train": 360, "val": 120, "test": 120},
    },
    trained_on=frozenset({"0" * 15 + "1", "0" * 15 + "2"}),
)


def made(job: Job, contract: Contract, origin: Origin = ORIGIN) -> Exported:
    return Exported(job.target, 1, contract, 1.0, origin)


@pytest.fixture
def job(tmp_path) -> Job:
    """Of the fixtures' .tflite, which is in a folder of its own."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "ckpt.tflite").write_bytes((FIXTURES / "ckpt.tflite").read_bytes())
    return Job(tmp_path / "run" / "ckpt.pt", "tflite", "fp32", folder, "ckpt")


def card(job: Job, contract: Contract | None = None, origin: Origin = ORIGIN) -> str:
    assert write_card(job, made(job, contract or read_contract(job.target), origin)) is None
    return card_path(job).read_text(encoding="utf-8")


def test_what_was_recorded_is_there_and_what_was_not_is_said(job):
    text = card(job)
    assert text.startswith("# ckpt\n\nrmg-pmsi on test\\_efficientnet, head mix, 6 classes, 64 x 64 pixels.\n")
    assert "Photos per class: not known" in text
    assert "- curved-whitering-3whitebars-spiky-fan\n" in text
    assert "- Photos: 360 training, 120 validation, 120 test; data set birds\n" in text
    assert "- Epochs: 16; the weights are those of epoch 13, that with the best validation accuracy\n" in text
    assert "torch 2.14.1" in text
    assert "weights: start.pt}" in text
    assert "secret" not in text
    assert "| test | 120 | mix | 95.8 % | 90.6 % to 98.2 % | 100.0 % |" in text
    assert "The epoch was chosen by the validation photos" in text
    assert "Not calibrated" in text
    assert "What a program loses that resizes otherwise than the contract says: not measured." in text
    assert re.search(r"\| `ckpt.tflite` \| fp32 \| [\d.]+ \| .* \| passed \| .*not measured \|\n", text)
    assert text.count("licence: not known") == 2
    assert "To be filled in by the owner" in text


def test_a_checkpoint_that_says_nothing_makes_a_card_of_not_known(job):
    text = card(job, read_contract(job.target).model_copy(update={"metrics": {"mix": {"top1": 0.5}}}), Origin())
    assert (
        "- Photos: not known; data set not known\n- Epochs: not known; the weights are those of epoch not known" in text
    )
    assert "Of the checkpoint: not measured." in text
    odd = Origin({"train": 3, "model": None}, {"data": [1], "versions": "x"}, frozenset())
    assert "data set not known" in card(job, origin=odd)


def test_photos_are_counted_by_the_record_of_the_same_training(job):
    classes = read_contract(job.target).classes
    root = job.checkpoint.parent / "photos"
    train = tuple(Photo(root / f"{number}.jpg", 0, digest) for number, digest in enumerate(sorted(ORIGIN.trained_on)))
    val = (Photo(root / "v.jpg", 1, "0" * 16),)
    data = DataSet(root, "class folders", classes, train, val, (), ())
    save_data(data, job.checkpoint.with_name("data.json"))
    text = card(job)
    assert f"| {classes[0]} | 2 | 0 | 0 |\n| {classes[1]} | 0 | 1 | 0 |\n| {classes[2]} | 0 | 0 | 0 |" in text
    assert "Photos per class: not known" in card(job, origin=replace(ORIGIN, trained_on=frozenset({"f" * 16})))


def test_promises_resizes_and_gates_come_from_the_contracts(job):
    contract = read_contract(job.target)
    measured = Agreement(
        images=200, max_abs_difference=0.1, top1_agreement=0.99, sqnr_db=20, confident_images=9, confident_agreement=1,
        top1=0.915, reference_top1=0.92, ece=0.034, reference_ece=0.03,
    )  # fmt: skip
    parity = contract.parity.model_copy(update={"photos": measured, "status": "failed", "reason": "SQNR <9 | dB"})
    answers = Answers(right=0.95, threshold=0.612, coverage=0.7)
    confidence = {"temperature": 2.5, "photos": 300, "answers": (answers,), "wanted": 700}
    resizes = ResizeAccuracy(photos=200, antialias=0.915, bilinear=0.9, nearest=0.8, area=0.91)
    values = contract.model_dump() | {"parity": parity, "confidence": confidence, "resizes": resizes}
    text = card(job, Contract.model_validate(values))
    too_few = "300 photos are too few for a temperature that is certain: about 700 would do"
    assert f"Calibrated on 300 photos (temperature 2.50, in the files). These {too_few}." in text
    assert (
        "- 95 % of the answers are right from a first probability of 0.612 on, which 70 % of those photos had" in text
    )
    assert "| `ckpt.tflite` | 200 | 91.5 % | 90.0 % | 80.0 % | 91.0 % |" in text
    assert "| failed: SQNR \\<9 \\| dB | 91.5 % of 200 | 0.034 | not measured |" in text


def test_what_an_unknown_score_means_is_said(job):
    contract = read_contract(job.target)
    assert "It names one of its classes for every photo." in card(job, contract)
    scoring = {"output": contract.output.model_copy(update={"unknown_score": "negative of the largest logit"})}
    assert "from where on it means none of the classes is not known" in card(job, contract.model_copy(update=scoring))
    unknown = Unknown(kept=0.95, threshold=-3.456)
    scoring["confidence"] = FileConfidence(temperature=1.5, photos=300, unknown=unknown)
    text = card(job, contract.model_copy(update=scoring))
    assert (
        "Above -3.46 a photo counts as none of the classes; 95 % of the classes' own photos or more are below." in text
    )
    assert "How many photos of something else it notices: not measured." in text


def test_every_file_of_the_checkpoint_is_listed_and_no_other(job):
    def add(source: str, target: Path, text: str | None = None) -> None:
        target.write_bytes((FIXTURES / source).read_bytes())
        write_sidecar(text or container(format_of(target)).extract(target).text, target)

    add("ckpt.onnx", job.folder / "ckpt.onnx")
    add("ckpt-int8.tflite", rejected_path(job.folder / "ckpt-int8.tflite"))
    add("ckpt.onnx", job.folder / "other.onnx")
    other = read_contract(FIXTURES / "ckpt-int8.onnx").model_copy(update={"checkpoint_sha256": "f" * 64})
    add("ckpt-int8.onnx", job.folder / "ckpt-int8.onnx", other.model_dump_json())
    files = re.findall(r"^\| `(.*?)` \|", card(job).partition("## Files")[2], re.MULTILINE)
    assert files == ["ckpt-int8.rejected.tflite", "ckpt.onnx", "ckpt.tflite"]


def test_what_the_owner_wrote_stays_and_so_does_a_file_that_is_no_card(job):
    path = card_path(job)
    text = card(job)
    begun = "<!-- owner: use -->\n"
    place = text.index(begun) + len(begun)
    path.write_text(f"{text[:place]}Not for **mushrooms**.\n\nNever.\n{text[text.index('<!-- /owner -->') :]}")
    again = card(job)
    assert f"{begun}Not for **mushrooms**.\n\nNever.\n<!-- /owner -->" in again
    assert again.count("To be filled in by the owner") == 1
    path.write_text("# My own words\n")
    assert "ckpt.md is something else, which stays" in write_card(job, made(job, read_contract(job.target)))
    assert path.read_text() == "# My own words\n"


def test_names_of_classes_are_no_markup(job):
    names = ("<b>x</b>", "a|b", "[link](x)", "`code`", "_under_", "& so\u202e")
    text = card(job, read_contract(job.target).model_copy(update={"classes": names}))
    for name in ("\\<b\\>x\\</b\\>", "a\\|b", "\\[link\\](x)", "\\`code\\`", "\\_under\\_", "\\& so\\\\u202e"):
        assert f"- {name}\n" in text


def test_an_export_leaves_one_card_of_all_its_files(exported):
    text = (exported.folder / "ckpt.md").read_text(encoding="utf-8")
    for row in exported.rows.values():
        assert f"| `{Path(str(row['file'])).name}` | fp32 |" in text
    assert "Calibrated on 300 photos" in text
    assert text.count("| passed |") + text.count("| not measured: ") >= len(exported.rows)
