"""Zip archives from elsewhere: no entry is inflated beyond what is expected of it."""

import zipfile

LIMIT = 32 << 20
"""Bytes of a contract, of labels or of a golden sample: far more than 100,000 classes or 2048 x 2048 pixels take."""


def read_entry(archive: zipfile.ZipFile, name: str | zipfile.ZipInfo, limit: int = LIMIT) -> bytes:
    """The content of an entry. Raises zipfile.BadZipFile for one of more than `limit` bytes, KeyError for none."""
    with archive.open(name) as entry:
        content = entry.read(limit + 1)
    if len(content) > limit:
        raise zipfile.BadZipFile(f"an entry has more than {limit >> 20} MB")
    return content
