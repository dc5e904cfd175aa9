"""Photos that show nearly the same, and what a data set says of them."""

import numpy as np
import pytest
from PIL import Image

from pmsi_mobile.data.duplicates import COPY_BITS, hash_photos, near_pairs
from pmsi_mobile.data.splits import open_data
from tests.pmsi_mobile.test_folds import picture


def test_pairs_are_those_within_the_bits_the_nearest_first():
    first, second = [0b0, 0b1111, None], [0b1, 2**64 - 1, 0b0, None]
    assert near_pairs(first, second, 3) == [(0, 2, 0), (0, 0, 1), (1, 0, 3)]
    assert near_pairs([], second) == near_pairs(first, []) == near_pairs([None], [None]) == []


def test_many_hashes_are_compared_in_parts(monkeypatch):
    monkeypatch.setattr("pmsi_mobile.data.duplicates._AT_A_TIME", 20)
    hashes = np.random.default_rng(0).integers(0, 2**63, 30).tolist()
    assert near_pairs(hashes, hashes) == [(index, index, 0) for index in range(30)]


def test_a_photo_saved_anew_and_smaller_is_nearly_the_same_and_a_blank_one_is_like_nothing(tmp_path):
    picture(1).resize((400, 300)).save(tmp_path / "a.jpg", quality=95)
    picture(1).resize((200, 150)).point(lambda value: min(255, value + 5)).save(tmp_path / "b.jpg", quality=60)
    picture(2).save(tmp_path / "c.jpg")
    for name in ("blank.png", "white.png"):
        Image.new("RGB", (64, 64), "white").save(tmp_path / name)
    paths = [tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg", "blank.png", "white.png", "none.jpg")]
    a, b, c, *others = hash_photos(paths)
    assert (a ^ b).bit_count() <= COPY_BITS < (a ^ c).bit_count()
    assert others == [None, None, None]


@pytest.fixture
def data(tmp_path):
    """Three photos of a class in each split; one test photo is a training photo that was saved anew."""
    for number, split in enumerate(("train", "val", "test")):
        for label, name in enumerate(("a", "b")):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for index in range(3):
                copied = (split, label, index) == ("test", 0, 2)
                seed = 0 if copied else 100 * number + 10 * label + index
                picture(seed).save(folder / f"{index}\x1b[31m.jpg", quality=70 if copied else 95)
    return tmp_path / "photos"


def test_held_out_photos_that_are_nearly_training_photos_are_counted_and_one_is_named(data):
    opened = open_data(data, val_fraction=0.1, test_fraction=0.1, seed=0)
    assert len(opened.test) == 6
    [note] = [note for note in opened.notes if "nearly training photos" in note]
    assert note.startswith("1 of 6 test photos are nearly training photos, which makes test figures too good: test/a/2")
    assert "test/a/2\\x1b[31m.jpg and train/a/0\\x1b[31m.jpg, for example" in note


def test_photos_that_differ_are_not_told(data):
    for label in "ab":
        (data / "test" / label / "2\x1b[31m.jpg").unlink()
    assert not open_data(data, val_fraction=0.1, test_fraction=0.1, seed=0).notes
