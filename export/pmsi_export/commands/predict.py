"""`pmsi-predict`: the top classes of photos, from a checkpoint or from any exported file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.terminal import escaped, say
from pmsi_mobile.errors import MeasurementError, PmsiError

if TYPE_CHECKING:
    from pmsi_export.runtime.runner import Runner
    from pmsi_mobile.config import Preprocessing

CHECKPOINT_SUFFIXES = (".pt", ".pth")


def predict(
    model: Annotated[Path, typer.Argument(help="ckpt.pt of pmsi-train, or a file of pmsi-export.")],
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders of photos.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to show for each photo.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Name the most probable classes of each photo."""
    import json
    import shlex

    paths = _list_photos(photos)
    runner, classes, preprocessing = _open(model)
    predictions = [_predict(path, runner, classes, preprocessing, top) for path in paths]
    if as_json:
        typer.echo(json.dumps({"model": str(model), "predictions": predictions}))
    else:
        _print_table(predictions)
        command = "pmsi-export --format all" if model.suffix in CHECKPOINT_SUFFIXES else "pmsi-bench"
        typer.echo(f"next: {command} {shlex.quote(str(model))}")
    unreadable = [prediction["photo"] for prediction in predictions if "error" in prediction]
    if unreadable:
        of = f"{len(unreadable)} of {len(paths)} photos have"
        raise MeasurementError(f"{of} no prediction, the first is {unreadable[0]}")


def _list_photos(given: list[Path]) -> list[Path]:
    """The files as they are, and of folders every photo, sorted; what is passed over there is told. Raises PmsiError
    for none."""
    from pmsi_mobile.data.files import list_images_and_notes

    paths: list[Path] = []
    for path in given:
        if not path.exists():
            raise PmsiError(f"photo {path} does not exist")
        found, notes = list_images_and_notes(path) if path.is_dir() else ([path], ())
        paths += found
        for note in notes:
            say(f"note: {note}", err=True)
    return paths


def _open(model: Path) -> "tuple[Runner, tuple[str, ...], Preprocessing]":
    if model.suffix in CHECKPOINT_SUFFIXES:
        from pmsi_export.runtime.reference import reference_runner
        from pmsi_mobile.checkpoint import load_checkpoint

        checkpoint = load_checkpoint(model)
        return reference_runner(checkpoint), checkpoint.classes, checkpoint.config.preprocessing
    from pmsi_export.formats.open import load_file, read_contract
    from pmsi_export.runtime.runner import all_classes

    contract = read_contract(model)
    runner = all_classes(load_file(model, verify=False), contract)
    return runner, contract.classes, contract.preprocessing.for_network()


def _predict(
    path: Path, runner: "Runner", classes: tuple[str, ...], preprocessing: "Preprocessing", top: int
) -> dict[str, Any]:
    import numpy as np

    from pmsi_export.runtime.preprocess import load_image
    from pmsi_mobile.data.images import UnreadableImage

    try:
        image = load_image(path, preprocessing)
    except UnreadableImage as error:
        return {"photo": str(path), "error": error.reason}
    probabilities = runner.predict(image)
    if not np.isfinite(probabilities).all():
        return {"photo": str(path), "error": "the model gives no probabilities for it, but what is not a number"}
    best = (-probabilities).argsort(kind="stable")[:top]
    return {
        "photo": str(path),
        # A top-k file knows nothing of the others, which are zero here.
        "top": [
            {"class": classes[index], "probability": float(probabilities[index])}
            for index in best
            if probabilities[index] > 0
        ],
    }


def _print_table(predictions: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("photo", "top classes")
    for prediction in predictions:
        ranking = [f"{entry['probability']:6.1%}  {escaped(entry['class'])}" for entry in prediction.get("top", [])]
        table.add_row(escaped(prediction["photo"]), "\n".join(ranking) or f"no prediction: {prediction['error']}")
    Console(markup=False, highlight=False).print(table)


main = entry_point(predict)
