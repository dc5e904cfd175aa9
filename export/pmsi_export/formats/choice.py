"""Which formats in which precisions a user means."""

from pmsi_export.formats.registry import FORMATS, PRECISIONS, Format, get_format, refusal, require
from pmsi_mobile.errors import PmsiError


def choose(
    formats: list[str], precisions: list[str], top_k: int | None = None, unknown_score: bool = False
) -> tuple[list[tuple[Format, str]], dict[str, list[str]]]:
    """The pairs of format and precision that are meant; why others of `all` cannot be had -> the formats.

    Raises PmsiError for an unknown name, a package that is not installed, and a pair that was asked for by name and
    cannot be had.
    """
    unknown = next((name for name in precisions if name not in (*PRECISIONS, "all")), None)
    if unknown:
        raise PmsiError(f"unknown precision '{unknown}': choose from {', '.join(PRECISIONS)}")
    known = [get_format(name) for name in dict.fromkeys(FORMATS if "all" in formats else formats)]
    wanted = PRECISIONS if "all" in precisions else tuple(dict.fromkeys(precisions))
    pairs = [(each, precision) for each in known for precision in wanted]
    chosen: list[tuple[Format, str]] = []
    refused: dict[str, list[str]] = {}
    for each, precision in pairs:
        if reason := refusal(each, precision, top_k, unknown_score):
            refused.setdefault(reason, []).append(each.name)
        else:
            chosen.append((each, precision))
    if refused and (not chosen or "all" not in (*formats, *precisions)):
        reason, (first, *_) = next(iter(refused.items()))
        raise PmsiError(f"{first} cannot be written {reason}")
    for each, _ in chosen:
        require(each, each.convert_needs)
    return chosen, refused
