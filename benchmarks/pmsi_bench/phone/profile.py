"""The operator profile that `benchmark_model` writes as CSV (`--profiling_output_csv_file`)."""

from collections.abc import Iterable, Iterator

from pydantic import BaseModel, ConfigDict

_RUNS = "Operator-wise Profiling Info for Regular Benchmark Runs"
_RUN_ORDER = " Run Order "
_DELEGATE = "Delegate internal"


class OpTime(BaseModel):
    """One operator of the graph, or of a delegate's own graph."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    """`CONV_2D`, or the delegate that executes a piece of the graph."""
    name: str
    mean_ms: float
    share: float
    """Of the run's time, in 0..1."""
    inside_delegate: bool


def parse_profile(text: str) -> list[OpTime]:
    """The operators of the regular runs in the order in which they run; none for a file without such a section.

    Reads the columns by the names in their header: builds before 2.10 have one more. Commas in names are tabs there.
    """
    return list(_operators(text.partition(_RUNS)[2].splitlines()))


def _operators(lines: Iterable[str]) -> Iterator[OpTime]:
    columns: list[str] = []
    in_run_order = inside_delegate = False
    for line in lines:
        if line.startswith("=="):
            in_run_order, columns = _RUN_ORDER in line, []
        elif line.startswith(_DELEGATE):
            inside_delegate = True
        elif in_run_order and line.startswith("node type, "):
            columns = line.split(", ")
        # Only the first column may have commas of its own.
        elif columns and len(cells := line.rsplit(", ", len(columns) - 1)) == len(columns):
            row = dict(zip(columns, cells, strict=True))
            yield OpTime(
                kind=row["node type"],
                name=row["name"].replace("\t", ","),
                mean_ms=float(row["avg_ms"]),
                share=float(row["%"].rstrip("%")) / 100,
                inside_delegate=inside_delegate,
            )
