"""`pmsi-predict`: the top classes of photos, from a checkpoint or from any exported file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.terminal import escaped, plain_console, say
from pmsi_mobile.errors import MeasurementError, PmsiError

if TYPE_CHECKING:
    from pmsi_export.jobs.predictor import Predictor


def predict(
    model: Annotated[Path, typer.Argument(help="ckpt.pt of pmsi-train, or a file of pmsi-export.")],
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders of photos.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to show for each photo.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Name the most probable classes of each photo."""
    import json
    import shlex

    from pmsi_export.formats.registry import is_exported
    from pmsi_export.jobs.predictor import open_predictor

    paths = _list_photos(photos)
    predictor = open_predictor(model)
    for note in predictor.notes:
        say(f"note: {model}: {note}", err=True)
    predictions = [_predict(path, predictor, top) for path in paths]
    if as_json:
        typer.echo(json.dumps({"model": str(model), "predictions": predictions}))
    else:
        _print_table(predictions)
        command = "pmsi-bench" if is_exported(model) else "pmsi-export --format all"
        say(f"next: {command} {shlex.quote(str(model))}")
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


def _predict(photo: Path, predictor: "Predictor", top: int) -> dict[str, Any]:
    from pmsi_mobile.data.images import UnreadableImage

    try:
        best, none = predictor.predict(photo, top)
    except UnreadableImage as error:
        return {"photo": str(photo), "error": error.reason}
    except MeasurementError as error:
        return {"photo": str(photo), "error": str(error)}
    sure = None if predictor.threshold is None else best[0][1] >= predictor.threshold
    ranking = [{"class": name, "probability": value} for name, value in best]
    return {"photo": str(photo), "none_of_these": none, "sure": sure, "top": ranking}


def _print_table(predictions: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("photo", "top classes")
    for prediction in predictions:
        ranking = [f"{entry['probability']:6.1%}  {escaped(entry['class'])}" for entry in prediction.get("top", [])]
        if prediction.get("none_of_these"):
            ranking.insert(0, "none of these")
        elif prediction.get("sure") is False:
            ranking.insert(0, f"not sure: {' or '.join(escaped(entry['class']) for entry in prediction['top'][:2])}")
        table.add_row(escaped(prediction["photo"]), "\n".join(ranking) or f"no prediction: {prediction['error']}")
    plain_console().print(table, soft_wrap=False)


main = entry_point(predict)
