"""`pmsi-eval --report`: one page that shows what goes wrong."""

import re
from dataclasses import replace

import numpy as np
import pytest

from pmsi_export.commands.evaluate import main as evaluate
from pmsi_export.evaluation import report
from pmsi_export.evaluation.figures import figures_of
from pmsi_export.evaluation.findings import confused_pairs, mislabelled, near_training, surest_mistakes
from pmsi_export.evaluation.model import Model
from pmsi_export.evaluation.predictions import Predictions
from pmsi_export.evaluation.report import Evaluation, as_html, write_report
from pmsi_mobile.confidence.record import Answers, Confidence
from pmsi_mobile.data.splits import Photo
from tests.benchmarks.browser import needs_browser
from tests.export.devtools import chromium
from tests.export.test_evaluate import CHECKPOINT, MODEL, drawn  # noqa: F401
from tests.pmsi_mobile.runs import call
from tests.pmsi_mobile.test_folds import picture

EVIL = "<img src=x onerror=alert(1)>"
CLASSES = ("a", f"b{EVIL}", "c & d", "never\u202eseen")


def probabilities(labels: np.ndarray, wrong: dict[int, tuple[int, float]]) -> np.ndarray:
    """Right with 0.9, but for photos that are taken for another class."""
    found = np.full((len(labels), len(CLASSES)), 0.1 / (len(CLASSES) - 1))
    found[np.arange(len(labels)), labels] = 0.9
    for photo, (taken_for, sure) in wrong.items():
        found[photo] = (1 - sure) / (len(CLASSES) - 1)
        found[photo, taken_for] = sure
    return found


LABELS = np.arange(30) % 3
WRONG = {0: (1, 0.6), 1: (0, 0.99), 3: (1, 0.8), 5: (0, 0.7)}
SCORES = probabilities(LABELS, WRONG)


def test_pairs_are_counted_both_ways_and_their_mistakes_come_first():
    first, second = confused_pairs(LABELS, SCORES, most=5, photos=3)
    assert (first.classes, first.times) == ((0, 1), (2, 1))
    assert first.photos[0][:2] == (3, 0)
    assert first.photos[1][0] == 1
    assert [len(photos) for photos in first.photos] == [3, 3]
    assert (second.classes, second.times, second.photos[1][0]) == ((0, 2), (0, 1), 5)
    assert len(confused_pairs(LABELS, SCORES, most=1, photos=3)) == 1


def test_the_surest_mistakes_come_first():
    assert surest_mistakes(LABELS, SCORES, 3) == [1, 3, 5]


def test_a_wrong_label_is_found_where_a_class_has_no_photo():
    assert mislabelled(LABELS, SCORES)[0] == 1
    assert mislabelled(np.zeros(4, int), SCORES[:4]) == []
    assert mislabelled(np.array([0]), SCORES[:1]) == []


def test_a_photo_is_held_against_the_nearest_training_photo(tmp_path):
    for name, seed, quality in (("test", 1, 95), ("same", 1, 50), ("other", 2, 95), ("third", 3, 95)):
        picture(seed).save(tmp_path / f"{name}.jpg", quality=quality)
    test, same, other, third = (Photo(tmp_path / f"{name}.jpg", 0) for name in ("test", "same", "other", "third"))
    [found] = near_training([other, test], [third, same])
    assert (found.photo, found.training) == (1, same)


@pytest.fixture
def evaluation(tmp_path) -> Evaluation:
    photos = []
    for index, label in enumerate(LABELS):
        path = tmp_path / "photos" / f"{index} {EVIL.replace('/', '')}.jpg"
        path.parent.mkdir(exist_ok=True)
        picture(index).save(path)
        photos.append(Photo(path, int(label)))
    promise = Answers(right=0.9, threshold=0.95, coverage=0.1)
    confidence = {"mix": Confidence(temperature=2.0, photos=99, answers=(promise,), wanted=160)}
    model = Model(tmp_path / f"m{EVIL[:9]}.pt", "0" * 64, CLASSES, confidence, None, frozenset(), lambda *_: None)
    kinds = {"uncalibrated": SCORES**2 / (SCORES**2).sum(axis=1, keepdims=True), "calibrated": SCORES}
    predictions = Predictions({"S5": SCORES, "mix": SCORES}, {"mix": kinds})
    figures = figures_of(predictions, LABELS, model)
    where = tmp_path / "photos"
    return Evaluation(model, where, "test", "nearest", None, photos, predictions, figures, [f"a note {EVIL}"])


