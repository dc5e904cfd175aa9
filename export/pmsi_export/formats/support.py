"""The tables of formats in the READMEs, from the registry.

python -m pmsi_export.formats.support README.md export/README.md    # writes them between their marks
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pmsi_export.formats.registry import FORMATS, PRECISIONS
from pmsi_mobile.files import write_text


def summary_table() -> str:
    """Where each format runs, in which precisions it can be had, for a reader who has to choose one."""
    lines = [_line(["for", "`--format`", "file", "`--precision`"]), _line(["---"] * 4)]
    for known in FORMATS.values():
        precisions = ", ".join(name for name in PRECISIONS if name in known.precisions)
        lines.append(_line([known.use, f"`{known.name}`", f"`{known.suffix}`", precisions]))
    return "\n".join(lines) + "\n"


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


TABLES: Mapping[str, Callable[[], str]] = {"formats": summary_table, "precisions": support_table}
"""By the names of their marks, `<!-- name -->` and `<!-- /name -->`."""


def with_tables(text: str) -> str:
    """`text` with the tables between its marks replaced. Raises ValueError where it has no marks."""
    found = False
    for name, table in TABLES.items():
        before, opening, rest = text.partition(f"<!-- {name} -->\n")
        _, closing, after = rest.partition(f"<!-- /{name} -->\n")
        if opening and closing:
            found = True
            text = f"{before}{opening}{table()}{closing}{after}"
    if not found:
        raise ValueError(f"no marks of {' or '.join(TABLES)} in the text")
    return text


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, member in pairs:
        groups.setdefault(key, []).append(member)
    return groups


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:]):
        write_text(page, with_tables(page.read_text(encoding="utf-8")))
