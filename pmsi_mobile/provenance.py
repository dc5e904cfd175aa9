"""Where a result comes from: versions, machine, time."""

import platform
from datetime import UTC, datetime
from importlib import metadata

from pmsi_mobile import __version__


def versions(*packages: str) -> dict[str, str]:
    """Installed versions of pmsi-mobile, Python and `packages`; those not installed are left out."""
    found = {"pmsi-mobile": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def now() -> str:
    """UTC time, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
