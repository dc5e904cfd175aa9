"""Miniatures of the official data sets: two or three classes in the authors' own file formats."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from pmsi_mobile.data import official
from pmsi_mobile.data.official import AIRCRAFT, CARS, CUB, Counts
from pmsi_mobile.data.splits import open_data, photos_for_evaluation
from pmsi_mobile.errors import PmsiError

FRACTIONS = {"val_fraction": 0.3, "test_fraction": 0.5, "seed": 0}


def add_photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = zlib.crc32("/".join(path.parts[-2:]).encode()).to_bytes(4, "big")
    Image.new("RGB", (4, 4), tuple(colour[1:])).save(path)


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def make_cub(root: Path) -> Path:
    """Ten photos: image 1..5 of the first class, 6..10 of the second; every fifth is a test photo."""
    classes = ["001.Black_footed_Albatross", "002.Laysan_Albatross"]
    images = [f"{classes[number // 5]}/photo_{number}.jpg" for number in range(10)]
    for image in images:
        add_photo(root / "images" / image)
    write_lines(root / "classes.txt", [f"{number} {name}" for number, name in enumerate(classes, 1)])
    write_lines(root / "images.txt", [f"{number} {name}" for number, name in enumerate(images, 1)])
    write_lines(root / "image_class_labels.txt", [f"{number} {1 + (number > 5)}" for number in range(1, 11)])
    write_lines(root / "train_test_split.txt", [f"{number} {int(number % 5 > 0)}" for number in range(1, 11)])
    return root


def make_cars(root: Path) -> Path:
    """Official names are in no sorted order, nor are the annotations."""
    for split, labels in (("train", [2, 1, 2, 1, 1, 2]), ("test", [1, 2])):
        rows = np.zeros(len(labels), dtype=[("bbox_x1", "O"), ("class", "O"), ("fname", "O")])
        for row, label in enumerate(labels):
            rows[row] = (1, label, f"{row + 1:05d}.jpg")
            add_photo(root / f"cars_{split}" / f"{row + 1:05d}.jpg")
        name = "devkit/cars_train_annos.mat" if split == "train" else "cars_test_annos_withlabels.mat"
        (root / "devkit").mkdir(parents=True, exist_ok=True)
        savemat(root / name, {"annotations": rows})
    names = np.array(["Ram C/V Van 2012", "AM General Hummer SUV 2000"], dtype=object)
    savemat(root / "devkit/cars_meta.mat", {"class_names": names})
    return root


def make_aircraft(root: Path) -> Path:
    photos = {"trainval": ["1 707-320", "2 F/A-18", "3 707-320", "4 F/A-18"], "test": ["5 F/A-18", "6 707-320"]}
    for split, lines in photos.items():
        write_lines(root / "data" / f"images_variant_{split}.txt", lines)
        for line in lines:
            add_photo(root / "data" / "images" / f"{line.split()[0]}.jpg")
    write_lines(root / "data" / "variants.txt", ["707-320", "F/A-18"])
    return root


MINIATURES = [
    pytest.param(make_cub, CUB, Counts(2, 8, 2), ("001.Black_footed_Albatross", "002.Laysan_Albatross"), id="CUB"),
    pytest.param(make_cars, CARS, Counts(2, 6, 2), ("Ram C/V Van 2012", "AM General Hummer SUV 2000"), id="Cars"),
    pytest.param(make_aircraft, AIRCRAFT, Counts(2, 4, 2), ("707-320", "F/A-18"), id="Aircraft"),
]


@pytest.fixture
def miniature(monkeypatch, make, layout, counts):
    monkeypatch.setitem(official.PUBLISHED, layout, counts)
    return make


@pytest.mark.parametrize(("make", "layout", "counts", "classes"), MINIATURES)
def test_official_classes_and_splits_are_kept_and_validation_comes_from_training(
    tmp_path, miniature, layout, counts, classes
):
    data = open_data(miniature(tmp_path), **FRACTIONS)
    assert (data.layout, data.classes) == (layout, classes)
    assert len(data.test) == counts.test
    assert len(data.val) + len(data.train) == counts.train
    assert {photo.label for photo in data.test} == {0, 1}


@pytest.mark.parametrize(("make", "layout", "counts", "classes"), MINIATURES)
def test_evaluation_takes_the_official_test_split(tmp_path, miniature, layout, counts, classes):
    photos, notes = photos_for_evaluation(miniature(tmp_path), classes[::-1], "auto", **FRACTIONS)
    assert (len(photos), notes) == (counts.test, ())
    data = open_data(tmp_path, **FRACTIONS)
    assert {(photo.path, 1 - photo.label) for photo in photos} == {(photo.path, photo.label) for photo in data.test}


def test_labels_are_those_of_the_lists(tmp_path):
    cub = official.list_cub(make_cub(tmp_path / "cub"))
    assert [path.name for path in cub.splits["test"]["002.Laysan_Albatross"]] == ["photo_9.jpg"]
    cars = official.list_cars(make_cars(tmp_path / "cars"))
    assert [path.name for path in cars.splits["train"]["Ram C/V Van 2012"]] == ["00002.jpg", "00004.jpg", "00005.jpg"]
    aircraft = official.list_aircraft(make_aircraft(tmp_path / "aircraft") / "data")
    assert [path.name for path in aircraft.splits["train"]["F/A-18"]] == ["2.jpg", "4.jpg"]


def test_the_data_folder_of_aircraft_may_be_given_itself(tmp_path, monkeypatch):
    monkeypatch.setitem(official.PUBLISHED, AIRCRAFT, Counts(2, 4, 2))
    assert open_data(make_aircraft(tmp_path) / "data", **FRACTIONS).layout == AIRCRAFT


def test_cars_test_labels_may_lie_in_the_devkit(tmp_path):
    name = "cars_test_annos_withlabels.mat"
    (make_cars(tmp_path) / name).rename(tmp_path / "devkit" / name)
    assert len(official.list_cars(tmp_path).splits["test"]) == 2


@pytest.mark.parametrize(
    ("make", "found", "published"),
    [
        (make_cub, "2 classes, 8 training and 2 test", "200 classes, 5994 training and 5794 test"),
        (make_cars, "2 classes, 6 training and 2 test", "196 classes, 8144 training and 8041 test"),
        (make_aircraft, "2 classes, 4 training and 2 test", "100 classes, 6667 training and 3333 test"),
    ],
)
def test_counts_other_than_the_published_ones_are_refused(tmp_path, make, found, published):
    with pytest.raises(PmsiError, match=f"has {found} photos, but {published} photos are published"):
        open_data(make(tmp_path), **FRACTIONS)


@pytest.mark.parametrize(("make", "layout", "counts", "classes"), MINIATURES)
def test_a_missing_photo_is_refused(tmp_path, miniature, layout, counts, classes):
    miniature(tmp_path)
    next(tmp_path.rglob("*.jpg")).unlink()
    with pytest.raises(PmsiError, match=rf"1 of \d+ photos of {layout} are missing \(first: .*jpg\): unpack it again"):
        open_data(tmp_path, **FRACTIONS)


@pytest.mark.parametrize(
    ("make", "layout", "broken"),
    [
        (make_cub, CUB, "classes.txt"),
        (make_cub, CUB, "train_test_split.txt"),
        (make_cars, CARS, "cars_test_annos_withlabels.mat"),
        (make_aircraft, AIRCRAFT, "data/images_variant_test.txt"),
        (make_aircraft, AIRCRAFT, "data/variants.txt"),
    ],
)
@pytest.mark.parametrize("content", [None, "no list\n"])
def test_broken_lists_are_one_line(tmp_path, make, layout, broken, content):
    make(tmp_path)
    if content is None and broken != "train_test_split.txt":
        (tmp_path / broken).unlink()
    else:
        (tmp_path / broken).write_text(content or "")
    with pytest.raises(PmsiError, match=f"looks like {layout}, but its lists are broken") as error:
        open_data(tmp_path, **FRACTIONS)
    assert "\n" not in str(error.value)
