"""What a file is that should hold tensors, from its first bytes: without PyTorch, so that a command says it at once."""

import zipfile
from pathlib import Path

from pmsi_mobile.errors import PmsiError

_SPARE = 64 << 20
"""Bytes."""


def check_tensors(path: Path) -> bytes:
    """The first bytes of a file that may hold tensors.

    Raises PmsiError with a plain reason otherwise.
    """
    if not path.is_file():
        raise PmsiError(f"{path} does not exist" if not path.exists() else f"{path} is a folder, not a file")
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise PmsiError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    reason = _why_no_tensors(path, head)
    if reason:
        raise PmsiError(f"{path} {reason}")
    return head


def _why_no_tensors(path: Path, head: bytes) -> str | None:
    """What a file is that begins with `head`, and what to do; None where it may hold tensors."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head:
        return "is empty: copy or download it again"
    if head.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not the file itself: fetch it with git lfs pull"
    if text[:1] == b"<":
        return "is a web page, not a file of tensors: download the file itself (its raw or resolve link)"
    if head.startswith(b"PK"):
        return _why_no_torch_zip(path)
    if head.startswith(b"\x80") or head[8:9] == b"{":
        return None
    kind = "a text file" if b"\0" not in head and _is_text(head) else "of another kind"
    return f"is {kind}, not a file of PyTorch tensors (.pt, .pth, .safetensors)"


def _is_text(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # The last character may be cut.
    return True


def _why_no_torch_zip(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            inflated = sum(entry.file_size for entry in archive.infolist())
    except Exception:  # Damage makes zipfile raise half a dozen kinds of errors.
        return "cannot be read: it is cut off or corrupt; copy or download it again"
    # PyTorch stores tensors as they are.
    if inflated > 2 * path.stat().st_size + _SPARE:
        return f"would inflate to {inflated / 1e9:.1f} GB: it is not from PyTorch"
    if any("/code/" in name for name in names):
        return "is a TorchScript program: where it was made, save torch.save(model.state_dict(), FILE)"
    if not any(name.endswith("/data.pkl") for name in names):
        first = f", it holds {names[0]}" if names else ""
        return f"is a zip archive without tensors of PyTorch{first}: unpack it where the weights are inside"
    return None
