"""Exported files into the demo app's sources."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from pmsi_export.formats.registry import Format
from pmsi_export.jobs.job import Job
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


def put_into_app(jobs: Sequence[Job], app: Path) -> None:
    """Copy the files of these jobs that the app opens, with their golden samples, to its assets."""
    models = app / _SOURCES / "assets" / "models"
    openable = [job for job in jobs if job.format in APP_FORMATS]
    for source in dict.fromkeys(path for job in openable for path in (job.target, job.golden)):
        with atomic_write(models / source.name) as temporary:
            shutil.copyfile(source, temporary)
