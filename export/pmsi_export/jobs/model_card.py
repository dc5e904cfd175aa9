"""The model card beside exported files."""

from collections.abc import Iterator
from pathlib import Path

from pmsi_export.contract.schema import Contract, parse_contract, sidecar_path
from pmsi_export.formats.registry import FORMATS
from pmsi_export.jobs.card_text import Card, card_lines, is_card
from pmsi_export.jobs.job import Exported, Job, rejected_path
from pmsi_mobile.data.dataset import SPLITS, recorded_photos
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import write_text


def card_path(job: Job) -> Path:
    """One card for all formats and precisions of a stem."""
    return job.folder / f"{job.stem}.md"


def write_card(job: Job, made: Exported) -> str | None:
    """Write the card of a job's checkpoint and of all files of its stem that were made of it, atomically.

    What the owner wrote into a card that is there already stays. So does a file of that name that is no card: returns a
    note then.
    """
    path = card_path(job)
    earlier = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    if earlier and not is_card(earlier):
        return f"no model card: {path} is something else, which stays; --name gives the files another name"
    files = sorted([(made.path, made.contract), *_others(job, made)], key=lambda file: file[0].name)
    card = Card(job.stem, made.origin, files, _photos_per_class(job.checkpoint, made), earlier)
    write_text(path, "\n".join(card_lines(card)) + "\n")
    return None


def _others(job: Job, made: Exported) -> Iterator[tuple[Path, Contract]]:
    """The other files of the stem that are of the same checkpoint, passed and rejected."""
    for known in FORMATS.values():
        for precision in known.precisions:
            target = Job(job.checkpoint, known.name, precision, job.folder, job.stem).target
            for path in (target, rejected_path(target)):
                if path == made.path or not path.exists():
                    continue
                try:
                    contract = parse_contract(sidecar_path(path).read_text(encoding="utf-8"), path)
                except (OSError, UnicodeDecodeError, PmsiError):
                    continue
                if contract.checkpoint_sha256 == made.contract.checkpoint_sha256:
                    yield path, contract


def _photos_per_class(checkpoint: Path, made: Exported) -> dict[str, list[int]] | None:
    """By split, from the record beside the checkpoint; None where there is none or it is of another training."""
    recorded = recorded_photos(checkpoint.with_name("data.json"), made.contract.classes)
    trained_on = {photo.digest for photo in recorded["train"]}
    if not trained_on or (made.origin.trained_on and made.origin.trained_on != trained_on):
        return None
    counts = {split: [0] * len(made.contract.classes) for split in SPLITS}
    for split, photos in recorded.items():
        for photo in photos:
            counts[split][photo.label] += 1
    return counts
