"""What one export is asked to do. Light, for the command line and the process that does the work both need it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pmsi_export.registry import Format, get_format

if TYPE_CHECKING:
    from pmsi_export.photos import EvaluationPhotos


@dataclass(frozen=True)
class Job:
    """One checkpoint to one format in one precision, as `target`.

    photos: labelled photos for the gate beside the golden samples. quantised: what `exporter.prepare_int8` wrote, for
    int8 only.
    """

    checkpoint: Path
    format: str
    precision: str
    target: Path
    verify: bool = True
    photos: "EvaluationPhotos | None" = None
    quantised: Path | None = None

    @property
    def known(self) -> Format:
        return get_format(self.format)


def target_path(folder: Path, stem: str, known: Format, precision: str) -> Path:
    """`ckpt.tflite` for fp32, `ckpt-int8.tflite` for the others."""
    return folder / f"{stem}{'' if precision == 'fp32' else f'-{precision}'}{known.suffix}"
