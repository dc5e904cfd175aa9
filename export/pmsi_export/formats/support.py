"""The README's table of formats and precisions, from the registry.

python -m pmsi_export.formats.support README.md    # writes it between the two marks
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from pmsi_export.formats.registry import FORMATS, PRECISIONS
from pmsi_mobile.files import write_text

MARKS = ("<!-- formats -->\n", "<!-- /formats -->\n")


def support_table() -> str:
    """Formats by precisions in Markdown, with the reasons for what a format cannot do."""
    head = ["`--format`", "file", "run by", "input layout", *(f"`{name}`" for name in PRECISIONS)]
    lines = [_line(head), _line(["---"] * len(head))]
    for known in FORMATS.values():
        marks = ["yes" if precision in known.precisions else "-" for precision in PRECISIONS]
        runtimes = "; ".join([known.runtime, *(f"{name} elsewhere" for name in dict.fromkeys(known.stand_in.values()))])
        lines.append(_line([f"`{known.name}`", f"`{known.suffix}`", runtimes, known.layout, *marks]))
    lines.append("")
    refusals = _grouped(
        (f"{', '.join(names)}: {reason}", f"`{known.name}`")
        for known in FORMATS.values()
        for reason, names in _grouped((reason, name) for name, reason in known.refused.items()).items()
    )
    lines += [f"- Not in {', '.join(formats)}: {text}." for text, formats in refusals.items()]
    lines.append("")
    for known in FORMATS.values():
        needs = _grouped((runtime, name) for name, runtime in known.precisions.items())
        oldest = "; ".join(f"{runtime} ({', '.join(names)})" for runtime, names in needs.items())
        lines.append(f"- Oldest runtime for `{known.name}`: {oldest}.")
    return "\n".join(lines) + "\n"


def with_table(text: str) -> str:
    """`text` with the table between its marks replaced. Raises ValueError where there are no marks."""
    before, _, rest = text.partition(MARKS[0])
    _, mark, after = rest.partition(MARKS[1])
    if not mark:
        raise ValueError(f"no {MARKS[0].strip()} ... {MARKS[1].strip()} in the text")
    return f"{before}{MARKS[0]}{support_table()}{MARKS[1]}{after}"


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, member in pairs:
        groups.setdefault(key, []).append(member)
    return groups


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    write_text(page, with_table(page.read_text(encoding="utf-8")))
