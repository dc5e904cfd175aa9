"""`pmsi-bench --compare OLD.json NEW.json`."""

from dataclasses import asdict
from pathlib import Path

import typer

from pmsi_mobile.console.terminal import say


def show_comparison(old: Path, new: Path, *, as_json: bool) -> None:
    """Print what became slower or faster. Raises MeasurementError when something became slower, or failed."""
    import json

    from pmsi_bench.results.compare import compare
    from pmsi_bench.results.host_result import read_result
    from pmsi_mobile.errors import MeasurementError

    comparison = compare(read_result(old), read_result(new))
    if as_json:
        typer.echo(json.dumps(asdict(comparison), default=lambda value: value.model_dump(), indent=2))
    else:
        for change in comparison.changes:
            factor = change.factor
            interval = "" if factor.low is None else f", interval {factor.low:.3f} .. {factor.high:.3f}"
            points = "" if change.accuracy is None else f", top-1 {change.accuracy:+.1f} points"
            say(f"{change.name}: {change.verdict}, {factor.median:.3f} times as long{interval}{points}")
        for name, reason in comparison.failed.items():
            say(f"{name}: failed now, {reason}")
        if len(comparison.changes) > 1:
            say("note: the intervals hold together with 95 % confidence")
        if comparison.machine:
            say(f"note: the machine took {comparison.machine.median:.3f} times as long for the baseline itself")
        for names, which in ((comparison.only_old, old), (comparison.only_new, new)):
            if names:
                say(f"only in {which}: {', '.join(names)}")
        for warning in comparison.warnings:
            say(f"note: {warning}")
    slower = [change.name for change in comparison.changes if change.verdict == "slower"]
    problems = [f"slower than before: {', '.join(slower)}"] if slower else []
    problems += [f"failed now: {', '.join(comparison.failed)}"] if comparison.failed else []
    if problems:
        raise MeasurementError("; ".join(problems))
