import json
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pmsi_mobile.data.splits import DataSet, load_data, open_data, photos_for_evaluation, save_data
from pmsi_mobile.errors import PmsiError

FRACTIONS = {"val_fraction": 0.2, "test_fraction": 0.2, "seed": 0}


def add_photos(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("L", (4, 4)).save(folder / f"{number}.png")
    return folder


def class_folders(root: Path, counts: dict[str, int]) -> Path:
    for name, count in counts.items():
        add_photos(root / name, count)
    return root


def split_folders(root: Path, **splits: dict[str, int]) -> Path:
    for split, counts in splits.items():
        class_folders(root / split, counts)
    return root


def files(photos: tuple) -> list[str]:
    return [f"{photo.path.parent.name}/{photo.path.name}" for photo in photos]


def per_class(data: DataSet, split: str) -> dict[str, int]:
    return dict(Counter(data.classes[photo.label] for photo in getattr(data, split)))


COUNTS = st.dictionaries(st.sampled_from(["a", "b", "Zed", "c10", "c2"]), st.integers(1, 12), min_size=2)
SHARE = st.floats(0, 0.45)


@settings(max_examples=25, deadline=None)
@given(COUNTS, SHARE, SHARE, st.integers(0, 2**32))
def test_held_out_splits_are_a_stratified_partition(counts, val_fraction, test_fraction, seed):
    with tempfile.TemporaryDirectory() as folder:
        root = class_folders(Path(folder), counts)
        options = {"val_fraction": val_fraction, "test_fraction": test_fraction, "seed": seed}
        data = open_data(root, **options)
        assert data == open_data(root, **options)

    everything = [*data.train, *data.val, *data.test]
    assert len(everything) == len(set(everything)) == sum(counts.values())
    assert all(data.classes[photo.label] == photo.path.parent.name for photo in everything)
    assert data.classes == tuple(sorted(counts))
    train, val, test = (per_class(data, split) for split in ("train", "val", "test"))
    for name, count in counts.items():
        assert train[name] >= 1
        assert val.get(name, 0) == (min(max(1, round(count * val_fraction)), count - 1) if val_fraction else 0)
        assert abs(test.get(name, 0) - count * test_fraction) <= 1


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_fraction_of_zero_holds_nothing_out(tmp_path, split):
    data = open_data(class_folders(tmp_path, {"a": 9, "b": 9}), **FRACTIONS | {f"{split}_fraction": 0})
    assert getattr(data, split) == ()
    assert len(data.train) == 14


def test_the_test_split_does_not_depend_on_the_validation_fraction_and_seeds_differ(tmp_path):
    root = class_folders(tmp_path, {"a": 12, "b": 12})
    first = open_data(root, val_fraction=0.1, test_fraction=0.25, seed=0)
    assert first.test == open_data(root, val_fraction=0.3, test_fraction=0.25, seed=0).test
    assert first.test != open_data(root, val_fraction=0.1, test_fraction=0.25, seed=1).test


def test_classes_are_in_plain_sorted_order_never_natural(tmp_path):
    root = class_folders(tmp_path, {"bird10": 1, "bird9": 1, "Zebra": 1})
    assert open_data(root, **FRACTIONS).classes == ("Zebra", "bird10", "bird9")


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_split_folders_are_taken_as_they_are(tmp_path, val):
    root = split_folders(tmp_path, train={"a": 3, "b": 2}, test={"b": 2, "a": 1}, **{val: {"b": 1}})
    data = open_data(root, **FRACTIONS)
    assert data.layout == "split folders"
    assert files(data.train) == ["a/0.png", "a/1.png", "a/2.png", "b/0.png", "b/1.png"]
    assert [data.classes[photo.label] for photo in data.val] == ["b"]
    assert per_class(data, "test") == {"a": 1, "b": 2}
    assert data.notes == ("val has no photos of 1 of 2 classes: a",)


def test_validation_is_held_out_of_train_where_its_folder_is_missing_and_test_is_not(tmp_path):
    data = open_data(split_folders(tmp_path, train={"a": 10, "b": 5}), **FRACTIONS)
    assert (per_class(data, "train"), per_class(data, "val")) == ({"a": 8, "b": 4}, {"a": 2, "b": 1})
    assert data.test == ()


def test_a_capital_train_is_a_split_and_no_class(tmp_path):
    data = open_data(split_folders(tmp_path, Train={"a": 2, "b": 2}, Test={"a": 1}), **FRACTIONS)
    assert (data.classes, len(data.test)) == (("a", "b"), 1)


def test_class_folders_are_read_with_their_sub_folders(tmp_path):
    add_photos(class_folders(tmp_path, {"a": 1, "b": 1}) / "a" / "monday" / "more", 2)
    assert len(open_data(tmp_path, val_fraction=0, test_fraction=0, seed=0).train) == 4


def test_what_is_passed_over_is_said(tmp_path):
    root = split_folders(tmp_path, train={"a": 3, "b": 3}, val={"a": 1, "b": 1}, masks={"a": 1})
    (root / "train/a/notes.txt").write_text("")
    (root / "train/a/IMG_1.HEIC").write_text("")
    (root / "train/a/x.jpg").write_bytes(b"no photo")
    add_photos(root / "train", 1)
    for clutter in (".DS_Store", "Thumbs.db", ".hidden.jpg"):
        (root / "train/a" / clutter).write_text("")
    (root / ".cache").mkdir()
    (root / "README").write_text("")
    data = open_data(root, **FRACTIONS)
    assert data.notes == (
        "ignored folder masks: not train, val or test",
        "ignored train/0.png: not in a class folder",
        "ignored train/a/IMG_1.HEIC: HEIC is not supported, convert it to JPEG",
        "ignored train/a/notes.txt: not an image file",
        "skipped train/a/x.jpg: not an image",
    )
    assert len(data.train) == 6


def test_progress_counts_every_photo(tmp_path):
    seen = []
    root = class_folders(tmp_path, {"a": 2, "b": 3})
    open_data(root, **FRACTIONS, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 5) for done in range(1, 6)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "none", "none is no folder"),
        (lambda root: root, "has no photos: put JPEG or PNG files in one folder per class"),
        (lambda root: class_folders(root, {"a": 2}), "has 1 class folders: a classifier needs at least two"),
        (lambda root: class_folders(root, {"a": 2, "b": 0}), r"class b has no photos in .*b: add"),
        (lambda root: split_folders(root, train={"a": 2, "b": 0}), r"class b has no photos in .*train.b: add"),
        (
            lambda root: split_folders(root, train={"a": 2, "b": 2}, val={"kiwi": 1}),
            "kiwi in val: no such class in the training split",
        ),
    ],
)
def test_a_folder_that_cannot_be_trained_on_is_one_line(tmp_path, make, message):
    with pytest.raises(PmsiError, match=message) as error:
        open_data(make(tmp_path), **FRACTIONS)
    assert "\n" not in str(error.value)


