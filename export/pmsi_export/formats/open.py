"""Opening an exported file: its contract, held against its content, and its runtime."""

from pathlib import Path

from pmsi_export.contract.schema import Contract, parse_contract
from pmsi_export.formats.registry import FORMATS, container, format_of, get_format, loader, require
from pmsi_export.runtime.runner import Runner, all_classes
from pmsi_export.runtime.silence import silenced
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import size_bytes

LARGEST_FILE = 2 << 30
"""Bytes: FlatBuffers and protocol buffers, which most formats are made of, end there."""


def load_file(path: Path, threads: int = 1, *, verify: bool = True) -> Runner:
    """Open an exported file with its runtime on `threads` CPU threads.

    verify: check first that the file is whole and its contract its own. Without it, the runner of a top-k file gives
    the k probabilities and their classes.
    Raises NotRunnable when this system cannot run the file, PmsiError when the path is not an exported file, cannot be
    read, or its runtime is not installed.
    """
    known = format_of(path)
    if not path.exists():
        raise PmsiError(f"model {path} does not exist")
    require(known, known.run_needs)
    contract = read_contract(path) if verify else None
    try:
        with silenced():
            runner = loader(known).load(path, threads)
    except PmsiError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise PmsiError(f"{path} cannot be read as a {known.name} model: {reason}") from None
    return all_classes(runner, contract) if contract else runner


def read_contract(model: Path) -> Contract:
    """The contract inside an exported file.

    Raises PmsiError when the path is not an exported file, the file has no contract that this version can read, or
    its content is not the one that the contract was written for.
    """
    known = format_of(model)
    if not model.exists():
        raise PmsiError(f"model {model} does not exist")
    if size_bytes(model) > LARGEST_FILE:
        raise PmsiError(f"{model} has more than {LARGEST_FILE >> 30} GB: it is no file of pmsi-export")
    embedded = container(known).extract(model)
    again = "export it again from its checkpoint"
    if not embedded.text:
        raise PmsiError(f"{model} has no contract inside, it is cut off or not from pmsi-export: {again}")
    contract = parse_contract(embedded.text, model)
    if contract.format != known.name:
        suffix = get_format(contract.format).suffix if contract.format in FORMATS else contract.format
        raise PmsiError(f"{model} is a {contract.format} file under another name: rename it to {suffix}")
    if contract.content_sha256 != embedded.content_sha256:
        raise PmsiError(f"{model} has changed since it was exported, or has the contract of another file: {again}")
    return contract
