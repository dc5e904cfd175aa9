"""What one export is asked to do and what it leaves.

Without PyTorch: the command line, which only passes these on, should not spend seconds on importing it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmsi_export.formats.registry import Format, get_format
from pmsi_export.graph.variant import Variant

if TYPE_CHECKING:
    from pmsi_export.checks.photos import EvaluationPhotos
    from pmsi_export.contract.schema import Contract


@dataclass(frozen=True)
class Job:
    """One checkpoint to one format in one precision: `folder` / `stem` and what the two add to it.

    photos: labelled photos for the gate beside the golden samples. quantised: what `exporter.prepare_int8` wrote, for
    the precisions with int8 weights. calibration: photos for those that compress weights otherwise; without any, the
    golden samples serve.
    """

    checkpoint: Path
    format: str
    precision: str
    folder: Path
    stem: str
    verify: bool = True
    photos: "EvaluationPhotos | None" = None
    quantised: Path | None = None
    variant: Variant = field(default_factory=Variant)
    calibration: tuple[Path, ...] = ()

    @property
    def known(self) -> Format:
        return get_format(self.format)

    @property
    def target(self) -> Path:
        """`ckpt.tflite` for fp32, `ckpt-int8.tflite` for the others."""
        precision = "" if self.precision == "fp32" else f"-{self.precision}"
        return self.folder / f"{self.stem}{precision}{self.known.suffix}"

    @property
    def golden(self) -> Path:
        """The checkpoint's golden samples: one file for all formats and precisions of a stem."""
        return self.folder / f"{self.stem}.golden.zip"


def rejected_path(target: Path) -> Path:
    """`model.tflite` -> `model.rejected.tflite`."""
    return target.with_name(f"{target.stem}.rejected{target.suffix}")


@dataclass(frozen=True)
class Origin:
    """What a checkpoint says of its training, as plain values: configuration, where it comes from, digests of the
    photos that it was trained on."""

    config: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    trained_on: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Exported:
    """What an export left on disk. `path` has a name that says rejected when the gate failed."""

    path: Path
    size_bytes: int
    contract: "Contract"
    convert_seconds: float
    origin: Origin = Origin()
