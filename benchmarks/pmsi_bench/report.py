"""The HTML report: one file, no network, no script."""

from pathlib import Path

from pmsi_bench.plot import latency_plot
from pmsi_bench.results import BenchResult
from pmsi_bench.verdict import fastest, verdict
from pmsi_mobile.files import write_text


def write_report(result: BenchResult, path: Path) -> None:
    """Write the report of `result` to `path`, atomically."""
    write_text(path, render(result))


def render(result: BenchResult) -> str:
    """The page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("pmsi_bench"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    plot = latency_plot(result) if result.baseline else ""
    return environment.get_template("report.html").render(
        result=result, verdict=verdict(result), fastest=fastest(result), plot=Markup(plot)
    )
