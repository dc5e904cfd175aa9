"""Folders as people have them: wrappers, split folders of every name, clutter of servers, links, names of classes."""

import hashlib
import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from pmsi_mobile.data.files import is_clutter, list_images, list_images_and_notes
from pmsi_mobile.data.layouts import list_photos
from pmsi_mobile.data.splits import load_data, open_data, photos_for_evaluation, save_data
from pmsi_mobile.errors import PmsiError

FRACTIONS = {"val_fraction": 0.2, "test_fraction": 0.2, "seed": 0}


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.frombytes("L", (4, 4), hashlib.sha256(os.fsencode(path.parent.name + path.name)).digest()[:16]).save(path)
    return path


def photos(root: Path, *folders: str, count: int = 2) -> Path:
    for folder in folders:
        for number in range(count):
            photo(root / folder / f"{folder.replace('/', '-')}-{number}.png")
    return root


def listed(root: Path, classes: tuple[str, ...] = ()) -> dict[str, dict[str, int]]:
    splits = list_photos(root, classes).splits
    return {split: {name: len(paths) for name, paths in by_class.items()} for split, by_class in splits.items()}


TWO = {"a": 2, "b": 2}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"),
        ("TRAIN", "TEST"),
        ("train_set", "test_set"),
        ("train-set", "test-set"),
        ("Training Data", "Test Data"),
        ("trainset", "testset"),
        ("train_images", "test_images"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("birds-train", "birds-test"),
        ("train2017", "test2017"),
        ("images/train", "images/test"),
        ("dataset/v2/train", "dataset/v2/test"),
        ("train/images", "test/images"),
        ("archive/data/Train/train", "archive/data/Test/test"),
    ],
)
def test_split_folders_are_recognised_by_any_usual_name_at_any_depth(tmp_path, train, test):
    photos(tmp_path, f"{train}/a", f"{train}/b", f"{test}/a", f"{test}/b")
    assert listed(tmp_path) == {"train": TWO, "test": TWO}


@pytest.mark.parametrize("val", ["val", "valid", "Validation", "val_set", "dev"])
def test_the_validation_folder_has_many_names(tmp_path, val):
    photos(tmp_path, "train/a", "train/b", f"{val}/a", f"{val}/b")
    assert listed(tmp_path) == {"train": TWO, "val": TWO}


@pytest.mark.parametrize("wrapper", ["images", "dataset/images", "a b c/d/e"])
def test_folders_around_class_folders_are_no_classes(tmp_path, wrapper):
    photos(tmp_path, f"{wrapper}/a", f"{wrapper}/b")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "a.xml").write_text("<xml/>")
    assert listed(tmp_path) == {"train": TWO}


@pytest.mark.parametrize("outer", [("fold1", "fold2"), ("images", "masks"), ("apple", "pear")])
def test_two_levels_that_could_both_be_classes_are_refused(tmp_path, outer):
    photos(tmp_path, *(f"{folder}/{name}" for folder in outer for name in ("x", "y")))
    with pytest.raises(PmsiError, match=r"holds the same folders \(x, y\), and either could be the classes"):
        open_data(tmp_path, **FRACTIONS)


def test_each_class_may_have_its_photos_in_a_folder_of_its_own(tmp_path):
    photos(tmp_path, "a/images", "b/images")
    assert listed(tmp_path) == {"train": TWO}


def test_a_class_may_be_called_train(tmp_path):
    photos(tmp_path, "bus", "car", "train")
    assert list_photos(tmp_path).classes == ("bus", "car", "train")


def test_names_that_end_like_splits_are_classes(tmp_path):
    photos(tmp_path, "bullet-train/x", "crash-test/y", "car")
    assert list_photos(tmp_path).classes == ("bullet-train", "car", "crash-test")


def test_an_evaluation_knows_its_classes(tmp_path):
    photos(tmp_path, "kiwi/monday", "kiwi/tuesday")
    assert listed(tmp_path, ("apple", "kiwi")) == {"train": {"kiwi": 4}}


def test_training_needs_a_training_split(tmp_path):
    photos(tmp_path, "test/a", "test/b")
    with pytest.raises(PmsiError, match="has test but no training photos"):
        open_data(tmp_path, **FRACTIONS)


