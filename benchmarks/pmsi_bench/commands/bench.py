"""`pmsi-bench`: how long exported model files take on this host or on a phone."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pmsi_mobile.cli import entry_point
from pmsi_mobile.errors import PmsiError

if TYPE_CHECKING:
    from pmsi_bench.results import BenchResult, FileResult


class Runner(StrEnum):
    """What runs the files on a phone."""

    benchmark_model = "benchmark_model"
    app = "app"


def bench(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of pmsi-export, or folders of them.")],
    threads: Annotated[int, typer.Option(min=1, help="Threads of every runtime.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; below 6 the ratios have no interval.")] = 20,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Time budget for everything; no round begins after it. [default: none]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write the result as an HTML page too.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="adb[:SERIAL]", help="Run on a phone over adb instead of on this host.")
    ] = None,
    runner: Annotated[
        Runner, typer.Option(help="On the phone: Google's benchmark_model, or the demo app's benchmark.")
    ] = Runner.benchmark_model,
    delegate: Annotated[
        str, typer.Option(metavar="cpu,gpu,nnapi", help="On the phone: one or more, each a row of its own.")
    ] = "cpu",
    cores: Annotated[
        str | None, typer.Option(metavar="big|little|MASK", help="On the phone: the cores to keep to. [default: any]")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="On the phone: inferences in each round.")] = 50,
    benchmark_model: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The program to use. [default: Google's, fetched once after asking]"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Fetch benchmark_model without asking.")] = False,
) -> None:
    """Time model files side by side: interleaved rounds, each file in its own process, ratios to the first."""
    import shlex
    import sys
    from datetime import UTC, datetime

    command = shlex.join(["pmsi-bench", *sys.argv[1:]])
    if device:
        if seconds or report:
            raise PmsiError(
                f"{'--seconds' if seconds else '--report'} does not go with --device: leave one of them out"
            )
        from pmsi_bench.commands._on_device import DeviceOptions, bench_on_device

        options = DeviceOptions(device, runner.value, delegate, cores, threads, runs, rounds, benchmark_model, yes)
        bench_on_device(files, options, as_json=as_json, command=command)
        return

    from pmsi_bench.collect import find_models
    from pmsi_bench.measure import Job, measure
    from pmsi_bench.report import write_report
    from pmsi_bench.results import summarise
    from pmsi_bench.system import machine_record
    from pmsi_bench.verdict import fastest, verdict
    from pmsi_export.contract import read_contract
    from pmsi_mobile.errors import MeasurementError
    from pmsi_mobile.progress import progress

    models = find_models(files)
    contracts = [read_contract(model) for model in models]
    jobs = [Job(model, contract.preprocessing.crop) for model, contract in zip(models, contracts, strict=True)]
    started, machine = datetime.now(UTC), machine_record()
    with progress("timing") as step:
        outcomes = measure(jobs, threads=threads, rounds=rounds, seconds=seconds, progress=step)
    result = summarise(
        models,
        contracts,
        outcomes,
        command=command,
        started=started,
        threads=threads,
        rounds_asked=rounds,
        machine=machine,
    )
    if report:
        write_report(result, report)
    if as_json:
        typer.echo(result.model_dump_json(indent=2))
    else:
        _print_table(result)
        typer.echo(verdict(result))
        if report:
            typer.echo(f"wrote {report}")
            if best := fastest(result):
                typer.echo(f"next: pmsi-predict {shlex.quote(best.path)} photo.jpg")
        else:
            typer.echo(f"next: {result.command} --report bench.html")
    failed = [f"{file.name} ({file.reason})" for file in result.files if file.status == "failed"]
    if failed:
        raise MeasurementError(f"{len(failed)} of {len(models)} files could not be measured: {'; '.join(failed)}")
    if not result.baseline:
        raise MeasurementError(f"none of the {len(models)} files can be run on this system: {result.files[0].reason}")


def _print_table(result: "BenchResult") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    machine = result.machine
    threads = "1 thread" if result.threads == 1 else f"{result.threads} threads"
    table = Table(
        title=f"this host ({machine.cpu}), {threads}, {result.rounds} of {result.rounds_asked} rounds",
        caption=f"times in ms; ratio to {result.baseline}, with its 95 % interval",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
    )
    for column in ("file", "prec.", "MB", "median", "p90", "ratio", "interval", "parity"):
        text = column in ("file", "prec.", "parity")
        table.add_column(column, justify="left" if text else "right", no_wrap=column != "parity")
    for file in result.files:
        table.add_row(
            file.name, file.precision, f"{file.size_bytes / 1e6:.2f}", *_cells(file, result.baseline), file.parity
        )
    console = Console(markup=False, highlight=False)
    console.print(table)
    for file in result.files:
        if file.status == "not runnable":
            console.print(f"{file.name}: cannot run on this system, {file.reason}")
    if machine.busy:
        console.print(
            f"note: load average {machine.load_average} on {machine.cores} cores at the start: other work makes the "
            "latencies too long; the ratios suffer less"
        )


def _cells(file: "FileResult", baseline: str | None) -> list[str]:
    figures = file.figures
    if not figures:
        return ["failed" if file.status == "failed" else "none", "", "", ""]
    ratio = figures.ratio
    interval = "none" if ratio.low is None else f"{ratio.low:.3f} .. {ratio.high:.3f}"
    return [
        f"{figures.latency.median_ms:.2f}",
        f"{figures.latency.p90_ms:.2f}",
        f"{ratio.median:.3f}",
        "baseline" if file.name == baseline else interval,
    ]


main = entry_point(bench)
