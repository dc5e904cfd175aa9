"""`--sweep threads=1,2,4 size=224,448`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pmsi_mobile.errors import PmsiError

_KEYS = ("threads", "size")


@dataclass(frozen=True)
class Sweep:
    """Empty where nothing was asked for. sides: of the input, in pixels."""

    threads: tuple[int, ...] = ()
    sides: tuple[int, ...] = ()


def split_sweep(arguments: Sequence[str], sweep: str | None) -> tuple[list[Path], Sweep]:
    """The files among the arguments, and what is to be swept: the shell gives `size=...` behind `--sweep threads=...`
    as one more argument. Raises PmsiError for what is neither."""
    if sweep is None:
        return [Path(argument) for argument in arguments], Sweep()
    is_item = [argument.partition("=")[0] in _KEYS and not Path(argument).exists() for argument in arguments]
    items = [sweep, *(argument for argument, item in zip(arguments, is_item, strict=True) if item)]
    files = [Path(argument) for argument, item in zip(arguments, is_item, strict=True) if not item]
    values = dict(_parse(part) for item in items for part in item.split())
    return files, Sweep(values.get("threads", ()), values.get("size", ()))


def _parse(item: str) -> tuple[str, tuple[int, ...]]:
    key, _, values = item.partition("=")
    numbers = values.split(",")
    if key not in _KEYS or not all(number.isascii() and number.isdigit() and int(number) > 0 for number in numbers):
        raise PmsiError(f"--sweep {item} is not understood: write threads=1,2,4 or size=224,448")
    return key, tuple(dict.fromkeys(int(number) for number in numbers))
