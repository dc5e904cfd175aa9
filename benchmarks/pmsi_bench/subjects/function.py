"""Which function a file computes."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from pmsi_export.contract.schema import Contract


class Function(NamedTuple):
    """Equal for files that should give the same probabilities. side: of the square input image, in pixels."""

    checkpoint_sha256: str
    head: str | None
    side: int
    classes: tuple[str, ...]


def function_of(contract: Contract) -> Function:
    """That of an exported file."""
    # Contracts of the first files name no head, and have the mix.
    head = contract.model.head or ("mix" if contract.model.stages is not None else None)
    return Function(contract.checkpoint_sha256, head, contract.preprocessing.crop, contract.classes)


def numbered(functions: Sequence[Hashable]) -> list[int]:
    """For each, the how manieth of the different ones it is, from 0 on."""
    different = list(dict.fromkeys(functions))
    return [different.index(function) for function in functions]
