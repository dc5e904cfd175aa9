"""One checkpoint to one format: fold, convert, check, put in place with its contract."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pmsi_export.checks.gates import agreement, failed_too, judge, not_measured
from pmsi_export.checks.photos import EvaluationPhotos, check_calibration
from pmsi_export.contract.golden_samples import GoldenSamples, write_golden
from pmsi_export.contract.schema import (
    Agreement,
    Contract,
    Parity,
    ResizeAccuracy,
    seal,
    sidecar_path,
    write_sidecar,
)
from pmsi_export.formats.onnx.pair_sums import overflows
from pmsi_export.formats.open import load_file, read_contract
from pmsi_export.formats.registry import COMPRESSED, INT8_WEIGHTS, container, converter, require
from pmsi_export.graph.fold import MixGraph, fold
from pmsi_export.graph.variant import Variant, load_variant
from pmsi_export.jobs.describe import describe
from pmsi_export.jobs.job import Exported, Job, Origin, rejected_path
from pmsi_export.jobs.staging import put_in_place, set_aside, staging
from pmsi_export.runtime.preprocess import load_images, load_resized
from pmsi_export.runtime.reference import reference_runner
from pmsi_export.runtime.runner import Image, NotRunnable, Runner, all_classes
from pmsi_export.weights.float16 import round_to_half
from pmsi_export.weights.low_bit import compress
from pmsi_mobile.checkpoint import Checkpoint
from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.resizes import RESIZES
from pmsi_mobile.errors import MeasurementError, PmsiError
from pmsi_mobile.files import sha256, size_bytes

_WIDEST = 16_384
"""Inputs of a layer whose weights are rounded for few bits: their covariance takes 1 GB."""


def export(job: Job) -> Exported:
    """Do a job and leave the file with its contract inside and beside it, and the checkpoint's golden samples.

    The file takes its name only after the parity gate: a failed one is kept as `<stem>.rejected<suffix>`, and what an
    earlier export left under either name is removed. Raises PmsiError for a checkpoint that cannot be used and for a
    missing package.
    """
    known = job.known
    require(known, known.convert_needs)
    loaded = load_variant(job.checkpoint, job.variant)
    _check_mix(loaded, job)
    graph, calibration = _graph(loaded, job)
    unmeasured = not_measured(job.precision, "not yet" if job.verify else "--no-verify")
    contract = describe(loaded, sha256(job.checkpoint), known, unmeasured, job.precision, job.variant)
    with staging(job.target.parent) as folder:
        staged = folder / job.target.name
        start = time.perf_counter()
        converter(known).convert(graph, contract, staged, calibration)
        seconds = time.perf_counter() - start
        measured = _measure(staged, job, contract, loaded) if job.verify else {}
        digest = container(known).extract(staged).content_sha256
        final = _with_ece(contract.model_copy(update={**measured, "content_sha256": digest}))
        text = seal(final)
        container(known).embed(staged, text)
        _check_classes(staged, loaded.classes)
        golden = folder / job.golden.name
        write_golden(_golden_samples(loaded), final, golden)
        put_in_place(golden, job.golden)
        placed = _put_in_place(staged, job.target, text, rejected=final.parity.status == "failed")
    origin = Origin(loaded.config.model_dump(mode="json"), loaded.provenance, loaded.trained_on)
    return Exported(placed, size_bytes(placed), final, seconds, origin)


def prepare_int8(
    checkpoint: Path, variant: Variant, photos: Sequence[Path], path: Path, *, paired_sums: bool = False
) -> None:
    """Round and correct the folded graph's weights on calibration photos, once for all int8 formats whose
    `paired_sums` is the same; to `path`."""
    from pmsi_export.weights.int8 import quantise

    loaded = load_variant(checkpoint, variant)
    config, temperature = loaded.config, loaded.confidence_of(variant.head).temperature
    graph = fold(loaded.network(), config.preprocessing, config.model.mix, variant.head, None, temperature)
    _check_widths(graph, loaded)
    images = load_images(photos, config.preprocessing)
    check_calibration(images, loaded)
    weights = quantise(graph, images, paired_sums=paired_sums).state_dict()
    # Into an open file: PyTorch's own writer says nothing of a full disk.
    with open(path, "wb") as file:
        torch.save({"weights": weights, "images": torch.from_numpy(images)}, file)


def _graph(checkpoint: Checkpoint, job: Job) -> tuple[MixGraph, NDArray[np.uint8] | None]:
    """The folded graph with the job's rounding of weights; and the images that `prepare_int8` worked with."""
    config, variant = checkpoint.config, job.variant
    temperature = checkpoint.confidence_of(variant.head).temperature
    graph = fold(
        checkpoint.network(),
        config.preprocessing,
        config.model.mix,
        variant.head,
        variant.top_k,
        temperature,
        variant.unknown_score,
    )
    if job.precision == "fp16":
        return round_to_half(graph, checkpoint.golden.images, biases=job.known.half_biases), None
    if job.precision in COMPRESSED:
        _check_widths(graph, checkpoint)
        return compress(graph, _calibration_images(checkpoint, job), job.precision), None
    if job.quantised is None:
        return graph, None
    prepared = torch.load(job.quantised, weights_only=True)
    graph.load_state_dict(prepared["weights"])
    return graph, prepared["images"].numpy()