def test_a_class_without_a_readable_photo_is_named(tmp_path):
    root = class_folders(tmp_path, {"a": 2, "b": 1})
    (root / "b/0.png").write_bytes(b"broken")
    with pytest.raises(PmsiError, match=r"class b has no readable photo in .*b: replace"):
        open_data(root, **FRACTIONS)


CLASSES = ("pear", "apple", "kiwi")


@pytest.mark.parametrize(
    ("folder", "split", "expected"),
    [("test", "auto", 1), ("val", "auto", 2), ("val", "val", 2), ("val", "train", 6), ("test", "all", 7)],
)
def test_evaluation_takes_the_split_and_labels_by_the_checkpoints_names(tmp_path, folder, split, expected):
    root = split_folders(tmp_path, train={"apple": 3, "pear": 3}, **{folder: {"apple": 1 if folder == "test" else 2}})
    photos, notes = photos_for_evaluation(root, CLASSES, split, **FRACTIONS)
    assert len(photos) == expected
    assert all(CLASSES[photo.label] == photo.path.parent.name for photo in photos)
    assert "kiwi" in notes[-1]


def test_evaluation_on_the_training_folder_sees_the_photos_that_training_held_out(tmp_path):
    root = class_folders(tmp_path, {"apple": 10, "kiwi": 7, "pear": 3})
    data = open_data(root, **FRACTIONS)
    for split in ("train", "val", "test"):
        photos, notes = photos_for_evaluation(root, data.classes, split, **FRACTIONS)
        assert photos == getattr(data, split)
        assert notes == ()
    assert photos_for_evaluation(root, data.classes, "auto", **FRACTIONS)[0] == data.test
    assert photos_for_evaluation(root, data.classes, "all", **FRACTIONS)[0] == data.train + data.val + data.test


def test_evaluation_needs_neither_every_class_nor_two(tmp_path):
    photos, notes = photos_for_evaluation(class_folders(tmp_path, {"kiwi": 3}), CLASSES, "all", **FRACTIONS)
    assert [photo.label for photo in photos] == [2, 2, 2]
    assert notes == ("all has no photos of 2 of 3 classes: pear, apple",)


@pytest.mark.parametrize(
    ("counts", "split", "message"),
    [
        ({"plum": 1}, "all", "plum: no such class in the checkpoint"),
        ({"kiwi": 1}, "test", "no readable photos in split test"),
        ({"kiwi": 1}, "tset", "no split is called tset"),
    ],
)
def test_evaluation_says_what_is_wrong(tmp_path, counts, split, message):
    with pytest.raises(PmsiError, match=message):
        photos_for_evaluation(class_folders(tmp_path, counts), CLASSES, split, **FRACTIONS)


def test_a_recorded_data_set_comes_back_and_follows_its_folder(tmp_path):
    data = open_data(class_folders(tmp_path / "photos", {"a": 5, "ü": 5}), **FRACTIONS)
    record = tmp_path / "run" / "data.json"
    save_data(data, record)
    assert load_data(record) == data
    assert set(json.loads(record.read_text(encoding="utf-8"))["val"].values()) == {0, 1}

    moved = (tmp_path / "photos").rename(tmp_path / "moved")
    assert load_data(record, moved).test == tuple(
        replace_root(photo, tmp_path / "photos", moved) for photo in data.test
    )
    with pytest.raises(PmsiError, match="gone: give the folder the run was started with"):
        load_data(record)


def replace_root(photo, old: Path, new: Path):
    return photo._replace(path=new / photo.path.relative_to(old))


@pytest.mark.parametrize("content", [None, "", "[]", "{}"])
def test_a_broken_record_is_one_line(tmp_path, content):
    path = tmp_path / "data.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PmsiError, match="is no record of a data set"):
        load_data(path)


def test_the_grocery_photos_open_as_documented(shared):
    data = open_data(shared / "data" / "grocery", **FRACTIONS)
    assert (len(data.classes), len(data.train), len(data.val), data.test) == (81, 2640, 296, ())
    assert [note.split(":")[0] for note in data.notes] == ["val has no photos of 21 of 81 classes"]
