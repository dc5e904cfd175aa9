"""The contract in an ONNX file's `metadata_props`, read and written without the packages onnx and protobuf.

Protocol buffers that follow one another are merged: the entries are appended, what is in the file stays as it is.
Source: onnx.proto, ModelProto and StringStringEntryProto.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from pmsi_export.contract.schema import Embedded
from pmsi_mobile.errors import PmsiError

CONTRACT = "pmsi.contract"
DIGEST = "pmsi.sha256"
"""The last entry: of all bytes before it."""
METADATA_PROPS = 14
KEY, VALUE = 1, 2
VARINT, BYTES = 0, 2


def embed(path: Path, text: str) -> None:
    """Add the contract, and what clients look for most under keys of its own."""
    contract = json.loads(text)
    model = path.read_bytes()
    entries = {
        CONTRACT: text,
        "classes": json.dumps(contract["classes"], ensure_ascii=False),
        "preprocessing": json.dumps(contract["preprocessing"]),
        "precision": contract["precision"],
    }
    model += b"".join(_entry(key, value) for key, value in entries.items())
    path.write_bytes(model + _entry(DIGEST, hashlib.sha256(model).hexdigest()))


def extract(path: Path) -> Embedded:
    """What `embed` added, and the digest of the bytes before it. Raises PmsiError for a damaged file."""
    model = path.read_bytes()
    try:
        start, entries = _entries(model)
    except (LookupError, ValueError):
        raise PmsiError(f"{path} is damaged: it is not an ONNX model, or a part of it is missing") from None
    if CONTRACT in entries:
        digest = entries.get(DIGEST, "")
        if hashlib.sha256(model[: -len(_entry(DIGEST, digest))]).hexdigest() != digest:
            raise PmsiError(f"{path} is damaged: its bytes are not those that were written")
    return Embedded(entries.get(CONTRACT, ""), hashlib.sha256(model[:start]).hexdigest())


def properties(path: Path) -> dict[str, str]:
    """All of `metadata_props`. Raises LookupError or ValueError for what is no ONNX model."""
    entries = [payload for number, _, payload in _fields(path.read_bytes()) if number == METADATA_PROPS]
    parts = [{field: value.decode() for field, _, value in _fields(entry)} for entry in entries]
    return {part[KEY]: part[VALUE] for part in parts}


def _entries(model: bytes) -> tuple[int, dict[str, str]]:
    """Where our entries begin, and all from there to the end."""
    start, entries = len(model), {}
    for number, position, payload in _fields(model):
        if number == METADATA_PROPS:
            entry = {field: value.decode() for field, _, value in _fields(payload)}
            if entry[KEY] == CONTRACT:
                start = position
            if position >= start:
                entries[entry[KEY]] = entry[VALUE]
        elif position > start:
            raise ValueError("something follows the metadata")
    return start, entries


def _fields(message: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Number, position and content of the fields of a message; no content for a number."""
    view = memoryview(message)
    position = 0
    while position < len(view):
        start = position
        tag, position = _varint(view, position)
        value, position = _varint(view, position)
        content = b""
        if tag & 7 == BYTES:
            content, position = bytes(view[position : position + value]), position + value
        elif tag & 7 != VARINT:
            raise ValueError("a field type that ONNX does not have")
        yield tag >> 3, start, content
    if position > len(view):
        raise ValueError("the last field is cut off")


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[position]
        value, shift, position = value | (byte & 127) << shift, shift + 7, position + 1
        if byte < 128:
            return value, position


def _entry(key: str, value: str) -> bytes:
    return _bytes_field(METADATA_PROPS, _bytes_field(KEY, key.encode()) + _bytes_field(VALUE, value.encode()))


def _bytes_field(number: int, content: bytes) -> bytes:
    return _to_varint(number << 3 | BYTES) + _to_varint(len(content)) + content


def _to_varint(value: int) -> bytes:
    head = bytearray()
    while value > 127:
        head.append(value & 127 | 128)
        value >>= 7
    return bytes([*head, value])
