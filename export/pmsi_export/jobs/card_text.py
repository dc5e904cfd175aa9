"""What a model card says. Nothing is in it that was not recorded."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pmsi_export.contract.schema import Contract
from pmsi_export.jobs.job import Origin
from pmsi_mobile.accuracy import interval
from pmsi_mobile.console.terminal import escaped
from pmsi_mobile.data.dataset import SPLITS
from pmsi_mobile.files import size_bytes

MOST_ROWS = 500
"""Classes of more are not listed one by one."""
NOT_MEASURED, NOT_KNOWN = "not measured", "not known"
_SECTIONS = {
    "use": "To be filled in by the owner of this model: for which decisions, by whom, under which conditions.",
    "licences": "To be filled in by the owner of this model where it says: not known.",
}
"""What stands in the sections that the owner writes, until then."""
_WORDS = {"train": "training", "val": "validation", "test": "test"}
_WAYS = ("antialias", "bilinear", "nearest", "area")


@dataclass(frozen=True)
class Card:
    """What a card is made from.

    stem: name of the files. files: with their contracts, all of one checkpoint, at least one. photos: of each class, by
    split; None where that is not known. earlier: the card that is replaced, empty for none.
    """

    stem: str
    origin: Origin
    files: Sequence[tuple[Path, Contract]]
    photos: Mapping[str, Sequence[int]] | None
    earlier: str


def is_card(text: str) -> bool:
    """Whether a text is a card, which may be replaced."""
    return all(f"<!-- owner: {section} -->" in text for section in _SECTIONS)


def card_lines(card: Card) -> Iterator[str]:
    """The card in Markdown. What the owner wrote into the earlier one stays."""
    origin, files = card.origin, card.files
    contract = files[0][1]
    summary, side = contract.model, contract.preprocessing.crop
    yield f"# {_text(card.stem)}"
    yield ""
    head = f", head {summary.head}" if summary.head else ""
    network = f"{summary.method} on {_text(summary.backbone)}{head}"
    yield f"{network}, {len(contract.classes)} classes, {side} x {side} pixels."
    yield f"Made by pmsi-export of a checkpoint with SHA-256 `{contract.checkpoint_sha256}`."
    yield from ("", "## What it knows", "", *_knows(card, contract))
    yield from ("", "## How it was trained", "", *_training(origin, contract))
    yield from ("", "## Accuracy", "", *_accuracy(origin, contract))
    yield from ("", "## How far its probabilities can be believed", "", *_calibration(contract))
    yield from ("", "## Other ways to resize a photo", "", *_resizes(files))
    yield from ("", "## Photos of something else", "", *_something_else(contract))
    yield from ("", "## Files", "", *_files(files))
    yield from ("", "## What it must not be used for", "", *_owned("use", card.earlier))
    yield from ("", "## Licences", "", *_licences(origin), "", *_owned("licences", card.earlier))


def _knows(card: Card, contract: Contract) -> Iterator[str]:
    if card.photos is None:
        yield f"Photos per class: {NOT_KNOWN} (no data.json of the run beside the checkpoint)."
        yield ""
    if len(contract.classes) > MOST_ROWS:
        yield f"{len(contract.classes)} classes: their names are in `{card.stem}.labels.txt`."
    elif card.photos is None:
        yield from (f"- {_text(name)}" for name in contract.classes)
    else:
        columns = [card.photos[split] for split in SPLITS]
        rows = [(_text(name), *counts) for name, *counts in zip(contract.classes, *columns, strict=True)]
        yield from _table(("class", "training photos", "validation", "test"), rows)


def _training(origin: Origin, contract: Contract) -> Iterator[str]:
    data = _dict(origin.provenance.get("data"))
    counts = [f"{data[split]} {word}" for split, word in _WORDS.items() if isinstance(data.get(split), int)]
    versions = _dict(origin.provenance.get("versions"))
    epochs = _dict(origin.config.get("train")).get("epochs", NOT_KNOWN)
    select = str(contract.metrics.get("select"))
    chosen = {"best": ", that with the best validation accuracy", "last": ", the last"}.get(select, "")
    yield f"- Photos: {', '.join(counts) or NOT_KNOWN}; data set {_text(data.get('name', NOT_KNOWN))}"
    epoch = _text(contract.metrics.get("epoch", NOT_KNOWN))
    yield f"- Epochs: {epochs}; the weights are those of epoch {epoch}{chosen}"
    yield f"- When: {_text(origin.provenance.get('created', NOT_KNOWN))}"
    yield f"- With: {', '.join(f'{_text(name)} {_text(each)}' for name, each in versions.items()) or NOT_KNOWN}"
    yield "- All values (`pmsi-train --print-config` explains them):"
    yield ""
    values = yaml.safe_dump(_without_folders(origin.config), sort_keys=False, default_flow_style=None, width=1000)
    yield from (f"      {escaped(line)}" for line in values.splitlines())


def _accuracy(origin: Origin, contract: Contract) -> Iterator[str]:
    rows = [row for split in ("test", "val") for row in _heads(split, _dict(contract.metrics.get(split)))]
    if not rows:
        yield f"Of the checkpoint: {NOT_MEASURED}."
        return
    trained = _dict(origin.config.get("preprocessing")).get("crop")
    side = contract.preprocessing.crop
    at = "" if trained in (side, None) else f" These figures are of {trained} pixels, the files take {side}."
    yield f"Of the training network, on photos that it was not trained on.{at}"
    yield ""
    yield from _table(("split", "photos", "head", "top-1", "95 % interval", "top-5"), rows)
    if contract.metrics.get("select") == "best" and "val" in contract.metrics:
        yield ""
        yield "The epoch was chosen by the validation photos, which makes the figures of that split a little too good."


def _heads(split: str, measured: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    photos = measured.get("photos")
    for head, values in _dict(measured.get("heads")).items():
        top1, top5 = (_dict(values).get(key) for key in ("top1", "top5"))
        if isinstance(top1, float) and 0 <= top1 <= 1 and isinstance(photos, int) and photos > 0:
            low, high = interval(top1, photos)
            further = _share(top5) if isinstance(top5, float) else NOT_MEASURED
            yield _WORDS[split], photos, _text(head), _share(top1), f"{_share(low)} to {_share(high)}", further


def _calibration(contract: Contract) -> Iterator[str]:
    confidence = contract.confidence
    if confidence is None:
        yield "Not calibrated: a probability of 80 % does not mean that 80 of 100 such answers are right."
    else:
        calibrated = (
            f"Calibrated on {confidence.photos} photos (temperature {confidence.temperature:.2f}, in the files)."
        )
        yield f"{calibrated} These {confidence.too_few}." if confidence.too_few else calibrated
        if confidence.answers:
            yield "With 95 % confidence, for photos from where those came from:"
            yield ""
        for each in confidence.answers:
            answered = f"which {_share(each.coverage, 0)} of those photos had"
            threshold = f"from a first probability of {each.threshold:.3f} on, {answered}"
            yield f"- {_share(each.right, 0)} of the answers are right {threshold}"
        if not confidence.answers:
            yield "From which probability on its answers are right is not promised."
        if unknown := confidence.unknown:
            yield ""
            kept = f"{_share(unknown.kept, 0)} of photos of the classes are below it"
            yield f"Above an unknown score of {unknown.threshold:.2f} a photo shows none of the classes; {kept}."
    measured = _dict(_dict(contract.metrics.get("test")).get("confidence"))
    errors = [
        f"{kind} {each['ece']:.3f}" for kind, each in measured.items() if isinstance(_dict(each).get("ece"), float)
    ]
    yield ""
    yield f"Expected calibration error of the training network on the test photos: {', '.join(errors) or NOT_MEASURED}."


def _something_else(contract: Contract) -> Iterator[str]:
    unknown = contract.confidence.unknown if contract.confidence else None
    score = contract.output.unknown_score
    if score is None:
        yield "It names one of its classes for every photo."
    elif unknown is None:
        yield f"It gives an unknown score too ({score}); from where on it means none of the classes is {NOT_KNOWN}."
    else:
        yield (
            f"It gives an unknown score too ({score}). Above {unknown.threshold:.2f} a photo counts as "
            f"none of the classes; {_share(unknown.kept, 0)} of the classes' own photos or more are below."
        )
    yield f"How many photos of something else it notices: {NOT_MEASURED}."


def _resizes(files: Sequence[tuple[Path, Contract]]) -> Iterator[str]:
    rows = [
        (f"`{path.name}`", each.photos, *(_share(getattr(each, way)) for way in _WAYS))
        for path, contract in files
        if (each := contract.resizes)
    ]
    if not rows:
        yield f"What a program loses that resizes otherwise than the contract says: {NOT_MEASURED}."
        return
    yield "Top-1 on the same photos; `antialias` is what the contract says, the others are what other programs do."
    yield ""
    yield from _table(("file", "photos", *_WAYS), rows)


def _files(files: Sequence[tuple[Path, Contract]]) -> Iterator[str]:
    rows = []
    for path, contract in files:
        parity, photos = contract.parity, contract.parity.photos
        top1 = NOT_MEASURED if photos is None or photos.top1 is None else f"{_share(photos.top1)} of {photos.images}"
        ece = NOT_MEASURED if photos is None or photos.ece is None else f"{photos.ece:.3f}"
        gate = parity.status + (f": {_text(parity.reason)}" if parity.reason else "")
        size = f"{size_bytes(path) / 1e6:.2f}"
        runtime = _text(contract.minimum_runtime)
        rows.append((f"`{path.name}`", contract.precision, size, runtime, gate, top1, ece, NOT_MEASURED))
    head = ("file", "precision", "MB", "oldest runtime", "gate", "top-1", "calibration error", "latency")
    yield from _table(head, rows)
    yield ""
    yield "The gate compares a file with the training network. `pmsi-bench` measures latency, here and on a phone."


def _licences(origin: Origin) -> Iterator[str]:
    model = _dict(origin.config.get("model"))
    data = _dict(origin.provenance.get("data")).get("name", NOT_KNOWN)
    weights = _text(_without_folders(model.get("weights", NOT_KNOWN)))
    yield f"- Initial weights of the backbone (`model.weights`): {weights}; licence: {NOT_KNOWN}"
    yield f"- Photos ({_text(data)}): licence: {NOT_KNOWN}"


def _owned(section: str, earlier: str) -> Iterator[str]:
    begin, end = f"<!-- owner: {section} -->", "<!-- /owner -->"
    kept = re.search(f"{re.escape(begin)}\n(.*?)\n{re.escape(end)}", earlier, re.DOTALL)
    yield from (begin, kept[1] if kept else _SECTIONS[section], end)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(map(str, row))} |"


def _share(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f} %"


def _text(value: object) -> str:
    """On one line, and without what Markdown or HTML would take for its own."""
    return re.sub(r"([\\`*_\[\]<>|&])", r"\\\1", " ".join(escaped(str(value)).split()))


def _without_folders(value: Any) -> Any:
    """A configuration whose paths are names of files: where they were on the machine is nobody's business."""
    if isinstance(value, dict):
        return {key: _without_folders(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_folders(each) for each in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _dict(value: object) -> dict[str, Any]:
    """What should be a table, of a checkpoint of any version."""
    return value if isinstance(value, dict) else {}
