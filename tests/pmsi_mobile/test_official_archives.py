"""Miniatures of the authors' archives, and archives that are not what they say."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from pmsi_mobile.commands.data import main as data_command
from pmsi_mobile.data import archives, official, official_archives
from pmsi_mobile.data.archives import unpack
from pmsi_mobile.data.official import AIRCRAFT, CARS, CUB, Counts
from pmsi_mobile.data.official_archives import unpack_official
from pmsi_mobile.data.splits import open_data
from pmsi_mobile.errors import PmsiError
from tests.pmsi_mobile.runs import call
from tests.pmsi_mobile.test_official import add_photo, make_aircraft, make_cars, make_cub

LABELS = "cars_test_annos_withlabels.mat"


@pytest.fixture(autouse=True)
def published(monkeypatch):
    """The miniatures' counts."""
    for layout, counts in {CUB: Counts(2, 8, 2), CARS: Counts(2, 6, 2), AIRCRAFT: Counts(2, 4, 2)}.items():
        monkeypatch.setitem(official.PUBLISHED, layout, counts)


def tgz(path: Path, **parts: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, part in parts.items():
            archive.add(part, name)
    return path


def cub(folder: Path) -> Path:
    make_cub(folder / "cub")
    (folder / "attributes.txt").write_text("1 has_bill_shape\n")
    parts = {"CUB_200_2011": folder / "cub", "attributes.txt": folder / "attributes.txt"}
    return tgz(folder / "CUB_200_2011.tgz", **parts)


def cars(folder: Path) -> list[Path]:
    """As the authors had them."""
    root = make_cars(folder / "cars")
    parts = {"cars_train.tgz": "cars_train", "cars_test.tgz": "cars_test", "car_devkit.tgz": "devkit"}
    return [*(tgz(folder / file, **{name: root / name}) for file, name in parts.items()), root / LABELS]


def cars_in_one_folder(folder: Path) -> list[Path]:
    fields = ("relative_im_path", "bbox_x1", "class", "test")
    rows = np.zeros(8, dtype=[(field, "O") for field in fields])
    for row in range(8):
        rows[row] = (f"car_ims/{row + 1:06d}.jpg", 1, 1 + row % 2, int(row > 5))
        add_photo(folder / "car_ims" / f"{row + 1:06d}.jpg")
    names = np.array(["Ram C/V Van 2012", "AM General Hummer SUV 2000"], dtype=object)
    savemat(folder / "cars_annos.mat", {"annotations": rows, "class_names": names})
    return [tgz(folder / "car_ims.tgz", car_ims=folder / "car_ims"), folder / "cars_annos.mat"]


def zipped(folder: Path) -> list[Path]:
    """A mirror's: photos one folder deeper, labels that a browser has numbered, the other form's labels beside them."""
    root = make_cars(folder / "cars")
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        for split in ("cars_train", "cars_test"):
            for photo in (root / split).iterdir():
                archive.write(photo, f"{split}/{split}/{photo.name}")
        archive.writestr("cars_annos.mat", b"of car_ims, which is not here")
        archive.writestr("__MACOSX/cars_train/._00001.jpg", b"clutter")
    labels = (root / LABELS).rename(root / "cars_test_annos_withlabels (1).mat")
    return [folder / "archive.zip", tgz(folder / "car_devkit.tgz", devkit=root / "devkit"), labels]


@pytest.mark.parametrize(
    ("name", "make", "counts"),
    [
        ("cub", lambda folder: [cub(folder)], (8, 2)),
        ("aircraft", lambda folder: [tgz(folder / "a.tar.gz", b=make_aircraft(folder / "made"))], (4, 2)),
        ("cars", cars, (6, 2)),
        ("cars", cars_in_one_folder, (6, 2)),
        ("cars", zipped, (6, 2)),
    ],
    ids=["cub", "aircraft", "cars", "cars in one folder", "cars of a mirror"],
)
def test_an_archive_becomes_a_folder_that_training_reads(tmp_path, name, make, counts):
    made = tmp_path / "made"
    made.mkdir()
    listing, notes = unpack_official(name, make(made), tmp_path / "photos")
    assert tuple(sum(map(len, listing.splits[split].values())) for split in ("train", "test")) == counts
    assert notes
    assert all("is not byte for byte one of the authors' files" in note for note in notes)
    data = open_data(tmp_path / "photos", val_fraction=0.3, test_fraction=0.5, seed=0)
    assert (len(data.train) + len(data.val), len(data.test)) == counts
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "photos"]