def _check_mix(checkpoint: Checkpoint, job: Job) -> None:
    config = checkpoint.config
    averaged = config.staged and config.model.mix == "probabilities" and job.variant.head == "mix"
    if averaged and job.precision == "int8":
        raise PmsiError(
            "int8 would round the probabilities that model.mix=probabilities averages to steps of 1/255: "
            "export fp16 or int8-dynamic, or --head concat"
        )


def _check_widths(graph: MixGraph, checkpoint: Checkpoint) -> None:
    widest = max(module.in_features for module in graph.modules() if isinstance(module, nn.Linear))
    if widest > _WIDEST:
        raise PmsiError(
            f"{checkpoint.config.method} ends in a layer of {widest:,} inputs, too many for rounding its weights "
            f"(a covariance of {4 * widest**2 / 1e9:.0f} GB): export fp32 or fp16"
        )


def _calibration_images(checkpoint: Checkpoint, job: Job) -> NDArray[np.uint8]:
    if job.calibration:
        images = load_images(job.calibration, checkpoint.config.preprocessing)
        check_calibration(images, checkpoint)
        return images
    return _golden_samples(checkpoint).images


def _golden_samples(checkpoint: Checkpoint) -> GoldenSamples:
    golden = checkpoint.golden
    return GoldenSamples(golden.images.permute(0, 2, 3, 1).contiguous().numpy(), golden.probabilities.numpy())


def _measure(
    model: Path, job: Job, contract: Contract, checkpoint: Checkpoint
) -> dict[str, Parity | ResizeAccuracy | None]:
    try:
        runner = all_classes(load_file(model, verify=False), contract)
    except NotRunnable as error:
        return {"parity": not_measured(job.precision, error.reason)}
    compare = partial(agreement, runner, top_k=contract.output.top_k is not None)
    golden = _golden_samples(checkpoint)
    scores = _unknown_scores(checkpoint, job.variant.head, golden.images) if job.variant.unknown_score else None
    on_golden = compare(golden.images, golden.probabilities, unknown_scores=scores)
    on_photos = resizes = None
    if job.photos:
        on_photos, resizes = _measure_photos(runner, compare, checkpoint.config.preprocessing, job.photos)
    parity = judge(job.precision, on_golden, on_photos, runtime=job.known.runtime_here)
    if job.known.paired_sums and job.precision in INT8_WEIGHTS:
        # This processor may add in 32 bits: what a client's does is known from the weights.
        parity = failed_too(parity, overflows(model))
    return {"parity": parity, "resizes": resizes}


def _unknown_scores(checkpoint: Checkpoint, head: str, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The training network's, of images [N, H, W, 3] -> [N]."""
    runner = reference_runner(checkpoint, head)
    return np.array([runner.answer(image).unknown_score for image in images], np.float64)


def _measure_photos(
    runner: Runner, compare: Callable[..., Agreement], preprocessing: Preprocessing, photos: EvaluationPhotos
) -> tuple[Agreement, ResizeAccuracy]:
    """The agreement on the photos as the contract resizes them, and the accuracy under the other resizes."""
    others = [resize for resize in RESIZES if resize != "antialias"]
    correct = dict.fromkeys(others, 0)

    def as_the_contract_says() -> Iterator[Image]:
        for path, label in zip(photos.paths, photos.labels, strict=True):
            resized = load_resized(path, preprocessing)
            for resize in others:
                probabilities = runner.predict(resized[resize])
                correct[resize] += bool(np.isfinite(probabilities).all() and probabilities.argmax() == label)
            yield resized["antialias"]

    measured = compare(as_the_contract_says(), photos.reference, photos.labels, unknown_scores=photos.unknown_scores)
    shares = {resize: right / measured.images for resize, right in correct.items()}
    return measured, ResizeAccuracy.model_validate({"photos": measured.images, "antialias": measured.top1, **shares})


def _with_ece(contract: Contract) -> Contract:
    """With the calibration error that was measured for the gate, where there is a section for it."""
    if contract.confidence is None or contract.parity.photos is None:
        return contract
    confidence = contract.confidence.model_copy(update={"ece": contract.parity.photos.ece})
    return contract.model_copy(update={"confidence": confidence})


def _check_classes(model: Path, classes: tuple[str, ...]) -> None:
    """Read the contract as a client does. The gates compare numbers: they pass under names in whatever order."""
    if read_contract(model).classes != classes:
        raise MeasurementError(
            f"{model.name} does not name its classes in the order of the checkpoint, each photo would get the name of "
            "another class: the file is not kept, report this as a fault of pmsi-export"
        )


def _put_in_place(staged: Path, target: Path, contract: str, *, rejected: bool) -> Path:
    """Rename file and contract to their final names; the old contract goes first, so that no file ever lies beside
    another one's."""
    final, other = target, rejected_path(target)
    if rejected:
        final, other = other, final
    sidecar = write_sidecar(contract, staged)
    set_aside(sidecar_path(final), staged.parent)
    put_in_place(staged, final)
    put_in_place(sidecar, sidecar_path(final))
    for stale in (sidecar_path(other), other):
        set_aside(stale, staged.parent)
    return final
