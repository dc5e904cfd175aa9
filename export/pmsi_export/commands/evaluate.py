"""`pmsi-eval`: accuracy of a checkpoint or an exported file, what its probabilities are worth, and what it confuses."""

from pathlib import Path
from typing import Annotated

import typer

from pmsi_mobile.config import Resize
from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.terminal import say
from pmsi_mobile.training.device import HELP as DEVICE_HELP
from pmsi_mobile.training.device import Device


def evaluate(
    model: Annotated[Path, typer.Argument(help="ckpt.pt of pmsi-train, or a file of pmsi-export.")],
    data: Annotated[Path, typer.Argument(help="Folder of photos, in any layout that pmsi-train takes.")],
    split: Annotated[
        str, typer.Option(help="test, val, train, all, or auto: test where there is one, else val.")
    ] = "auto",
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for tables and pictures [default: eval/ beside MODEL]."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Run folder that MODEL comes from, whose data.json says what was trained on "
            "[default: the folder that MODEL is in]."
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="page.html",
            help="A page with all figures, and with the photos that show what goes wrong.",
        ),
    ] = None,
    resize: Annotated[
        Resize,
        typer.Option(help="How photos are resized: antialias as in training, or as some clients do."),
    ] = "antialias",
    corrupt: Annotated[
        str | None, typer.Option(help="color-jitter, gaussian-noise or gaussian-noise:wrap (Table VII).")
    ] = None,
    severity: Annotated[float, typer.Option(min=0, help="Of --corrupt; 1 as in the paper.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of --corrupt.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos at a time, of a checkpoint.")] = 32,
    place: Annotated[Device, typer.Option("--device", help=DEVICE_HELP)] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure MODEL on DATA: top-1 and top-5 of each head, and how far the probabilities can be believed."""
    import json
    import shlex
    import sys

    from pmsi_export.evaluation.open import check_model
    from pmsi_export.formats.registry import is_exported
    from pmsi_mobile.data.corruptions import read_corruption
    from pmsi_mobile.data.splits import check_split
    from pmsi_mobile.files import check_photo_folder, check_writable

    corruption = read_corruption(corrupt, severity, seed)
    check_split(split)
    check_model(model, place)
    check_photo_folder(data)
    folder = output or model.parent / "eval"
    check_writable(folder, data)
    if page:
        from pmsi_export.evaluation.report import check_report

        check_report(page, data)

    import numpy as np

    from pmsi_export.commands._evaluate_output import as_plain, print_figures
    from pmsi_export.evaluation.figures import figures_of
    from pmsi_export.evaluation.open import open_model
    from pmsi_export.evaluation.photos import photos_of, training_photos
    from pmsi_export.evaluation.tables import NAMES, write_tables
    from pmsi_mobile.console.progress import loading_pytorch, progress

    if not is_exported(model):
        loading_pytorch()
    opened = open_model(model, place, batch_size)
    with progress("checking photos") as report:
        photos, notes = photos_of(opened, data, split, run, report)
    for note in (*opened.notes, *notes):
        say(f"note: {note}", err=True)
    with progress("evaluating") as report:
        predictions = opened.predict(photos, resize, corruption, report)
    figures = figures_of(predictions, np.array([photo.label for photo in photos]), opened)
    write_tables(figures, folder)
    if page:
        from pmsi_export.evaluation.report import Evaluation, write_report

        told = (*opened.notes, *notes)
        found = Evaluation(opened, data, split, resize, corruption, photos, predictions, figures, told)
        with progress("writing the page"):
            write_report(page, found, training_photos(opened, data, run), shlex.join(["pmsi-eval", *sys.argv[1:]]))
    if as_json:
        how = {"split": split, "resize": resize, "corruption": str(corruption) if corruption else None}
        typer.echo(json.dumps({"model": str(model), "photos": len(photos), **how, **as_plain(figures)}))
        return
    changed = f", {corruption}" if corruption else ""
    print_figures(figures, f"{len(photos)} photos of {data}, split {split}, resize {resize}{changed}")
    say(f"wrote {folder}/{', '.join(NAMES)}{f' and {page}' if page else ''}")
    command = "pmsi-bench" if is_exported(model) else "pmsi-export --format all"
    say(f"next: {command} {shlex.quote(str(model))}")


main = entry_point(evaluate)