def test_the_authors_bytes_need_no_note(tmp_path, monkeypatch):
    archive = cub(tmp_path)
    digest = hashlib.md5(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(official_archives, "PUBLISHED", {"cub": {digest: "CUB_200_2011.tgz"}})
    assert unpack_official("cub", [archive], tmp_path / "photos")[1] == []


def test_the_command_says_what_it_wrote_and_what_comes_next(tmp_path, monkeypatch, capsys):
    assert call(data_command, monkeypatch, "cub", cub(tmp_path), tmp_path / "photos") == 0
    output = capsys.readouterr()
    assert "CUB-200-2011, 2 classes, 8 training and 2 test photos, as published" in output.out
    assert output.out.splitlines()[-1] == f"next: pmsi-train {tmp_path / 'photos'} --preset paper"
    assert output.err.startswith("note: CUB_200_2011.tgz is not byte for byte")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: cars(folder)[:3], f"of Stanford Cars {LABELS} is missing: give those files too"),
        (lambda folder: cars(folder)[::3], r"cars_test \(in cars_test.tgz\), devkit \(in car_devkit.tgz\) is missing"),
        (lambda folder: [cub(folder)], "of Stanford Cars cars_train .* is missing"),
        (lambda folder: [folder / "absent.tgz"], "absent.tgz does not exist"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_left(tmp_path, make, message):
    made = tmp_path / "made"
    made.mkdir()
    with pytest.raises(PmsiError, match=message):
        unpack_official("cars", make(made), tmp_path / "photos")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_counts_other_than_the_published_ones_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(official.PUBLISHED, CUB, Counts(200, 5994, 5794))
    (tmp_path / "made").mkdir()
    with pytest.raises(PmsiError, match="2 classes, 8 training and 2 test photos, but 200 classes"):
        unpack_official("cub", [cub(tmp_path / "made")], tmp_path / "photos")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize(
    ("name", "folder", "message"),
    [("cub", "made", "exists already: choose a new folder"), ("dogs", "new", "choose one of cub, aircraft, cars")],
)
def test_a_folder_that_is_full_and_a_name_that_is_unknown_are_refused(tmp_path, name, folder, message):
    (tmp_path / "made").mkdir()
    with pytest.raises(PmsiError, match=message):
        unpack_official(name, [cub(tmp_path / "made")], tmp_path / folder)


def entry(name: str, content: bytes = b"content", kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    return info, io.BytesIO(content)


def tar_of(path: Path, *entries: tuple[tarfile.TarInfo, io.BytesIO]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, content in entries:
            archive.addfile(info, content)
    return path


@pytest.mark.parametrize("name", ["../escaped.jpg", "/escaped.jpg", "a/../../escaped.jpg", "a\\..\\escaped.jpg"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_entry_outside_of_the_archive_is_refused(tmp_path, name, kind):
    archive = tmp_path / f"made.{kind}"
    if kind == "tar":
        tar_of(archive, entry(name))
    else:
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr(name, b"content")
    with pytest.raises(PmsiError, match="has an entry outside of itself"):
        unpack(archive, tmp_path / "out" / "folder")
    assert not list(tmp_path.rglob("escaped*"))


def test_links_and_devices_are_left_out(tmp_path):
    kinds = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "device": tarfile.CHRTYPE, "pipe": tarfile.FIFOTYPE}
    entries = [entry(name, kind=kind) for name, kind in kinds.items()]
    unpack(tar_of(tmp_path / "made.tgz", entry("photo.jpg"), *entries), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo.jpg"]


def test_what_inflates_too_far_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST", 1 << 20)
    bomb = tar_of(tmp_path / "bomb.tgz", entry("a", bytes(1 << 19)), entry("b", bytes(1 << 20)))
    with pytest.raises(PmsiError, match="inflates to more than"):
        unpack(bomb, tmp_path / "out")
    assert not (tmp_path / "out" / "b").exists()


@pytest.mark.parametrize("cut", [10, 200])
def test_a_damaged_archive_is_one_line(tmp_path, cut):
    archive = cub(tmp_path)
    archive.write_bytes(archive.read_bytes()[:-cut])
    with pytest.raises(PmsiError, match=r"is no archive, or damaged .*: download it again") as error:
        unpack(archive, tmp_path / "out")
    assert "\n" not in str(error.value)
    archive.write_text("<html>moved</html>")
    with pytest.raises(PmsiError, match="is no archive, or damaged"):
        unpack(archive, tmp_path / "out")
