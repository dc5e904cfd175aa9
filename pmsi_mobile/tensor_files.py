"""Files of tensors that others made, read without running code, and what is said of files that are none."""

import argparse
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

from pmsi_mobile.errors import PmsiError


def read_tensors(path: Path) -> Any:
    """What a torch file or a .safetensors file holds, on the CPU; the content decides, not the suffix.

    Tensors and plain values only. Raises PmsiError with a plain reason when there is no such file or it is none.
    """
    head = check_tensors(path)
    import torch

    try:
        if head[8:9] == b"{":
            from safetensors.torch import load_file

            return load_file(path)
        # Training scripts store their options beside the weights; a Namespace holds nothing but values.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # PyTorch's own message advises to load the file with code and all.
        found = re.search(r"(?:GLOBAL|global) ([\w.]+)", str(error))
        if found:
            raise PmsiError(
                f"{path} holds Python objects besides tensors ({found[1]}), which could run code: in the program that "
                "made it, save the weights alone with torch.save(model.state_dict(), FILE)"
            ) from None
        raise _corrupt(path) from None
    except Exception:
        raise _corrupt(path) from None


def check_tensors(path: Path) -> bytes:
    """The first bytes of a file, once they say that it may hold tensors. Imports no PyTorch: a command says at once
    that a file is none.

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


def _corrupt(path: Path) -> PmsiError:
    return PmsiError(f"{path} cannot be read: it is cut off or corrupt; copy or download it again")


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
    except zipfile.BadZipFile:
        return "cannot be read: it is cut off or corrupt; copy or download it again"
    if any("/code/" in name for name in names):
        return "is a TorchScript program: where it was made, save torch.save(model.state_dict(), FILE)"
    if not any(name.endswith("/data.pkl") for name in names):
        first = f", it holds {names[0]}" if names else ""
        return f"is a zip archive without tensors of PyTorch{first}: unpack it where the weights are inside"
    return None