@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir", "lost+found", "__MACOSX", ".thumbnails", "$RECYCLE.BIN", "System Volume Information", "#recycle"),
        *(".ipynb_checkpoints", "found.000", "@Recycle", "~snapshot"),
    ],
)
def test_clutter_is_no_class_and_no_photo_anywhere(tmp_path, name):
    photos(tmp_path, "a", "b", name, f"a/{name}", f"a/{name}/deep")
    (tmp_path / "b" / name).mkdir()
    assert is_clutter(name.upper())
    assert listed(tmp_path) == {"train": TWO}
    assert len(list_images(tmp_path)) == 4


@pytest.mark.parametrize("name", ["Thumbs.db", "desktop.ini", "._a.png", "Icon\r"])
def test_files_of_systems_are_passed_over_in_silence(tmp_path, name):
    (photos(tmp_path, "a", "b") / "a" / name).write_bytes(b"x")
    assert list_photos(tmp_path).notes == ()


def test_links_are_followed_and_each_file_is_listed_once(tmp_path):
    root = photos(tmp_path / "data", "a", "b")
    photos(tmp_path / "elsewhere", "more")
    (root / "a" / "more").symlink_to(tmp_path / "elsewhere" / "more")
    (root / "c").symlink_to(tmp_path / "elsewhere" / "more")
    (root / "b" / "again.png").symlink_to(root / "b" / "b-0.png")
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "self").symlink_to("self")
    (root / "gone").symlink_to(tmp_path / "nothing")
    (root / "b" / "gone.png").symlink_to(tmp_path / "nothing.png")
    listing = list_photos(root)
    assert {name: len(paths) for name, paths in listing.splits["train"].items()} == {"a": 4, "b": 2, "c": 0}
    assert set(listing.notes) == {
        "ignored gone: a link to nothing",
        "ignored b/gone.png: a link to nothing",
        "ignored a/self: a link to nothing",
        "ignored a/loop: a link to a folder that it is in",
        "ignored b/again.png: a link to a photo that is listed already",
        "ignored c/more-0.png: a link to a photo that is listed already",
        "ignored c/more-1.png: a link to a photo that is listed already",
    }
    assert len(list_images(root)) == 6


def test_a_folder_may_be_made_of_links_alone(tmp_path):
    photos(tmp_path / "pool", "x", count=4)
    for number, folder in enumerate(("train/a", "train/b", "test/a", "test/b")):
        (tmp_path / "data" / folder).mkdir(parents=True)
        (tmp_path / "data" / folder / "x.png").symlink_to(tmp_path / "pool" / "x" / f"x-{number}.png")
    assert listed(tmp_path / "data") == {"train": {"a": 1, "b": 1}, "test": {"a": 1, "b": 1}}


def test_the_content_decides_what_is_a_photo(tmp_path):
    root = photos(tmp_path, "a", "b")
    picture = Image.new("RGB", (4, 4))
    for name, format in (("none", "JPEG"), ("x.jfif", "JPEG"), ("y.dat", "PNG"), ("z.jpg", "WEBP"), ("x.jpg.1", "GIF")):
        picture.save(root / "a" / name, format)
    for name in ("a.jpg~", "a.jpg.bak", "a.jpg_original", "a.jpg.part"):
        picture.save(root / "a" / name, "JPEG")
    (root / "a" / "raw.CR2").write_bytes(b"II*\0")
    (root / "a" / "README").write_text("BM and others")
    listing = list_photos(root)
    assert len(listing.splits["train"]["a"]) == 7
    assert {note.split(": ")[1] for note in listing.notes} == {
        "a backup or an unfinished copy",
        "camera raw is not supported, convert it to JPEG",
        "not an image file",
    }


def test_many_notes_of_one_kind_are_counted(tmp_path):
    root = photos(tmp_path, "a", "b")
    for number in range(300):
        (root / "a" / f"{number:03}.txt").write_text("")
    *named, rest = list_photos(root).notes
    assert named == [f"ignored a/00{number}.txt: not an image file" for number in range(5)]
    assert rest == "ignored 295 more: not an image file"


