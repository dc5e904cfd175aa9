"""`pmsi-bench --device`: files on a phone."""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pmsi_mobile.console.terminal import say
from pmsi_mobile.errors import MeasurementError, PmsiError

if TYPE_CHECKING:
    from pmsi_bench.phone.adb import Phone
    from pmsi_bench.phone.burst import Delegate, DeviceRunner
    from pmsi_bench.phone.record import DeviceRecord
    from pmsi_bench.results.phone_result import DeviceResult


@dataclass(frozen=True)
class DeviceOptions:
    """As given on the command line."""

    device: str
    runner: str
    delegate: str
    cores: str | None
    threads: int
    runs: int
    rounds: int
    benchmark_model: Path | None
    yes: bool


def bench_on_device(
    files: Sequence[Path], options: DeviceOptions, reports: Sequence[Path], *, as_json: bool, command: str
) -> None:
    """Measure the files on the phone, print the result and write the reports.

    Raises PmsiError for wrong use, and MeasurementError, after printing, where a file could not be measured, its
    outputs fail their gate or the phone was lost.
    """
    from pmsi_bench.reports.page import check_reports, write_reports
    from pmsi_bench.reports.phone_report import write_report
    from pmsi_bench.reports.phone_table import print_result
    from pmsi_bench.results.phone_verdict import verdict

    check_reports(reports)
    result = _measure(files, options, command)
    if as_json:
        typer.echo(result.model_dump_json(indent=2))
    else:
        print_result(result)
        for sentence in verdict(result):
            say(sentence)
    write_reports(reports, partial(write_report, result))
    if reports and not as_json:
        say(f"wrote {', '.join(map(str, reports))}")
    _raise_problems(result)
    if not as_json and not reports:
        say(f"next: {command} --report phone.html")


def _measure(files: Sequence[Path], options: DeviceOptions, command: str) -> "DeviceResult":
    from datetime import UTC, datetime

    from pmsi_bench.phone.adb import choose_phone
    from pmsi_bench.phone.burst import Job
    from pmsi_bench.phone.folder import fixed_performance, screen_kept_on
    from pmsi_bench.phone.record import read_record
    from pmsi_bench.phone.session import run_session
    from pmsi_bench.phone.thermal import Cooling
    from pmsi_bench.results.phone_result import DeviceResult, device_rows
    from pmsi_bench.subjects.collect import find_models
    from pmsi_export.contract.golden_samples import golden_of
    from pmsi_export.formats.open import read_contract
    from pmsi_mobile.console.progress import progress
    from pmsi_mobile.files import sha256

    if options.cores and options.runner == "app":
        raise PmsiError("--cores does not go with --runner app: Android chooses the cores of an app")
    delegates = _delegates(options.delegate)
    serial = _serial(options.device)
    jobs = [
        Job(model, contract, golden, delegate)
        for model in find_models(files)
        for contract in [read_contract(model)]
        for golden in [golden_of(model, contract)]
        for delegate in delegates
    ]
    phone = choose_phone(serial)
    with screen_kept_on(phone, _say):
        record = read_record(phone, options.cores)
        tool = _tool(options, record) if options.runner == "benchmark_model" else None
        cooling = Cooling(phone, _say)
        started, before = datetime.now(UTC), cooling.wait()
        with (
            _runner(options, phone, record, tool) as runner,
            fixed_performance(phone, _say) as fixed,
            progress("measuring") as step,
        ):
            session = run_session(phone, runner, jobs, rounds=options.rounds, cool=cooling.wait, progress=step)
    rows, networks = device_rows(jobs, session.outcomes, options.rounds)
    return DeviceResult(
        command=command,
        started=started,
        runner="app" if tool is None else "benchmark_model",
        tool_sha256=sha256(tool) if tool else None,
        threads=options.threads,
        runs=options.runs,
        rounds=options.rounds,
        device=record,
        fixed_performance=fixed,
        thermal_before=before,
        thermal_after=session.thermal_after,
        lost=session.lost,
        baseline=next((row.title for row in rows if row.figures), None),
        networks=networks,
        rows=rows,
    )


def _runner(
    options: DeviceOptions, phone: "Phone", record: "DeviceRecord", tool: Path | None
) -> "AbstractContextManager[DeviceRunner]":
    if tool:
        from pmsi_bench.phone.tool import tool_runner

        return tool_runner(phone, _say, tool, threads=options.threads, runs=options.runs, mask=record.affinity)
    from pmsi_bench.phone.app import app_runner

    return app_runner(phone, _say, threads=options.threads, runs=options.runs)


def _tool(options: DeviceOptions, record: "DeviceRecord") -> Path:
    from pmsi_bench.phone.binary import find_tool

    def confirm(question: str) -> bool:
        return options.yes or (sys.stdin.isatty() and typer.confirm(question, err=True))

    return find_tool(options.benchmark_model, record.abis, confirm)


def _delegates(text: str) -> "list[Delegate]":
    known: dict[str, Delegate] = {"cpu": "cpu", "gpu": "gpu", "nnapi": "nnapi"}
    names = text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise PmsiError(f"--delegate {text}: {unknown[0]!r} is none, pass one or more of cpu,gpu,nnapi")
    return [known[name] for name in dict.fromkeys(names)]


def _serial(device: str) -> str | None:
    kind, _, serial = device.partition(":")
    if kind != "adb":
        raise PmsiError(f"--device {device}: pass adb, or adb:SERIAL with a serial number of adb devices")
    return serial or None


def _say(message: str) -> None:
    say(message, err=True)


def _raise_problems(result: "DeviceResult") -> None:
    if result.lost:
        measured = sum(row.figures is not None for row in result.rows)
        raise MeasurementError(f"{result.lost}; {measured} of {len(result.rows)} rows have figures")
    failed = [(row.title, row.reason) for row in result.rows if row.status in ("partial", "failed")]
    if failed:
        raise MeasurementError(f"{len(failed)} of {len(result.rows)} could not be measured: {_grouped(failed)}")
    wrong = [(row.title, row.parity.reason) for row in result.rows if row.parity.status == "failed"]
    if wrong:
        raise MeasurementError(f"outputs of the phone fail their gate: {_grouped(wrong)}")
    if not result.baseline:
        raise MeasurementError(f"none of the files can be run this way: {result.rows[0].reason}")


def _grouped(problems: Sequence[tuple[str, str | None]]) -> str:
    """Rows and their reasons, each reason once."""
    reasons = dict.fromkeys(reason for _, reason in problems)
    return "; ".join(
        f"{' and '.join(title for title, own in problems if own == reason)} ({reason})" for reason in reasons
    )
