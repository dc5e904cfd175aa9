"""The three benchmark data sets as their authors distribute them."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pmsi_mobile.errors import PmsiError

ByClass = dict[str, list[Path]]


class Listing(NamedTuple):
    """What a folder holds before any photo is opened: class order, photo files by split and class, notes."""

    layout: str
    classes: tuple[str, ...]
    splits: Mapping[str, ByClass]
    notes: tuple[str, ...] = ()


def list_official(root: Path) -> Listing | None:
    """The listing of an official data set, recognised by its marker files; None where `root` is none of them.

    Raises PmsiError when its counts are not the published ones, or a photo is missing.
    """
    return None
