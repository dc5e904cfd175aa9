"""One checkpoint to one format: fold, convert, check, put in place with its contract."""

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pmsi_export.contract import (
    Contract,
    InputSpec,
    ModelSummary,
    OutputSpec,
    Parity,
    PreprocessingSpec,
    sidecar_path,
    write_labels,
    write_sidecar,
)
from pmsi_export.fold import fold
from pmsi_export.parity import agreement, judge, not_measured
from pmsi_export.preprocess import load_image
from pmsi_export.registry import Format, format_module, load_file, require
from pmsi_export.runner import NotRunnable
from pmsi_mobile.checkpoint import Checkpoint, load_checkpoint
from pmsi_mobile.files import sha256, size_bytes
from pmsi_mobile.provenance import versions

PRECISION = "fp32"


@dataclass(frozen=True)
class EvaluationPhotos:
    """Labelled photos and the training network's probabilities [N, K] of them."""

    paths: Sequence[Path]
    labels: Sequence[int]
    reference: NDArray[np.float32]


@dataclass(frozen=True)
class Exported:
    """What an export left on disk. `path` has a name that says rejected when the gate failed."""

    path: Path
    size_bytes: int
    contract: Contract
    convert_seconds: float


def export(
    checkpoint: Path, known: Format, target: Path, *, verify: bool = True, photos: EvaluationPhotos | None = None
) -> Exported:
    """Export `checkpoint` to `target`, with its contract and labels beside it.

    The file takes its name only after the parity gate: a failed one is kept as `<stem>.rejected<suffix>`, and what an
    earlier export left under either name is removed. Raises PmsiError for a checkpoint that cannot be used and for a
    missing package.
    """
    require(known, known.convert_needs)
    loaded = load_checkpoint(checkpoint)
    graph = fold(loaded.network(), loaded.config.preprocessing, loaded.config.model.mix)
    unmeasured = not_measured(PRECISION, "--no-verify" if not verify else "not yet")
    contract = describe(loaded, sha256(checkpoint), known, unmeasured)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pmsi-export-", dir=target.parent) as staging:
        staged = Path(staging) / target.name
        start = time.perf_counter()
        format_module(known).convert(graph, contract, staged)
        seconds = time.perf_counter() - start
        parity = _measure(staged, loaded, photos) if verify else unmeasured
        final = contract.model_copy(update={"parity": parity})
        placed = _put_in_place(staged, target, final)
    return Exported(placed, size_bytes(placed), final, seconds)


def describe(checkpoint: Checkpoint, digest: str, known: Format, parity: Parity) -> Contract:
    """The contract of `checkpoint` (its file's SHA-256 is `digest`) in a format."""
    config, classes = checkpoint.config, checkpoint.classes
    crop = config.preprocessing.crop
    interactive = config.method == "rmg-pmsi"
    return Contract(
        format=known.name,
        precision=PRECISION,
        model=ModelSummary(
            method=config.method,
            backbone=config.model.backbone,
            stages=config.model.stages if interactive else None,
            heads=config.model.heads if interactive else None,
            width=config.model.width if interactive else None,
        ),
        input=InputSpec(
            layout=known.layout,
            shape=(1, crop, crop, 3) if known.layout == "NHWC" else (1, 3, crop, crop),
        ),
        output=OutputSpec(shape=(1, len(classes))),
        classes=classes,
        preprocessing=PreprocessingSpec(**config.preprocessing.model_dump()),
        mix=config.model.mix if interactive else None,
        checkpoint_sha256=digest,
        tools=versions(*dict.fromkeys(("torch", *known.convert_needs, *known.run_needs))),
        created=datetime.now(UTC),
        parity=parity,
        metrics=checkpoint.metrics,
    )


def rejected_path(target: Path) -> Path:
    """`model.tflite` -> `model.rejected.tflite`."""
    return target.with_name(f"{target.stem}.rejected{target.suffix}")


def _measure(model: Path, checkpoint: Checkpoint, photos: EvaluationPhotos | None) -> Parity:
    try:
        runner = load_file(model)
    except NotRunnable as error:
        return not_measured(PRECISION, error.reason)
    golden = checkpoint.golden
    images = golden.images.permute(0, 2, 3, 1).contiguous().numpy()
    on_golden = agreement(runner, images, golden.probabilities.numpy())
    on_photos = None
    if photos:
        preprocessing = checkpoint.config.preprocessing
        decoded = (load_image(path, preprocessing) for path in photos.paths)
        on_photos = agreement(runner, decoded, photos.reference, photos.labels)
    return judge(PRECISION, on_golden, on_photos)


def _put_in_place(staged: Path, target: Path, contract: Contract) -> Path:
    failed = contract.parity.status == "failed"
    for stale in (target, rejected_path(target)):
        _remove(stale)
        sidecar_path(stale).unlink(missing_ok=True)
    final = rejected_path(target) if failed else target
    os.replace(staged, final)
    write_sidecar(contract, final)
    write_labels(contract.classes, target)
    return final


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
