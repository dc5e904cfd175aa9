"""`pmsi-calibrate`: probabilities that can be believed, for a checkpoint that is there already."""

from pathlib import Path
from typing import Annotated

import typer

from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.terminal import say
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.training.device import HELP as DEVICE_HELP
from pmsi_mobile.training.device import Device, choose_device


def calibrate(
    checkpoint: Annotated[Path, typer.Argument(help="ckpt.pt of pmsi-train; it is rewritten.")],
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder of photos, in any layout that pmsi-train takes. Of the run's own photos its validation photos "
            "are used, of others all."
        ),
    ],
    batch_size: Annotated[int, typer.Option(min=1, help="Photos at a time.")] = 32,
    place: Annotated[Device, typer.Option("--device", help=DEVICE_HELP)] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fit CHECKPOINT's temperature on DATA, and find from which probability on its answers can be trusted."""
    import json
    import shlex
    from dataclasses import replace

    from pmsi_mobile.console.progress import loading_pytorch, progress
    from pmsi_mobile.data.splits import known_photos, photos_for_evaluation
    from pmsi_mobile.files import check_photo_folder, check_writable
    from pmsi_mobile.tensor_check import check_tensors

    check_tensors(checkpoint)
    check_photo_folder(data)
    check_writable(checkpoint.parent)
    loading_pytorch()
    import torch

    from pmsi_mobile.checkpoint import load_checkpoint, save_checkpoint
    from pmsi_mobile.commands._confidence_output import confidence_lines
    from pmsi_mobile.confidence import calibration
    from pmsi_mobile.data.loading import EvalPhotos, eval_loader
    from pmsi_mobile.evaluation import run_network

    device = torch.device(choose_device(place))
    loaded = load_checkpoint(checkpoint)
    config = loaded.config
    known = known_photos(checkpoint.parent / "data.json", loaded.classes, loaded.trained_on)
    with progress("checking photos") as report:
        everything, notes = photos_for_evaluation(
            data,
            loaded.classes,
            "all",
            val_fraction=config.data.val_fraction,
            test_fraction=config.data.test_fraction,
            seed=config.seed,
            progress=report,
        )
    if not known:
        notes = (*notes, "the checkpoint does not say what it was trained on: give photos that it has not seen")
    trained = sum(known.get(photo.digest) == "train" for photo in everything)
    if trained:
        notes = (*notes, f"left out {trained} photos that the run was trained on")
    for note in notes:
        say(f"note: {note}", err=True)
    validating = [photo for photo in everything if known.get(photo.digest) == "val"]
    photos = validating or [photo for photo in everything if photo.digest not in known]
    if len(photos) < calibration.FEWEST:
        raise PmsiError(
            f"{len(photos)} photos are too few to calibrate on: give {calibration.FEWEST} or more "
            "that the network was not trained on"
        )
    network = loaded.network().to(device)
    loader = eval_loader(EvalPhotos(photos, config.preprocessing), batch_size, config.data.workers)
    with progress("evaluating") as report:
        outputs = run_network(network, loader, config.preprocessing, device, lambda done: report(done, len(photos)))
    confidence = calibration.calibrate(outputs.logits, outputs.labels, config.model.mix)
    save_checkpoint(replace(loaded, confidence=confidence), checkpoint)
    if as_json:
        heads = {head: values.model_dump(mode="json") for head, values in confidence.items()}
        typer.echo(json.dumps({"checkpoint": str(checkpoint), "confidence": heads}))
        return
    for line in confidence_lines(confidence):
        say(line)
    say(f"wrote {checkpoint}; files exported before keep their probabilities")
    say(f"next: pmsi-export --format all {shlex.quote(str(checkpoint))}")


main = entry_point(calibrate)

if __name__ == "__main__":
    main()