@pytest.mark.parametrize(
    ("make", "note"),
    [
        (lambda root: (root / "labels.csv").write_text(""), "ignored labels.csv: labels come from folders"),
        (lambda root: photo(root / "IMG_1.png"), "ignored IMG_1.png: not in a class folder"),
        (lambda root: (root / "x.jpg").symlink_to("gone.jpg"), "ignored x.jpg: a link to nothing"),
    ],
)
def test_a_folder_that_cannot_be_used_comes_with_the_notes_that_explain_it(tmp_path, make, note):
    make(tmp_path)
    for use in (lambda: open_data(tmp_path, **FRACTIONS), lambda: list_photos(tmp_path, ("a",))):
        with pytest.raises(PmsiError) as error:
            use()
        assert any(each.startswith(note) for each in error.value.__notes__)


def test_a_class_of_heic_alone_says_so(tmp_path):
    photos(tmp_path, "a", "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic broken")
    with pytest.raises(PmsiError, match="class c has no readable photo") as error:
        open_data(tmp_path, **FRACTIONS)
    assert error.value.__notes__[-1].startswith("skipped c/IMG_1.HEIC: ")


def test_folders_of_photos_say_what_they_pass_over(tmp_path):
    photo(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("")
    assert list_images_and_notes(tmp_path) == ([tmp_path / "a.png"], ("ignored notes.txt: not an image file",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(PmsiError, match="has no photos"):
        list_images(tmp_path / "empty")


@pytest.mark.parametrize("name", ["two\nlines", "tab\t", "\x1b[31mred", "nul\x01", "line\u2028", "next\x85"])
def test_a_class_that_no_list_of_labels_can_carry_is_refused(tmp_path, name):
    photos(tmp_path, "a", name)
    with pytest.raises(PmsiError, match="which a list of labels cannot carry: rename the folder") as error:
        open_data(tmp_path, **FRACTIONS)
    assert str(error.value).isprintable()


def test_a_class_that_is_no_text_is_refused(tmp_path):
    photos(tmp_path, "a", os.fsdecode(b"caf\xe9"))
    with pytest.raises(PmsiError, match=r"class caf\\udce9 has"):
        open_data(tmp_path, **FRACTIONS)


@pytest.mark.parametrize(
    ("one", "other"),
    [("caf\u00e9", "cafe\u0301"), ("kiwi", "kiwi "), ("kiwi", "ki\u200bwi"), ("a b", "a\u00a0b"), ("x", "\u202ex")],
)
def test_classes_that_look_the_same_are_refused(tmp_path, one, other):
    photos(tmp_path, one, other)
    with pytest.raises(PmsiError, match="two classes look the same") as error:
        open_data(tmp_path, **FRACTIONS)
    assert str(error.value).isascii()


@pytest.mark.parametrize("name", [" ", "\u200b", "\u3000"])
def test_a_class_without_a_visible_name_is_refused(tmp_path, name):
    photos(tmp_path, "a", name)
    with pytest.raises(PmsiError, match="a class has an empty name"):
        open_data(tmp_path, **FRACTIONS)


def test_a_name_is_the_same_however_a_system_spells_it(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Käse") for form in ("NFC", "NFD"))
    photos(tmp_path, f"train/{decomposed}", "train/b", f"test/{composed}", "test/b")
    data = open_data(tmp_path, **FRACTIONS)
    assert data.classes == (composed, "b") or data.classes == ("b", composed)
    assert {data.classes[each.label] for each in data.test} == {composed, "b"}
    old = tuple(unicodedata.normalize("NFD", name) for name in data.classes)
    found, _ = photos_for_evaluation(tmp_path, old, "test", **FRACTIONS)
    assert [each.label for each in found] == [each.label for each in data.test]


def test_photos_whose_names_are_no_text_are_used_and_recorded(tmp_path):
    photos(tmp_path / "photos", "a", "b")
    odd = photo(tmp_path / "photos" / "a" / os.fsdecode(b"caf\xe9.png"))
    (tmp_path / "photos" / "a" / os.fsdecode(b"\xff.txt")).write_text("")
    data = open_data(tmp_path / "photos", val_fraction=0, test_fraction=0, seed=0)
    assert odd in {each.path for each in data.train}
    assert data.notes == ("ignored a/\\udcff.txt: not an image file",)
    save_data(data, tmp_path / "data.json")
    assert load_data(tmp_path / "data.json") == data
