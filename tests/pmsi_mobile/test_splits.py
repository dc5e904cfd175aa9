import hashlib
import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pmsi_mobile.data.splits import DataSet, known_photos, load_data, open_data, photos_for_evaluation, save_data
from pmsi_mobile.errors import PmsiError

SPLITS = ("train", "val", "valid", "validation", "test")
FRACTIONS = {"val_fraction": 0.2, "test_fraction": 0.2, "seed": 0}


def add_photos(folder: Path, count: int) -> Path:
    """Photos that all differ, the same in every run of the tests."""
    folder.mkdir(parents=True, exist_ok=True)
    inside = folder.parent.name if folder.parent.name.lower() in SPLITS else ""
    for number in range(count):
        pixels = hashlib.sha256(f"{inside} {folder.name} {number}".encode()).digest()[:16]
        Image.frombytes("L", (4, 4), pixels).save(folder / f"{number}.png")
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
def test_held_out_splits_are_a_partition_in_which_every_class_is_trained_on(counts, val_fraction, test_fraction, seed):
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
        assert (val.get(name, 0) >= 1) == (val_fraction > 0 and count >= 2)
        assert (test.get(name, 0) >= 1) or test_fraction == 0 or train[name] == 1


@settings(max_examples=15, deadline=None)
@given(st.integers(5, 12), st.integers(1, 4), st.integers(0, 99))
def test_more_photos_move_none_from_training_to_another_split_in_small_classes(count, more, seed):
    options = {"val_fraction": 0.1, "test_fraction": 0.1, "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        root = class_folders(Path(folder), {"a": count, "b": count})
        before = open_data(root, **options)
        for name in ("a", "b"):
            add_photos(root / name / "new", more)
        after = open_data(root, **options)
    assert set(before.train) <= set(after.train)


def test_about_the_given_share_of_each_class_is_held_out(tmp_path):
    data = open_data(class_folders(tmp_path, {"a": 400, "b": 200}), val_fraction=0.1, test_fraction=0.2, seed=0)
    for name, count in (("a", 400), ("b", 200)):
        # Four standard deviations of a binomial draw.
        assert abs(per_class(data, "val")[name] - 0.1 * count) < 4 * (0.1 * 0.9 * count) ** 0.5
        assert abs(per_class(data, "test")[name] - 0.2 * count) < 4 * (0.2 * 0.8 * count) ** 0.5


def split_by_name(data: DataSet) -> dict[str, str]:
    return {name: split for split in ("train", "val", "test") for name in files(getattr(data, split))}


def test_more_photos_and_other_names_move_no_photo_to_another_split(tmp_path):
    counts = {"a": 30, "b": 30, "c": 30}
    root = class_folders(tmp_path, counts)
    before = split_by_name(open_data(root, **FRACTIONS))
    assert set(before.values()) == {"train", "val", "test"}
    for name in counts:
        add_photos(root / name / "new", 7)
    (root / "a").rename(root / "z")
    after = split_by_name(open_data(root, **FRACTIONS))
    assert {name.replace("a/", "z/"): split for name, split in before.items()}.items() <= after.items()


def test_copies_are_in_the_split_of_their_photo(tmp_path):
    root = class_folders(tmp_path, {"a": 30, "b": 30})
    for photo in list((root / "a").iterdir()):
        shutil.copy(photo, photo.with_name(f"copy of {photo.name}"))
    splits = split_by_name(open_data(root, **FRACTIONS))
    assert all(splits[f"a/copy of {number}.png"] == splits[f"a/{number}.png"] for number in range(30))


def test_copies_of_training_photos_are_in_no_other_split_on_disk(tmp_path):
    root = split_folders(tmp_path, train={"a": 3, "b": 3}, val={"a": 2}, test={"a": 2, "b": 1})
    shutil.copy(root / "train/a/0.png", root / "test/b/leak.png")
    shutil.copy(root / "train/a/1.png", root / "val/a/leak.png")
    data = open_data(root, **FRACTIONS)
    assert files(data.test) == ["a/0.png", "a/1.png", "b/0.png"]
    assert files(data.val) == ["a/0.png", "a/1.png"]
    assert "left out 1 test photos, copies of training photos: leak.png" in data.notes


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_fraction_of_zero_holds_nothing_out(tmp_path, split):
    data = open_data(class_folders(tmp_path, {"a": 9, "b": 9}), **FRACTIONS | {f"{split}_fraction": 0})
    assert getattr(data, split) == ()
    assert not any(note.startswith(f"{split} ") for note in data.notes)


def test_what_nothing_validates_is_told(tmp_path):
    data = open_data(class_folders(tmp_path, {"a": 40, "b": 40, "pear": 1}), **FRACTIONS)
    assert "1 of 3 classes have a single photo, nothing validates them: pear" in data.notes
    assert "val has no photos of 1 of 3 classes: pear" in data.notes
    few = open_data(class_folders(tmp_path / "few", {"a": 1, "b": 1}), **FRACTIONS)
    assert "val has no photos: add some, or make the folder val/ yourself" in few.notes


def test_the_test_split_does_not_depend_on_the_validation_fraction_and_seeds_differ(tmp_path):
    root = class_folders(tmp_path, {"a": 30, "b": 30})
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
    data = open_data(split_folders(tmp_path, train={"a": 30, "b": 30}), **FRACTIONS)
    assert len(data.train) + len(data.val) == 60
    assert set(per_class(data, "val")) == {"a", "b"}
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
        "ignored train/a/notes.txt: not an image file",
        "skipped train/a/IMG_1.HEIC: empty file",
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
    root = class_folders(tmp_path, {"apple": 30, "kiwi": 30, "pear": 30})
    data = open_data(root, **FRACTIONS)
    for split in ("train", "val", "test"):
        photos, notes = photos_for_evaluation(root, data.classes, split, **FRACTIONS)
        assert photos == getattr(data, split)
        assert notes == ()
    assert photos_for_evaluation(root, data.classes, "auto", **FRACTIONS)[0] == data.test
    assert photos_for_evaluation(root, data.classes, "all", **FRACTIONS)[0] == data.train + data.val + data.test


def run_on(root: Path, run: Path) -> tuple[DataSet, frozenset[str]]:
    """The data set of a run, and the digests that its checkpoint has."""
    data = open_data(root, **FRACTIONS)
    save_data(data, run / "data.json")
    return data, frozenset(photo.digest for photo in data.train)


@pytest.mark.parametrize(
    "left", ["data.json and ckpt.pt", "data.json alone", "ckpt.pt alone", "data.json of another run"]
)
@pytest.mark.parametrize("split", ["test", "val", "auto"])
def test_no_photo_that_a_run_was_trained_on_is_evaluated(tmp_path, left, split):
    root = class_folders(tmp_path / "photos", {"a": 30, "b": 30})
    data, trained_on = run_on(root, tmp_path)
    for name in ("a", "b"):
        add_photos(root / name / "new", 7)
    if left == "data.json alone":
        trained_on = frozenset()
    elif left == "ckpt.pt alone":
        (tmp_path / "data.json").unlink()
    elif left == "data.json of another run":
        run_on(class_folders(tmp_path / "other", {"a": 9, "b": 9}), tmp_path)
    known = known_photos(tmp_path / "data.json", data.classes, trained_on)
    # Another seed draws other test photos: the worst case.
    photos, notes = photos_for_evaluation(root, data.classes, split, **FRACTIONS | {"seed": 1}, known=known)
    assert photos
    assert not {photo.digest for photo in photos} & {photo.digest for photo in data.train}
    assert any("that the run was trained on" in note for note in notes)


def test_the_run_decides_which_photo_is_in_which_split(tmp_path):
    root = class_folders(tmp_path / "photos", {"a": 30, "b": 30})
    data, trained_on = run_on(root, tmp_path)
    known = known_photos(tmp_path / "data.json", data.classes, trained_on)
    for split in ("train", "val", "test"):
        found, _ = photos_for_evaluation(root, data.classes, split, **FRACTIONS | {"seed": 1}, known=known)
        assert set(found) == set(getattr(data, split))
    everything, notes = photos_for_evaluation(root, data.classes, "all", **FRACTIONS, known=known)
    assert len(everything) == 60
    assert notes == (f"{len(data.train)} of these photos were trained on: this is no test",)


def test_a_test_folder_loses_the_photos_that_were_trained_on(tmp_path):
    root = class_folders(tmp_path / "photos", {"a": 30, "b": 30})
    data, trained_on = run_on(root, tmp_path)
    fresh = split_folders(tmp_path / "fresh", test={"a": 2, "b": 2})
    copies = [shutil.copy(photo.path, fresh / "test" / "a" / f"copy {photo.path.name}") for photo in data.train[:3]]
    known = known_photos(tmp_path / "data.json", data.classes, trained_on)
    photos, notes = photos_for_evaluation(fresh, data.classes, "auto", **FRACTIONS, known=known)
    assert files(photos) == ["a/0.png", "a/1.png", "b/0.png", "b/1.png"]
    assert notes == (f"left out {len(copies)} photos of split test that the run was trained on",)


def test_nothing_but_training_photos_is_no_evaluation(tmp_path):
    root = class_folders(tmp_path / "photos", {"a": 30, "b": 30})
    data = open_data(root, **FRACTIONS)
    known = {photo.digest: "train" for photo in (*data.train, *data.val, *data.test)}
    with pytest.raises(PmsiError, match="no readable photos in split test") as error:
        photos_for_evaluation(root, data.classes, "test", **FRACTIONS, known=known)
    assert error.value.__notes__ == [f"left out {len(data.test)} photos of split test that the run was trained on"]


def test_a_record_of_an_earlier_version_is_read(tmp_path):
    data, _ = run_on(class_folders(tmp_path / "photos", {"a": 30, "b": 30}), tmp_path)
    record = tmp_path / "data.json"
    old = json.loads(record.read_text(encoding="utf-8"))
    digests = old.pop("digests")
    record.write_text(json.dumps(old), encoding="utf-8")
    assert [photo[:2] for photo in load_data(record).train] == [photo[:2] for photo in data.train]
    known = known_photos(record, data.classes, frozenset())
    assert known == {digests[name]: split for split in ("train", "val", "test") for name in old[split]}


def test_evaluation_needs_neither_every_class_nor_two(tmp_path):
    photos, notes = photos_for_evaluation(class_folders(tmp_path, {"kiwi": 3}), CLASSES, "all", **FRACTIONS)
    assert [photo.label for photo in photos] == [2, 2, 2]
    assert notes == ("all has no photos of 2 of 3 classes: pear, apple",)


@pytest.mark.parametrize(
    ("counts", "split", "message"),
    [
        ({"plum": 1}, "all", "plum: no such class in the model"),
        ({"kiwi": 1}, "test", "no readable photos in split test"),
        ({"kiwi": 1}, "tset", "no split is called tset"),
    ],
)
def test_evaluation_says_what_is_wrong(tmp_path, counts, split, message):
    with pytest.raises(PmsiError, match=message):
        photos_for_evaluation(class_folders(tmp_path, counts), CLASSES, split, **FRACTIONS)


def test_a_recorded_data_set_comes_back_and_follows_its_folder(tmp_path):
    data = open_data(class_folders(tmp_path / "photos", {"a": 30, "ü": 30}), **FRACTIONS)
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


RECORD = {
    "root": "photos",
    "layout": "class folders",
    "classes": ["a", "b"],
    "notes": [],
    "train": {"a/0.png": 0, "b/0.png": 1},
    "val": {"b/1.png": 1},
    "test": {},
    "digests": {"a/0.png": "0123456789abcdef"},
}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file"),
        ("", "Expecting value"),
        ("[]", "missing"),
        ("{}", "missing"),
        ("[" * 100_000, "recursion"),
        (b"\xff", "decode"),
        ('{"root": "photos", "digests": {}, "other": 1}', "missing"),
        ({"root": 7}, "root and layout"),
        ({"classes": "ab"}, "classes is no list"),
        ({"classes": []}, "different names"),
        ({"classes": ["a", "a"]}, "different names"),
        ({"notes": [{}]}, "notes is no list"),
        ({"train": ["a/0.png"]}, "train does not name"),
        ({"train": {"a/0.png": 2}}, "a/0.png in train has the class 2 of 2"),
        ({"val": {"b/1.png": -1}}, "the class -1 of 2"),
        ({"val": {"b/1.png": True}}, "the class True of 2"),
        ({"val": {"b/1.png": "1"}}, "the class '1' of 2"),
        ({"test": {"a/0.png": 0}}, "a/0.png in test is listed twice"),
        ({"test": {"../secret.png": 0}}, "not in the folder"),
        ({"test": {"/etc/secret.png": 0}}, "not in the folder"),
        ({"digests": []}, "missing"),
        ({"digests": {"a/0.png": "x"}}, "16 hexadecimal digits"),
    ],
)
def test_a_broken_record_is_one_line(tmp_path, content, reason):
    path = tmp_path / "data.json"
    if isinstance(content, dict):
        content = json.dumps(RECORD | content)
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(PmsiError, match=f"is no record of a data set .*{reason}") as error:
        load_data(path)
    assert "\n" not in str(error.value)


def test_a_record_that_is_larger_than_any_is_not_read(tmp_path):
    path = tmp_path / "data.json"
    with open(path, "wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(PmsiError, match="more than 1024 MB"):
        load_data(path)


def test_a_broken_record_is_no_licence_to_test_on_what_was_trained_on(tmp_path):
    data, trained_on = run_on(class_folders(tmp_path / "photos", {"a": 9, "b": 9}), tmp_path)
    record = tmp_path / "data.json"
    record.write_text("{")
    assert set(known_photos(record, data.classes, trained_on)) == trained_on
    with pytest.raises(PmsiError, match="no record of a data set"):
        known_photos(record, data.classes, frozenset())
    record.unlink()
    assert known_photos(record, data.classes, frozenset()) == {}


def test_the_grocery_photos_open_as_documented(shared):
    data = open_data(shared / "data" / "grocery", **FRACTIONS)
    assert (len(data.classes), len(data.train), len(data.val), data.test) == (81, 2640, 296, ())
    assert [note.split(":")[0] for note in data.notes] == ["val has no photos of 21 of 81 classes"]
