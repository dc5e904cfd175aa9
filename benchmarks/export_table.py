"""One table of exported files: size, parity, accuracy, latency, delegated operators.

    pmsi-export --format all --precision all ckpt.pt --data photos/ --output models
    python benchmarks/export_table.py models

Parity and accuracy are those that the contract in each file records; latency and operators are taken now.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from pmsi_bench.host.machine import machine_record
from pmsi_bench.host.rounds import NotMeasured, Outcome, measure
from pmsi_bench.statistics import latency, ratio, round_medians_ms
from pmsi_bench.subjects.subject import Job
from pmsi_export.checks.inspect import Diagnosis, diagnose
from pmsi_export.contract.schema import Contract
from pmsi_export.formats.open import read_contract
from pmsi_export.formats.registry import FORMATS
from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.progress import progress
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import size_bytes

HEAD = (
    "file",
    "MB",
    "gate",
    "largest difference",
    "SQNR dB",
    "same top-1",
    "same where sure",
    "top-1",
    "ms",
    "to fp32 (95 % interval)",
    "delegated",
)


def export_table(
    folder: Annotated[Path, typer.Argument(help="Folder of exported files.")],
    rounds: Annotated[int, typer.Option(min=6, help="Rounds of the timing.")] = 20,
) -> None:
    """Print the table of all files in FOLDER in Markdown, rejected ones too."""
    files = [path for known in FORMATS.values() for path in sorted(folder.glob(f"*{known.suffix}"))]
    if not files:
        raise PmsiError(f"folder {folder} has no exported model in it: make some with pmsi-export --output {folder}")
    machine = machine_record()
    contracts = {file: read_contract(file) for file in files}
    jobs = [Job(file, contract.input.shape[2]) for file, contract in contracts.items()]
    with progress("timing") as step:
        outcomes = dict(zip(files, measure(jobs, rounds=rounds, progress=step).outcomes, strict=True))
    baselines = {contracts[file].format: outcomes[file] for file in files if contracts[file].precision == "fp32"}
    typer.echo(
        f"{machine.cpu}, 1 thread, {rounds} rounds; load average {machine.load_average} of {machine.cores} cores "
        "at the start.\n"
    )
    typer.echo(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    for file, contract in contracts.items():
        timed = _latency_cells(outcomes[file], baselines.get(contract.format))
        typer.echo(f"| {' | '.join([*_parity_cells(file, contract), *timed, _delegated(diagnose(file))])} |")


def _parity_cells(file: Path, contract: Contract) -> list[str]:
    parity = contract.parity
    measured = parity.photos or parity.golden
    head = [f"`{file.name}`", f"{size_bytes(file) / 1e6:.1f}", parity.status]
    if measured is None:
        return [*head, *["-"] * 5]
    shares = (measured.top1_agreement, measured.confident_agreement, measured.top1)
    return [
        *head,
        f"{measured.max_abs_difference:.1e}",
        "-" if measured.sqnr_db is None else f"{measured.sqnr_db:.1f}",
        *("-" if share is None else f"{share:.1%}" for share in shares),
    ]


def _latency_cells(outcome: Outcome, baseline: Outcome | None) -> list[str]:
    if isinstance(outcome, NotMeasured):
        return ["not measured", "-"]
    median = f"{latency(outcome.rounds).median_ms:.2f}"
    if baseline is None or isinstance(baseline, NotMeasured):
        return [median, "-"]
    compared = ratio(round_medians_ms(outcome.rounds), round_medians_ms(baseline.rounds))
    return [median, f"{compared.median:.3f} ({compared.low:.3f} .. {compared.high:.3f})"]


def _delegated(diagnosis: Diagnosis) -> str:
    """Operators that the delegate takes, of all; where there is no delegate, how many operators there are."""
    places: Mapping[str, int] = {
        place: sum(operator.count for operator in diagnosis.operators if operator.runs_on == place)
        for place in dict.fromkeys(operator.runs_on for operator in diagnosis.operators)
    }
    return ", ".join(f"{count} {place}" for place, count in places.items())


if __name__ == "__main__":
    entry_point(export_table)()
