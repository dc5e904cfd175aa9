"""What files of earlier versions lack, in words for those who use them."""

from collections.abc import Iterator
from pathlib import Path

from pmsi_export.contract.schema import Contract
from pmsi_export.formats.onnx.metadata import properties
from pmsi_export.formats.onnx.pair_sums import PAIR_SUM

UNPROTECTED = "unprotected: written by an earlier version, a change in the contract would not be noticed"
SATURATES = (
    "the sums of this int8 file overflow on x86 processors without VNNI (before 2019, AMD before Zen 4), which gives "
    "wrong classes: it is run here with session.x64quantprecision=1, which is exact and slower; set that session "
    "option in your program, or export the checkpoint again"
)


def saturates(model: Path, contract: Contract) -> bool:
    """Whether the sums of an int8 .onnx were not bounded when it was written: some processors get them wrong."""
    return contract.format == "onnx" and contract.precision.startswith("int8") and PAIR_SUM not in properties(model)


def shortcomings(model: Path, contract: Contract) -> Iterator[str]:
    """A sentence for each; none for a file of this version."""
    if not contract.contract_sha256:
        yield UNPROTECTED
    if saturates(model, contract):
        yield SATURATES