def test_the_page_says_what_was_found_and_escapes_what_comes_from_files(evaluation):
    page = as_html(evaluation, evaluation.photos[:1], f"pmsi-eval '{EVIL}'")
    words = re.sub(r"\s+", " ", page)
    assert "86.7 % right (95 % interval 70.3 % to 94.7 %)." in words
    assert "Here 0.0 % of the 3 % that have it are right" in words
    assert "99 photos are too few for a temperature that is certain: about 160 would do." in words
    assert "1 of 30 photos, held against 1 training photos" in words
    assert "looks like" in words
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "\u202e" not in page
    assert "1 classes have no photo here" in words
    # Nothing is loaded from anywhere.
    assert not re.search(r"""(src|href)=["'](?!data:image/jpeg|#)""", page)
    assert "url(" not in page.replace("url(#", "")


def test_pictures_are_bounded_in_number_and_size(evaluation, monkeypatch):
    for name, most in (("_PAIRS", 1), ("_PER_CLASS", 2), ("_SHOWN", 2)):
        monkeypatch.setattr(report, name, most)
    page = as_html(evaluation, evaluation.photos, "pmsi-eval")
    pictures = re.findall(r'src="(data:image/jpeg;base64,[^"]*)"', page)
    assert len(pictures) == 2 * 2 + 2 + 2 + 2
    assert max(map(len, pictures)) < 20_000


@pytest.mark.parametrize("split", ["train", "all"])
def test_what_was_trained_on_tells_neither_labels_nor_copies(evaluation, split, monkeypatch):
    monkeypatch.setattr(report, "mislabelled", lambda *_: pytest.fail("was looked for"))
    page = as_html(replace(evaluation, split=split), evaluation.photos, "pmsi-eval")
    assert page.count("Not looked for") == 2


def test_without_the_training_photos_the_page_says_so(evaluation):
    assert "Not looked for: the training photos are not at hand" in as_html(evaluation, None, "pmsi-eval")


def test_the_command_writes_the_page_of_a_file(drawn, tmp_path, monkeypatch, capsys):  # noqa: F811
    page = tmp_path / "page.html"
    assert call(evaluate, monkeypatch, MODEL, drawn, "--output", tmp_path / "eval", "--report", page) == 0
    assert f"and {page}" in capsys.readouterr().out
    text = page.read_text()
    assert "ckpt.tflite on 24 photos" in text
    assert re.search(r"held against \d+ training photos", text)
    assert "does not say what it was trained on" in text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("page.pdf", "is no page: name a file that ends in .html"),
        ("photos/page.html", "is inside"),
        ("file/page.html", "nothing can be written in"),
    ],
)
def test_a_page_that_cannot_be_is_refused_first(name, message, tmp_path, monkeypatch, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "file").touch()
    assert call(evaluate, monkeypatch, CHECKPOINT, tmp_path / "photos", "--report", tmp_path / name) == 2
    assert message in capsys.readouterr().err


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, capsys):
    (tmp_path / "photos").mkdir()
    monkeypatch.setattr(report, "find_spec", lambda name: None if name == "cleanlab" else name)
    assert call(evaluate, monkeypatch, CHECKPOINT, tmp_path / "photos", "--report", tmp_path / "page.html") == 2
    error = capsys.readouterr().err
    assert "--report needs cleanlab, which is not installed: pip install 'pmsi-mobile[report]'" in error


@needs_browser
def test_a_browser_searches_and_sorts_the_classes_and_asks_for_nothing(evaluation, tmp_path):
    write_report(tmp_path / "page.html", evaluation, None, "pmsi-eval")
    with chromium(tmp_path / "user") as new_page:
        page = new_page()
        page.open((tmp_path / "page.html").as_uri())
        visible = "[...document.querySelectorAll('#classes tbody tr')].filter(row => !row.hidden)"
        page.wait_for(f"{visible}.length === 3")
        names = f"{visible}.map(row => row.cells[0].innerText[0]).join('')"
        assert page.evaluate(names) == "abc"
        page.click("#classes th:first-child button")
        page.click("#classes th:first-child button")
        assert page.evaluate(names) == "cba"
        search = "document.getElementById('search')"
        page.evaluate(f"{search}.value = 'C & D'; {search}.dispatchEvent(new Event('input'))")
        assert page.evaluate(names) == "c"
        # Nothing goes beyond the sides of a phone.
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("[...document.images].every(image => image.src.startsWith('data:'))")
        assert page.complaints() == []
        assert all(address.startswith(("file:", "data:")) for address in page.requests())
