"""`pmsi-bench` on this host."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pmsi_mobile.console.terminal import say
from pmsi_mobile.errors import MeasurementError, PmsiError

if TYPE_CHECKING:
    from pmsi_bench.host.accuracy import Accuracy
    from pmsi_bench.host.sustained import Window
    from pmsi_bench.results.host_result import BenchResult
    from pmsi_bench.subjects.subject import Subject
    from pmsi_mobile.data.corruptions import Corruption
    from pmsi_mobile.data.splits import Photo


@dataclass(frozen=True)
class HostOptions:
    """As given on the command line. sides: of the input, all where there are none. web_runtime: of the page, where
    that is to run the files."""

    threads: tuple[int, ...]
    sides: tuple[int, ...]
    baseline: str | None
    rounds: int
    width: float | None
    seconds: float | None
    photos: Path | None
    corruption: "Corruption | None"
    minutes: float | None
    reports: tuple[Path, ...]
    web_runtime: Path | None = None


def bench_on_host(files: Sequence[Path], options: HostOptions, *, as_json: bool, command: str) -> None:
    """Measure the files and print the result. Raises PmsiError for wrong use, MeasurementError where a file could not
    be measured."""
    from pmsi_bench.reports.host_report import write_report
    from pmsi_bench.reports.host_table import print_result
    from pmsi_bench.reports.page import check_reports, write_reports
    from pmsi_bench.results.host_verdict import choices, verdict

    check_reports(options.reports)
    result = _measure(files, options, command)
    if as_json:
        typer.echo(result.model_dump_json(indent=2))
    else:
        print_result(result)
        for sentence in verdict(result):
            say(sentence)
    write_reports(options.reports, partial(write_report, result))
    if not as_json:
        best = choices(result)
        if options.reports:
            say(f"wrote {', '.join(map(str, options.reports))}")
        if options.reports and best:
            say(f"next: pmsi-predict {shlex.quote(best[0].path)} photo.jpg")
        elif not options.reports:
            say(f"next: {command} --report bench.html")
    _raise_problems(result)


def _measure(files: Sequence[Path], options: HostOptions, command: str) -> "BenchResult":
    from datetime import UTC, datetime

    from pmsi_bench.host.machine import machine_record
    from pmsi_bench.host.operators import describe
    from pmsi_bench.host.roofline import measured_peaks
    from pmsi_bench.host.rounds import Timing, measure
    from pmsi_bench.results.host_result import summarise
    from pmsi_bench.subjects.collect import find_models
    from pmsi_bench.subjects.subject import subjects
    from pmsi_mobile.console.progress import progress

    rows = subjects(find_models(files), options.threads, options.sides)
    if options.web_runtime:
        from pmsi_bench.commands._in_browser import in_browser

        rows = in_browser(rows, options.web_runtime)
    baseline = _index(options.baseline, rows)
    photos = _photos(rows, options.photos) if options.photos else ()
    if options.corruption:
        say(f"note: accuracy is measured on corrupted photos: {options.corruption}", err=True)
    started, machine = datetime.now(UTC), machine_record()
    with progress("timing") as step, measured_peaks(options.threads) as peaks:
        measurement = measure(
            [row.job for row in rows],
            rounds=options.rounds,
            width=options.width,
            seconds=options.seconds,
            baseline=baseline,
            functions=[row.function for row in rows],
            beside=peaks.measure,
            progress=step,
        )
    measured = [row for row, outcome in zip(rows, measurement.outcomes, strict=True) if isinstance(outcome, Timing)]
    with progress("looking into the files"):
        work = describe(measured)
    problems: dict[str, list[str]] = {}
    return summarise(
        rows,
        measurement,
        command=command,
        started=started,
        width=options.width,
        baseline=baseline,
        machine=machine,
        peaks=peaks.rates,
        work=work,
        accuracy=_accuracy(measured, photos, options.corruption, problems) if photos else {},
        photos=options.photos,
        sustained=_sustained(measured, options.minutes, problems) if options.minutes else {},
        problems=problems,
    )


def _index(baseline: str | None, rows: Sequence["Subject"]) -> int:
    """Raises PmsiError when no row, or more than one, has the name."""
    if baseline is None:
        return 0
    found = [index for index, row in enumerate(rows) if baseline in (row.name, row.job.model.name, str(row.job.model))]
    exact = [index for index in found if rows[index].name == baseline]
    if len(exact or found) != 1:
        names = "; ".join(row.name for row in rows)
        raise PmsiError(f"--baseline {baseline} is {'no' if not found else 'more than one'} row: choose one of {names}")
    return (exact or found)[0]


def _photos(rows: Sequence["Subject"], data: Path) -> "Sequence[Photo]":
    from pmsi_bench.host.accuracy import evaluation_set

    photos, notes = evaluation_set(data, rows)
    for note in notes:
        say(f"note: {note}", err=True)
    return photos


def _accuracy(
    rows: Sequence["Subject"],
    photos: "Sequence[Photo]",
    corruption: "Corruption | None",
    problems: dict[str, list[str]],
) -> "dict[str, Accuracy]":
    from pmsi_bench.host.accuracy import measure_accuracy
    from pmsi_mobile.console.progress import progress

    # A number of threads and a compiler change no answer.
    single = [row for row in rows if row.job.threads == rows[0].job.threads and not row.job.compiled]
    with progress("accuracy") as step:
        found, failed = measure_accuracy(single, photos, step, corruption)
    for name, problem in failed.items():
        problems.setdefault(name, []).append(f"accuracy: {problem}")
    by_model = {row.job.model: found[row.name] for row in single if row.name in found}
    return {row.name: by_model[row.job.model] for row in rows if row.job.model in by_model and not row.job.compiled}


def _sustained(rows: Sequence["Subject"], minutes: float, problems: dict[str, list[str]]) -> "dict[str, list[Window]]":
    from pmsi_bench.host.sustained import sustain
    from pmsi_mobile.console.progress import progress

    total = round(60 * minutes * len(rows))
    found = {}
    with progress("sustained load") as step:
        for number, row in enumerate(rows):
            before = round(60 * minutes * number)
            found[row.name], problem = sustain(
                row.job,
                minutes,
                lambda elapsed, before=before: step(before + round(elapsed), total),  # type: ignore[misc]
            )
            if problem:
                problems.setdefault(row.name, []).append(f"sustained load: {problem}")
    return found


def _raise_problems(result: "BenchResult") -> None:
    count = len(result.files)
    failed = [f"{file.name} ({file.reason})" for file in result.files if file.status == "failed"]
    later = [f"{file.name} ({problem})" for file in result.files for problem in file.problems]
    if failed:
        raise MeasurementError(f"{len(failed)} of {count} files could not be measured: {'; '.join([*failed, *later])}")
    if later:
        raise MeasurementError(f"timed, but not measured to the end: {'; '.join(later)}")
    if not result.baseline:
        raise MeasurementError(f"none of the {count} files can be run on this system: {result.files[0].reason}")
