"""Golden samples beside exported files: photos as the network takes them and what the training network gives for them.

One zip serves all formats and precisions of a stem, so that a phone can check any of the files on itself: `golden.json`
(`GoldenIndex`) and one PNG per sample.
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from pmsi_export.contract.bounded_zip import read_entry
from pmsi_mobile.config import LARGEST_SIDE
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import atomic_write

if TYPE_CHECKING:
    from pmsi_export.contract.schema import Contract


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


def write_golden(samples: GoldenSamples, contract: "Contract", path: Path) -> None:
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


def golden_of(model: Path, contract: "Contract") -> GoldenSamples | None:
    """The samples for a file with this contract among the zips in its folder, or None.

    Raises PmsiError when they cannot be read.
    """
    wanted = (contract.checkpoint_sha256, contract.model.head, contract.preprocessing.crop)
    for path in sorted(model.parent.glob("*.golden.zip")):
        with _opened(path) as archive:
            index = _index(archive, path)
            if (index.checkpoint_sha256, index.head, index.side) == wanted:
                if index.classes != len(contract.classes):
                    raise _damaged(path)
                return _samples(archive, index, path)
    return None


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # ZipInfo alone: the time of writing stays out. PNGs are compressed already.
    archive.writestr(zipfile.ZipInfo(name), content)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise _damaged(path) from None


def _index(archive: zipfile.ZipFile, path: Path) -> GoldenIndex:
    try:
        return GoldenIndex.model_validate_json(read_entry(archive, "golden.json"))
    except (KeyError, zipfile.BadZipFile, ValidationError):
        raise _damaged(path) from None


def _samples(archive: zipfile.ZipFile, index: GoldenIndex, path: Path) -> GoldenSamples:
    try:
        images = [_pixels(read_entry(archive, sample.image), index.side) for sample in index.samples]
    except (KeyError, OSError, ValueError, zipfile.BadZipFile):
        raise _damaged(path) from None
    return GoldenSamples(
        np.stack(images), np.array([sample.probabilities for sample in index.samples], dtype=np.float32)
    )


def _pixels(png: bytes, side: int) -> NDArray[np.uint8]:
    """Raises ValueError, before anything is decoded, for a picture of another size."""
    with PILImage.open(io.BytesIO(png)) as picture:
        if picture.size != (side, side):
            raise ValueError(f"{picture.size} is not {side} x {side}")
        return np.asarray(picture.convert("RGB"))


def _damaged(path: Path) -> PmsiError:
    return PmsiError(f"{path} does not hold golden samples: export the checkpoint again, or delete the file")
