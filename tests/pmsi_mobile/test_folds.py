"""Folds for cross-validation: each photo is tested once, near-duplicates are never on both sides."""

import numpy as np
import pytest
from PIL import Image

from pmsi_mobile.data.folds import make_folds
from pmsi_mobile.data.splits import open_data
from pmsi_mobile.errors import PmsiError


def picture(seed: int) -> Image.Image:
    """Coarse noise: a perceptual hash tells two of them apart."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)


@pytest.fixture
def data(tmp_path):
    """Two classes of six photos; photo 5 of each is photo 4, a little brighter and saved anew."""
    for number, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        for index in range(6):
            image = picture(10 * number + min(index, 4))
            if index == 5:
                image = image.point(lambda value: min(255, value + 4))
            image.save(tmp_path / name / f"{index}.jpg", quality=70 if index == 5 else 95)
    return open_data(tmp_path, val_fraction=0.2, test_fraction=0.2, seed=0)


def test_every_photo_is_in_the_test_split_of_one_fold_and_in_the_training_split_of_the_others(data):
    folds, _ = make_folds(data, 3)
    everything = sorted((*data.train, *data.val, *data.test))
    assert sorted(photo for fold in folds for photo in fold.test) == everything
    for fold in folds:
        assert sorted((*fold.train, *fold.test)) == everything
        assert fold.val == ()
        assert {photo.label for photo in fold.test} == {photo.label for photo in fold.train} == {0, 1}


def test_near_duplicates_are_in_one_fold_and_counted(data):
    folds, repeated = make_folds(data, 2)
    assert repeated == 4
    for fold in folds:
        names = {(photo.label, photo.path.stem) for photo in fold.test}
        for label in (0, 1):
            assert ((label, "4") in names) == ((label, "5") in names)
        assert 5 <= len(fold.test) <= 7


def test_what_cannot_be_folded_is_refused(data):
    with pytest.raises(PmsiError, match="at least two"):
        make_folds(data, 1)
    with pytest.raises(PmsiError, match="class a has 5 photos"):
        make_folds(data, 6)
