"""What a benchmark compares: exported files, and a checkpoint run by PyTorch as a reference."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pmsi_bench.subjects.collect import short_names
from pmsi_bench.subjects.function import Function, function_of
from pmsi_export.contract.schema import PreprocessingSpec
from pmsi_export.formats.open import read_contract
from pmsi_export.formats.registry import get_format, is_exported
from pmsi_mobile.console.progress import loading_pytorch
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.tensor_check import check_tensors

CHECKPOINT = "checkpoint"
"""The format of a reference."""


@dataclass(frozen=True)
class Job:
    """A model file or a checkpoint, the side of its square input image in pixels, and how it is run.

    compiled: of a checkpoint, by torch.compile. web_runtime: folder with the runtime of the page of `pmsi-export
    --web`, for a file that is run by that page in a browser.
    """

    model: Path
    side: int
    threads: int = 1
    compiled: bool = False
    web_runtime: Path | None = None


@dataclass(frozen=True)
class Subject:
    """One row of a result before it is measured.

    name: told apart from all others of a run. content_sha256: which file it is.
    """

    name: str
    job: Job
    format: str
    runtime: str
    precision: str
    preprocessing: PreprocessingSpec
    function: Function
    content_sha256: str
    parity: Literal["passed", "failed", "not measured", "reference"]
    gate: str


def subjects(models: Sequence[Path], threads: Sequence[int], sides: Sequence[int] = ()) -> list[Subject]:
    """Rows of the model files and checkpoints, for each number of threads; sides: only files of these input sizes.

    Raises PmsiError for a file without a contract, a checkpoint that cannot be used, and a side that no file has.
    """
    described = [row for name, model in zip(short_names(models), models, strict=True) for row in _rows(name, model)]
    for side in sides:
        if not any(row.preprocessing.crop == side for row in described):
            raise PmsiError(f"no file given has an input of {side} pixels: pmsi-export --size {side} ckpt.pt makes one")
    chosen = [row for row in described if not sides or row.preprocessing.crop in sides]
    return [_with_threads(row, count, threads) for row in chosen for count in threads]


def _rows(name: str, model: Path) -> list[Subject]:
    return [_exported(name, model)] if is_exported(model) else _references(name, model)


def _exported(name: str, model: Path) -> Subject:
    contract = read_contract(model)
    return Subject(
        name=name,
        job=Job(model, contract.preprocessing.crop),
        format=contract.format,
        runtime=get_format(contract.format).runtime,
        precision=contract.precision,
        preprocessing=contract.preprocessing,
        function=function_of(contract),
        content_sha256=contract.content_sha256,
        parity=contract.parity.status,
        gate=contract.parity.gate,
    )


def _references(name: str, checkpoint: Path) -> list[Subject]:
    check_tensors(checkpoint)
    loading_pytorch()
    from pmsi_mobile.checkpoint import load_checkpoint
    from pmsi_mobile.files import sha256

    loaded, digest = load_checkpoint(checkpoint), sha256(checkpoint)
    preprocessing = PreprocessingSpec(**loaded.config.preprocessing.model_dump())
    head = "mix" if loaded.config.staged else None
    function = Function(digest, head, preprocessing.crop, loaded.classes)
    return [
        Subject(
            name=f"{name}, {'compiled' if compiled else 'eager'}",
            job=Job(checkpoint, preprocessing.crop, compiled=compiled),
            format=CHECKPOINT,
            runtime="PyTorch",
            precision="fp32",
            preprocessing=preprocessing,
            function=function,
            content_sha256=digest,
            parity="reference",
            gate="the others are compared with it",
        )
        for compiled in (False, True)
    ]


def _with_threads(subject: Subject, count: int, all_counts: Sequence[int]) -> Subject:
    name = subject.name if len(all_counts) == 1 else f"{subject.name}, {count} thread{'s' if count > 1 else ''}"
    return replace(subject, name=name, job=replace(subject.job, threads=count))
