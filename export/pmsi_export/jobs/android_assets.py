"""Exported files into the demo app's sources."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from pmsi_export.formats.open import read_contract
from pmsi_export.formats.registry import Format, get_format
from pmsi_export.jobs.job import Exported, Job
from pmsi_export.jobs.subprocesses import Failure
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import atomic_write

APP_FORMATS = ("tflite", "onnx", "executorch")
"""What the app has runtimes for."""
_SOURCES = Path("app/src/main")


def check_app(app: Path, formats: Sequence[Format]) -> None:
    """Raises PmsiError when `app` is not the demo app's folder, or the app opens none of the formats."""
    if not (app / _SOURCES).is_dir():
        raise PmsiError(f"{app} is not the demo app: pass its folder, android_demo, which has {_SOURCES} in it")
    if not any(known.name in APP_FORMATS for known in formats):
        raise PmsiError(f"the demo app does not open {formats[0].name} files: choose from {', '.join(APP_FORMATS)}")


def put_into_app(outcomes: Sequence[tuple[Job, Exported | Failure]], app: Path) -> list[str]:
    """Copy the files that were made and that the app opens, with their golden samples, to its assets, as one set: what
    is there of rejected files, or of another checkpoint under the same stem, goes. A converter that failed says nothing
    of an earlier file of this checkpoint, which stays. Returns the names of what went."""
    models = app / _SOURCES / "assets" / "models"
    made = [(job, outcome.contract.parity.status) for job, outcome in outcomes if isinstance(outcome, Exported)]
    openable = [job for job, status in made if status != "failed" and job.format in APP_FORMATS]
    for source in dict.fromkeys(path for job in openable for path in (job.target, job.golden)):
        with atomic_write(models / source.name) as temporary:
            shutil.copyfile(source, temporary)
    stale = {models / job.target.name for job, status in made if status == "failed"}
    for job in openable[:1]:
        stale |= _of_other_checkpoints(models, job.stem, read_contract(job.target).checkpoint_sha256)
    gone = sorted(path for path in stale if path.exists())
    for path in gone:
        path.unlink()
    return [path.name for path in gone]


def _of_other_checkpoints(models: Path, stem: str, checkpoint_sha256: str) -> set[Path]:
    """Models of a stem for which the golden samples beside them are not."""
    suffixes = [get_format(name).suffix for name in APP_FORMATS]
    others = set()
    for path in models.iterdir():
        if path.suffix in suffixes and (path.stem == stem or path.stem.startswith(f"{stem}-")):
            try:
                same = read_contract(path).checkpoint_sha256 == checkpoint_sha256
            except PmsiError:
                same = False
            if not same:
                others.add(path)
    return others
