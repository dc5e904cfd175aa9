"""`pmsi-explain`: what a checkpoint looked at in photos, and how often that is right on drawn birds."""

from pathlib import Path
from typing import Annotated

import typer

from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.terminal import say
from pmsi_mobile.errors import PmsiError


def explain(
    checkpoint: Annotated[Path, typer.Argument(help="ckpt.pt of pmsi-train.")],
    photos: Annotated[list[Path] | None, typer.Argument(help="Photos, a row of the picture each.")] = None,
    of: Annotated[
        str | None, typer.Option("--class", help="The class that is looked for [default: the one predicted].")
    ] = None,
    birds: Annotated[
        Path | None, typer.Option(help="Folder of pmsi-birds: how often the maximum lies on what tells species apart.")
    ] = None,
    output: Annotated[Path, typer.Option(help="The picture.")] = Path("explanation.png"),
) -> None:
    """Draw Grad-CAM of the stages that the heads read, in the manner of the paper's Figure 4."""
    from pmsi_mobile.console.progress import loading_pytorch, progress
    from pmsi_mobile.files import check_photo_folder, check_writable
    from pmsi_mobile.tensor_check import check_tensors

    if not photos and not birds:
        raise PmsiError("nothing to explain: give photos, or --birds FOLDER")
    check_tensors(checkpoint)
    check_writable(output.parent)
    if birds:
        check_photo_folder(birds)
    loading_pytorch()

    from pmsi_mobile import explanations
    from pmsi_mobile.checkpoint import load_checkpoint
    from pmsi_mobile.data.splits import known_photos, open_data

    loaded = load_checkpoint(checkpoint)
    if of and of not in loaded.classes:
        raise PmsiError(f"--class {of}: the checkpoint has no such class")
    label = loaded.classes.index(of) if of else None
    if photos:
        network = loaded.network()
        found = [explanations.explain_photo(network, loaded, photo, label) for photo in photos]
        explanations.draw(found, loaded.classes, output)
        say(f"wrote {output}")
    if birds:
        data = open_data(birds, val_fraction=0, test_fraction=0, seed=0)
        if data.classes != loaded.classes:
            raise PmsiError(f"{birds} has other species than the checkpoint: give the birds that it was trained on")
        known = known_photos(checkpoint.parent / "data.json", loaded.classes, loaded.trained_on)
        everything = (*data.train, *data.val, *data.test)
        # Its folds may have split the birds otherwise than their folders do.
        unseen = [photo for photo in everything if known.get(photo.digest, "test") == "test"]
        held_out = unseen if known else data.test or data.val
        if not held_out:
            raise PmsiError(f"{birds} has no birds but those that the network was trained or chosen on: draw others")
        with progress("pointing") as report:
            scores = explanations.pointing_game(loaded, held_out, birds, lambda done: report(done, len(held_out)))
        for name, share in scores.items():
            say(f"{name:8}{share:.1%} of {len(held_out)} maxima on a part that tells species apart")


main = entry_point(explain)

if __name__ == "__main__":
    main()
