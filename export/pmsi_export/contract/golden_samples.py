"""Golden samples beside exported files: photos as the network takes them and what the training network gives for them.

One zip serves all formats and precisions of a stem, so that a phone can check any of the files on itself: `golden.json`
(`GoldenIndex`) and one PNG per sample.
"""

import io
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from pmsi_export.contract.bounded_zip import read_entry
from pmsi_export.contract.schema import Contract, first_problem
from pmsi_mobile.config import LARGEST_SIDE
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import atomic_write

LARGEST_ARCHIVE = 64 << 20
"""Bytes of all that an archive inflates to, as in the app: 8 photos of 1024 x 1024 pixels take 25 MB at most."""
LARGEST_PIXELS = 512 << 20
"""Bytes of all pictures in memory."""


class GoldenSample(BaseModel):
    """image: name of the PNG in the zip, RGB, side x side. probabilities: [K]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str
    probabilities: list[FiniteFloat]


class GoldenIndex(BaseModel):
    """What the samples are for: files whose contract has this checkpoint, head and side of the input."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    checkpoint_sha256: str
    head: Literal["mix", "concat"] | None
    side: int = Field(ge=1, le=LARGEST_SIDE)
    classes: int
    samples: list[GoldenSample] = Field(min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _rows_are_complete(self) -> "GoldenIndex":
        if any(len(sample.probabilities) != self.classes for sample in self.samples):
            raise ValueError(f"a sample has not {self.classes} probabilities")
        return self


@dataclass(frozen=True)
class GoldenSamples:
    """images: uint8 [N, side, side, 3]. probabilities: float32 [N, K], of the training network."""

    images: NDArray[np.uint8]
    probabilities: NDArray[np.float32]


def write_golden(samples: GoldenSamples, contract: Contract, path: Path) -> None:
    """Write the samples of the contract's checkpoint, head and side; equal samples give equal bytes."""
    names = [f"{number}.png" for number in range(len(samples.images))]
    index = GoldenIndex(
        checkpoint_sha256=contract.checkpoint_sha256,
        head=contract.model.head,
        side=contract.preprocessing.crop,
        classes=len(contract.classes),
        samples=[
            GoldenSample(image=name, probabilities=row.tolist())
            for name, row in zip(names, samples.probabilities, strict=True)
        ],
    )
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        _add(archive, "golden.json", index.model_dump_json().encode())
        for name, image in zip(names, samples.images, strict=True):
            png = io.BytesIO()
            PILImage.fromarray(image).save(png, format="PNG")
            _add(archive, name, png.getvalue())


def golden_of(model: Path, contract: Contract) -> GoldenSamples | None:
    """The samples for a file with this contract among the zips in its folder, or None.

    Raises PmsiError when they cannot be read.
    """
    found = _find(model, contract)
    return found and found[1]


def golden_path(model: Path, contract: Contract) -> Path | None:
    """Where they are. Raises PmsiError when they cannot be read."""
    found = _find(model, contract)
    return found and found[0]


def _find(model: Path, contract: Contract) -> tuple[Path, GoldenSamples] | None:
    for path in sorted(model.parent.glob("*.golden.zip")):
        try:
            with zipfile.ZipFile(path) as archive:
                samples = _samples_for(contract, archive)
        # Damage makes zipfile, zlib and Pillow raise a dozen kinds of errors.
        except Exception as error:
            raise PmsiError(
                f"{path} does not hold golden samples ({_reason(error)}): export the checkpoint again, or delete it"
            ) from None
        if samples:
            return path, samples
    return None


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # ZipInfo alone: the time of writing stays out. PNGs are compressed already.
    archive.writestr(zipfile.ZipInfo(name), content)


def _samples_for(contract: Contract, archive: zipfile.ZipFile) -> GoldenSamples | None:
    """The samples in an archive; None where they are those of other files."""
    if sum(entry.file_size for entry in archive.infolist()) > LARGEST_ARCHIVE:
        raise ValueError(f"it would inflate to more than {LARGEST_ARCHIVE >> 20} MB")
    index = GoldenIndex.model_validate_json(read_entry(archive, "golden.json"))
    wanted = (contract.checkpoint_sha256, contract.model.head, contract.preprocessing.crop)
    if (index.checkpoint_sha256, index.head, index.side) != wanted:
        return None
    if index.classes != len(contract.classes):
        raise ValueError(f"they have {index.classes} classes, the model has {len(contract.classes)}")
    if len(index.samples) * index.side**2 * 3 > LARGEST_PIXELS:
        raise ValueError(f"{len(index.samples)} pictures of {index.side} x {index.side} pixels are too many")
    images = [_pixels(read_entry(archive, sample.image), sample.image, index.side) for sample in index.samples]
    probabilities = np.array([sample.probabilities for sample in index.samples], dtype=np.float32)
    return GoldenSamples(np.stack(images), probabilities)


def _pixels(png: bytes, name: str, side: int) -> NDArray[np.uint8]:
    """Raises ValueError, before Pillow sees it, for what does not begin as a PNG of this size (PNG specification, 5.2
    and 11.2.1)."""
    if png[:8] != b"\x89PNG\r\n\x1a\n" or png[16:24] != struct.pack(">II", side, side):
        raise ValueError(f"{name} is not a PNG of {side} x {side} pixels")
    with PILImage.open(io.BytesIO(png), formats=["PNG"]) as picture:
        return np.asarray(picture.convert("RGB"))


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return first_problem(error)
    if isinstance(error, KeyError):
        return str(error.args[0])
    return " ".join(str(error).split())[:120] or type(error).__name__
