"""`pmsi-export --info FILE`: what a file says of itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pmsi_mobile.console.terminal import say

if TYPE_CHECKING:
    from pmsi_export.contract.schema import Agreement, Contract, Parity


def show(model: Path, as_json: bool) -> None:
    """Print the contract inside a file, after checking it. Raises PmsiError as `read_contract` does."""
    import shlex

    from pmsi_export.formats.open import read_contract

    contract = read_contract(model)
    if as_json:
        typer.echo(contract.model_dump_json(indent=2))
        return
    for name, value in _lines(model, contract):
        say(f"{name:16}{value}")
    say(f"next: pmsi-predict {shlex.quote(str(model))} photo.jpg")


def _lines(model: Path, contract: "Contract") -> Iterator[tuple[str, str]]:
    from pmsi_export.formats.earlier import SATURATES, UNPROTECTED, saturates
    from pmsi_mobile.files import size_bytes

    image, probabilities, given = contract.input, contract.output, contract.preprocessing
    summary = contract.model
    yield "file", f"{model}, {contract.format}, {size_bytes(model) / 1e6:.1f} MB"
    yield "model", contract.title
    if summary.stages is not None:
        yield "heads", f"{summary.stages} stages, {summary.heads}, width {summary.width}, Mix of {contract.mix}"
    yield "oldest runtime", contract.minimum_runtime
    low, high = image.value_range
    yield "input", f"{image.name}: {image.dtype} {image.layout} {list(image.shape)}, {image.colour} {low:g}..{high:g}"
    yield "output", f"{probabilities.name}: {probabilities.dtype} {list(probabilities.shape)}, {probabilities.meaning}"
    yield "preprocessing", f"{given.resize_rule}; {given.crop_rule} (resize {given.resize}, crop {given.crop})"
    yield "classes", _shortened(contract.classes)
    yield from _parity_lines(contract.parity)
    if resizes := contract.resizes:
        shares = resizes.model_dump()
        photos = shares.pop("photos")
        yield "by resize", f"top-1 on {photos} photos: {', '.join(f'{way} {top1:.1%}' for way, top1 in shares.items())}"
    if confidence := contract.confidence:
        yield "calibrated", f"on {confidence.photos} photos, temperature {confidence.temperature:.2f}, in the graph"
        if confidence.too_few:
            yield "", confidence.too_few
        for answers in confidence.answers:
            right, threshold = f"{answers.right:.0%} right", f"from a first probability of {answers.threshold:.3f} on"
            yield "answers", f"{right} {threshold}, which {answers.coverage:.0%} of the photos had"
    if probabilities.unknown_score:
        unknown = confidence and confidence.unknown
        if unknown:
            kept = f"which keeps {unknown.kept:.0%} of the classes' photos"
            yield "none of these", f"above an unknown score of {unknown.threshold:.2f}, {kept}"
        else:
            yield "none of these", "no threshold of the unknown score: pmsi-calibrate makes it"
    yield "tools", ", ".join(f"{name} {version}" for name, version in contract.tools.items())
    yield "created", f"{contract.created:%Y-%m-%d %H:%M} UTC"
    yield "checkpoint", contract.checkpoint_sha256
    yield "content", f"{contract.content_sha256}, unchanged"
    seal = contract.contract_sha256
    yield "contract", f"{seal}, unchanged" if seal else UNPROTECTED
    if saturates(model, contract):
        yield "on x86", SATURATES


def _shortened(classes: tuple[str, ...]) -> str:
    shown = classes if len(classes) <= 5 else (*classes[:3], "...", classes[-1])
    return f"{len(classes)}: {', '.join(shown)}"


def _parity_lines(parity: "Parity") -> Iterator[tuple[str, str]]:
    yield "parity", parity.status + (f": {parity.reason}" if parity.reason else "")
    yield "gate", parity.gate
    for name, measured in (("golden samples", parity.golden), ("photos", parity.photos)):
        if measured:
            yield name, _agreement(measured)


def _agreement(measured: "Agreement") -> str:
    words = [
        f"{measured.images} images",
        f"largest difference {measured.max_abs_difference:.1e}",
        f"top-1 agreement {measured.top1_agreement:.1%}",
    ]
    if measured.sqnr_db is not None:
        words.append(f"SQNR {measured.sqnr_db:.1f} dB")
    if measured.top1 is not None:
        words.append(f"top-1 {measured.top1:.1%} (training network {measured.reference_top1:.1%})")
    if measured.ece is not None:
        words.append(f"calibration error {measured.ece:.3f} (training network {measured.reference_ece:.3f})")
    if score := measured.unknown_score:
        words.append(f"unknown score off by {score.max_abs_difference:.1e} at most")
    return ", ".join(words)
