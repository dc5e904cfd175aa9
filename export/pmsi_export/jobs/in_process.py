"""An export for a Python program, in its own process."""

import tempfile
from pathlib import Path

from pmsi_export.checks.photos import calibration_photos, evaluation_photos
from pmsi_export.contract.schema import write_labels
from pmsi_export.formats.choice import choose
from pmsi_export.formats.registry import COMPRESSED, INT8_WEIGHTS
from pmsi_export.graph.variant import Variant
from pmsi_export.jobs import exporter
from pmsi_export.jobs.job import Job
from pmsi_export.jobs.model_card import write_card
from pmsi_export.runtime.silence import silenced
from pmsi_mobile.errors import MeasurementError


def export(
    checkpoint: Path | str,
    format: str = "tflite",
    precision: str = "fp32",
    *,
    output: Path | str | None = None,
    calibration: Path | str | None = None,
) -> Path:
    """Convert ckpt.pt to one file, check it against the training network, and return the file's path.

    format, precision: as `pmsi-export --format` and `--precision`. output: folder for the file, beside the checkpoint
    where none is given. calibration: folder of photos for int8 and compressed weights, those that training kept
    where none is given. The gate is applied as by pmsi-export without options. The converter's libraries are loaded
    into this process; pmsi-export gives each of several formats a process of its own.
    Raises PmsiError for what cannot be exported, MeasurementError for a file that fails its gate.
    """
    path = Path(checkpoint)
    [(known, _)], _ = choose([format], [precision])
    rounded = precision in INT8_WEIGHTS
    photos: list[Path] = []
    if rounded or precision in COMPRESSED:
        photos = calibration_photos(Path(calibration) if calibration else None, path, needed=precision == "int8")
    with tempfile.TemporaryDirectory(prefix="pmsi-export-") as scratch, silenced():
        quantised = Path(scratch) / "quantised.pt" if rounded and photos else None
        if quantised:
            exporter.prepare_int8(path, Variant(), photos, quantised, paired_sums=known.paired_sums)
        exact = precision == "fp32"
        judging = None if exact else evaluation_photos(None, path, Variant(), lambda done, total: None)[0]
        job = Job(
            path,
            known.name,
            precision,
            Path(output) if output else path.parent,
            path.stem,
            photos=judging,
            quantised=quantised,
            calibration=() if rounded else tuple(photos),
        )
        exported = exporter.export(job)
    parity = exported.contract.parity
    if parity.status == "failed":
        raise MeasurementError(f"{exported.path.name} fails its gate: {parity.reason}")
    write_labels(exported.contract.classes, job.folder / f"{job.stem}.labels.txt")
    write_card(job, exported)
    return exported.path
