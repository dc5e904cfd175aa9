"""The contract and the class names as entries of a zip archive in the model file.

TFLite and ExecuTorch read a model from its front: the archive follows behind it, where TFLite Metadata has its
associated files. A TorchScript file is an archive already: they join its extra files. `unzip`, Python's `zipfile` and
Java's `ZipFile` read all three in place.
"""

import hashlib
import json
import zipfile
from pathlib import Path

from pmsi_export.contract.bounded_zip import LIMIT, read_entry
from pmsi_export.contract.schema import Embedded
from pmsi_mobile.errors import PmsiError

CONTRACT = "pmsi.json"
LABELS = "labels.txt"


def embed(path: Path, text: str) -> None:
    """Add the contract and its class names, one a line. What is in the file stays where it is."""
    with zipfile.ZipFile(path, "a") as archive:
        torchscript = archive.namelist()[:1]
        folder = f"{torchscript[0].split('/')[0]}/extra/" if torchscript else ""
        # Stored, not deflated: MediaPipe reads them in place.
        archive.writestr(zipfile.ZipInfo(folder + LABELS), _labels(text))
        archive.writestr(zipfile.ZipInfo(folder + CONTRACT), text)


def extract(path: Path) -> Embedded:
    """What `embed` added, and the digest of the bytes before it.

    Raises PmsiError when an entry is damaged or the labels are not the contract's classes.
    """
    content = path.read_bytes()
    if not zipfile.is_zipfile(path):
        return Embedded("", hashlib.sha256(content).hexdigest())
    try:
        with zipfile.ZipFile(path) as archive:
            added = {Path(entry.filename).name: entry for entry in archive.infolist()[-2:]}
            if added.keys() != {LABELS, CONTRACT}:
                return Embedded("", hashlib.sha256(content[: archive.start_dir]).hexdigest())
            # All is stored as it is, but for some text of PyTorch's: what inflates to much more is of nobody we know.
            if sum(entry.file_size for entry in archive.infolist()) > len(content) + LIMIT:
                raise zipfile.BadZipFile("it would inflate to more than any file of pmsi-export")
            damaged = archive.testzip()
            labels, text = (read_entry(archive, added[name]).decode() for name in (LABELS, CONTRACT))
            consistent = labels == _labels(text)
    # A damaged archive makes zipfile raise a dozen kinds of errors.
    except Exception as error:
        raise PmsiError(f"{path} is damaged: {error}") from None
    if damaged or not consistent:
        why = f"its entry {damaged} has changed" if damaged else "its labels are not the classes of its contract"
        raise PmsiError(f"{path} is damaged: {why}")
    return Embedded(text, hashlib.sha256(content[: added[LABELS].header_offset]).hexdigest())


def _labels(text: str) -> str:
    return "".join(f"{name}\n" for name in json.loads(text)["classes"])
