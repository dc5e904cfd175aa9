"""`pmsi-bench`: how long exported model files take, and how right they are, on this host or on a phone."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.errors import PmsiError


class Runner(StrEnum):
    """What runs the files, where it is not their own runtime on this host."""

    benchmark_model = "benchmark_model"
    app = "app"
    web = "web"


def bench(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help="Files of pmsi-export, or folders of them; a ckpt.pt is run by PyTorch, eager and compiled.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of every runtime.")] = 1,
    baseline: Annotated[
        str | None, typer.Option(metavar="NAME", help="The file that ratios refer to. [default: the first]")
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, help="At most so many rounds; below 6 the ratios have no interval. [default: 40; on a phone 20]"
        ),
    ] = None,
    width: Annotated[
        float,
        typer.Option(min=0, help="Stop once the interval of every ratio is at most this part of it; 0: never."),
    ] = 0.04,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Time budget of the rounds; none begins after it. [default: none]")
    ] = None,
    accuracy: Annotated[
        Path | None,
        typer.Option(metavar="DATA", help="Folder of labelled photos: top-1 of every file on its test or val split."),
    ] = None,
    corrupt: Annotated[
        str | None,
        typer.Option(help="The photos of --accuracy: color-jitter, gaussian-noise or gaussian-noise:wrap."),
    ] = None,
    severity: Annotated[float, typer.Option(min=0, help="Of --corrupt; 1 as in the paper.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of --corrupt.")] = 0,
    sustained: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES", min=0.01, help="Then run each file so long without a pause: does the machine slow down?"
        ),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(metavar="threads=1,2,4 size=224,448", help="Files of these sizes, each on so many threads."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    reports: Annotated[
        list[Path] | None,
        typer.Option("--report", metavar="FILE", help="Write the result: .html, .csv, .md or .json; may be repeated."),
    ] = None,
    comparison: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--compare", metavar="OLD.json NEW.json", help="Only compare two results of --json."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="adb[:SERIAL]", help="Run on a phone over adb instead of on this host.")
    ] = None,
    runner: Annotated[
        Runner | None,
        typer.Option(
            help="On the phone: Google's benchmark_model, or the demo app's benchmark. On this host: web, the page of "
            "pmsi-export --web in Chromium. [default: benchmark_model; on this host each file's own runtime]"
        ),
    ] = None,
    web_runtime: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with the page's runtime. [default: where pmsi-export --web keeps it]"),
    ] = None,
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

    from pmsi_bench.subjects.sweep import split_sweep

    phone_only = {
        f"--runner {runner and runner.value}": runner not in (None, Runner.web),
        "--delegate": delegate != "cpu",
        "--cores": cores,
        "--benchmark-model": benchmark_model,
    }
    if not device and (unwanted := [name for name, given in phone_only.items() if given]):
        raise PmsiError(f"{unwanted[0]} is for phones: add --device adb")
    if web_runtime and runner is not Runner.web:
        raise PmsiError("--web-runtime is for --runner web: add that, or leave it out")
    if comparison:
        if files or reports:
            raise PmsiError("--compare reads two results and nothing else: leave out the files and --report")
        from pmsi_bench.commands._compare import show_comparison

        show_comparison(*comparison, as_json=as_json)
        return
    paths, swept = split_sweep(files or [], sweep)
    if swept.threads and threads != 1:
        raise PmsiError("--threads does not go with threads= in --sweep: leave one of them out")
    if not paths:
        raise PmsiError("no model file given: pass files of pmsi-export, or folders of them")
    command = shlex.join(["pmsi-bench", *sys.argv[1:]])
    if device:
        if runner is Runner.web:
            raise PmsiError("--runner web runs on this host: leave out --device")
        host_only = {
            "--seconds": seconds,
            "--accuracy": accuracy,
            "--corrupt": corrupt,
            "--sustained": sustained,
            "--sweep": sweep,
            "--baseline": baseline,
        }
        if unwanted := [name for name, value in host_only.items() if value is not None]:
            raise PmsiError(f"{unwanted[0]} does not go with --device: leave one of them out")
        from pmsi_bench.commands._on_phone import DeviceOptions, bench_on_device

        options = DeviceOptions(
            device,
            (runner or Runner.benchmark_model).value,
            delegate,
            cores,
            threads,
            runs,
            rounds or 20,
            benchmark_model,
            yes,
        )
        bench_on_device(paths, options, tuple(reports or ()), as_json=as_json, command=command)
        return
    from pmsi_bench.commands._on_host import HostOptions, bench_on_host
    from pmsi_mobile.data.corruptions import read_corruption
    from pmsi_mobile.files import check_photo_folder

    runtime = None
    if runner is Runner.web:
        from pmsi_bench.commands._in_browser import find_runtime

        runtime = find_runtime(web_runtime)
    corruption = read_corruption(corrupt, severity, seed)
    if accuracy:
        check_photo_folder(accuracy)
    elif corruption:
        raise PmsiError("--corrupt is for the photos of --accuracy: add --accuracy DATA")
    host = HostOptions(
        threads=swept.threads or (threads,),
        sides=swept.sides,
        baseline=baseline,
        rounds=rounds or 40,
        width=width or None,
        seconds=seconds,
        photos=accuracy,
        corruption=corruption,
        minutes=sustained,
        reports=tuple(reports or ()),
        web_runtime=runtime,
    )
    bench_on_host(paths, host, as_json=as_json, command=command)


main = entry_point(bench)
