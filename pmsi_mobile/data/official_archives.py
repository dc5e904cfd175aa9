"""The benchmark data sets from the archives that their authors publish, put where `list_official` reads them."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from pmsi_mobile.data.archives import Progress, unpack
from pmsi_mobile.data.official import Listing, list_official
from pmsi_mobile.errors import PmsiError

PUBLISHED: Mapping[str, Mapping[str, str]] = {
    "cub": {"97eceeb196236b17998738112f37df78": "CUB_200_2011.tgz"},
    "aircraft": {"d4acdd33327262359767eeaa97a4f732": "fgvc-aircraft-2013b.tar.gz"},
    "cars": {
        "065e5b463ae28d29e77c1b4b166cfe61": "cars_train.tgz",
        "4ce7ebf6a94d07f1952d94dd34c4d501": "cars_test.tgz",
        "c3b158d763b6e2245038c8ad08e45376": "car_devkit.tgz",
        "b0a2b23655a3edd16d84508592a98d10": "cars_test_annos_withlabels.mat",
        "d5c8f0aa497503f355e17dc7886c3f14": "car_ims.tgz",
        "b407c6086d669747186bd1d764ff9dbc": "cars_annos.mat",
    },
}
"""Name -> MD5 of each file as published -> its name. CUB: Wah et al., 2011; Aircraft: Maji et al., 2013; Cars: Krause
et al., 2013, as train, test and devkit or as one folder car_ims."""

Bar = Callable[[str], AbstractContextManager[Progress]]


def unpack_official(
    name: str, sources: Sequence[Path], folder: Path, bar: Bar = lambda text: nullcontext(lambda done, total: None)
) -> tuple[Listing, list[str]]:
    """Unpack a data set's files into the new folder `folder`; returns its listing, and a note for each file that is not
    byte for byte the authors'.

    name: a key of PUBLISHED. sources: archives, and .mat files of labels. bar: makes a progress callback of a few
    words. Nothing is left where it fails. Raises PmsiError for what is damaged or missing, and for counts that are not
    the published ones.
    """
    if name not in PUBLISHED:
        raise PmsiError(f"unknown data set '{name}': choose one of {', '.join(PUBLISHED)}")
    missing = next((source for source in sources if not source.is_file()), None)
    if missing:
        raise PmsiError(f"{missing} does not exist: give the files as they were downloaded")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PmsiError(f"{folder} exists already: choose a new folder")
    notes = [note for source in sources if (note := _strange(name, source, bar))]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as staged:
        for number, source in enumerate(sources):
            target = Path(staged) / str(number)
            target.mkdir()
            if source.suffix == ".mat":
                shutil.copy(source, target)
            else:
                with bar(f"unpacking {source.name}") as progress:
                    unpack(source, target, progress)
        root = _ARRANGE[name](Path(staged))
        listing = list_official(root)
        assert listing is not None
        if folder.exists():
            folder.rmdir()
        os.rename(root, folder)
    return listing, notes


def _strange(name: str, source: Path, bar: Bar) -> str | None:
    """What to say of a file whose bytes are not the authors'."""
    total, digest = source.stat().st_size, hashlib.md5(usedforsecurity=False)
    with bar(f"checking {source.name}") as progress, open(source, "rb") as file:
        while block := file.read(1 << 24):
            digest.update(block)
            progress(file.tell(), total)
    if digest.hexdigest() in PUBLISHED[name]:
        return None
    known = ", ".join(PUBLISHED[name].values())
    return f"{source.name} is not byte for byte one of the authors' files ({known}): only what is in it is checked"


def _found(staged: Path, pattern: str) -> Path | None:
    return next((path for path in sorted(staged.rglob("*")) if re.fullmatch(pattern, path.name)), None)


def _arrange_cub(staged: Path) -> Path:
    lists = _found(staged, r"train_test_split\.txt")
    if not lists:
        raise PmsiError("this is not CUB-200-2011: there is no train_test_split.txt in it; give CUB_200_2011.tgz")
    return lists.parent


def _arrange_aircraft(staged: Path) -> Path:
    lists = _found(staged, r"images_variant_trainval\.txt")
    if not lists:
        raise PmsiError(
            "this is not FGVC-Aircraft: there is no images_variant_trainval.txt in it; give fgvc-aircraft-2013b.tar.gz"
        )
    return lists.parent.parent if lists.parent.name == "data" else lists.parent


def _arrange_cars(staged: Path) -> Path:
    """Train, test and devkit side by side, however deep mirrors have them; or car_ims beside cars_annos.mat."""
    root = staged / "cars"
    root.mkdir()
    one_folder, labels_of_all = _photo_folder(staged, "car_ims"), _found(staged, r"cars_annos\.mat")
    if one_folder and labels_of_all:
        return _gather(root, {"car_ims": one_folder, "cars_annos.mat": labels_of_all})
    meta = _found(staged, r"cars_meta\.mat")
    # Browsers number the second download of a name.
    labels = _found(staged, r"cars_test_annos_withlabels.*\.mat")
    parts = {
        "cars_train": (_photo_folder(staged, "cars_train"), "cars_train.tgz"),
        "cars_test": (_photo_folder(staged, "cars_test"), "cars_test.tgz"),
        "devkit": (meta.parent if meta else None, "car_devkit.tgz"),
        "cars_test_annos_withlabels.mat": (labels, "cars_test_annos_withlabels.mat"),
    }
    missing = [name if name == file else f"{name} (in {file})" for name, (path, file) in parts.items() if path is None]
    if missing:
        raise PmsiError(
            f"of Stanford Cars {', '.join(missing)} is missing: give those files too, or car_ims.tgz and cars_annos.mat"
        )
    # The labels may lie in the devkit, which is moved as a whole.
    return _gather(root, {name: path for name, (path, _) in reversed(parts.items()) if path})


def _photo_folder(staged: Path, name: str) -> Path | None:
    """The folder of that name that holds photos itself: mirrors have one in another of the same name."""
    return next((path for path in sorted(staged.rglob(name)) if path.is_dir() and any(path.glob("*.jpg"))), None)


def _gather(root: Path, parts: Mapping[str, Path]) -> Path:
    for name, path in parts.items():
        os.rename(path, root / name)
    return root


_ARRANGE: Mapping[str, Callable[[Path], Path]] = {
    "cub": _arrange_cub,
    "aircraft": _arrange_aircraft,
    "cars": _arrange_cars,
}
