"""`pmsi-eval`: accuracy of every head of a checkpoint, what its probabilities are worth, and the confusion matrix."""

from pathlib import Path
from typing import Annotated

import typer

from pmsi_mobile.config import Resize
from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.terminal import console_for, escaped, say
from pmsi_mobile.training.device import HELP as DEVICE_HELP
from pmsi_mobile.training.device import Device, choose_device


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="ckpt.pt of pmsi-train.")],
    data: Annotated[Path, typer.Argument(help="Folder of photos, in any layout that pmsi-train takes.")],
    split: Annotated[
        str, typer.Option(help="test, val, train, all, or auto: test where there is one, else val.")
    ] = "auto",
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for tables and pictures [default: eval/ beside the checkpoint]."),
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
    batch_size: Annotated[int, typer.Option(min=1, help="Photos at a time.")] = 32,
    place: Annotated[Device, typer.Option("--device", help=DEVICE_HELP)] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure top-1 and top-5 of each head, Concat and Mix on DATA, and how far their probabilities can be believed."""
    import json
    import shlex
    from dataclasses import asdict

    from rich.table import Table

    from pmsi_mobile.console.progress import loading_pytorch, progress
    from pmsi_mobile.data.corruptions import read_corruption
    from pmsi_mobile.data.splits import check_split, known_photos, photos_for_evaluation
    from pmsi_mobile.files import check_photo_folder, check_writable
    from pmsi_mobile.tensor_check import check_tensors

    corruption = read_corruption(corrupt, severity, seed)
    check_split(split)
    check_tensors(checkpoint)
    check_photo_folder(data)
    folder = output or checkpoint.parent / "eval"
    check_writable(folder, data)
    loading_pytorch()
    import torch

    from pmsi_mobile import evaluation, records
    from pmsi_mobile.checkpoint import load_checkpoint
    from pmsi_mobile.commands._confidence_output import confidence_table, promise_lines
    from pmsi_mobile.confidence.measures import first_and_correct, reliability, risk_coverage
    from pmsi_mobile.confidence.promises import kept
    from pmsi_mobile.data.loading import EvalPhotos, eval_loader

    device = torch.device(choose_device(place))
    loaded = load_checkpoint(checkpoint)
    config = loaded.config
    with progress("checking photos") as report:
        photos, notes = photos_for_evaluation(
            data,
            loaded.classes,
            split,
            val_fraction=config.data.val_fraction,
            test_fraction=config.data.test_fraction,
            seed=config.seed,
            known=known_photos(checkpoint.parent / "data.json", loaded.classes, loaded.trained_on),
            progress=report,
        )
    for note in notes:
        say(f"note: {note}", err=True)

    network = loaded.network().to(device)
    seen = EvalPhotos(photos, config.preprocessing, resize, corruption=corruption)
    loader = eval_loader(seen, batch_size, config.data.workers)
    with progress("evaluating") as report:
        outputs = evaluation.run_network(
            network, loader, config.preprocessing, device, lambda done: report(done, len(photos))
        )
    heads = evaluation.accuracies(outputs, network.head_names, config.model.mix)
    confusion = evaluation.confusion_matrix(outputs, config.model.mix)

    intervals = {head: evaluation.interval(values["top1"], len(photos)) for head, values in heads.items()}
    records.write_csv(
        folder / "heads.csv",
        [
            {"head": head, **values, "top1_low": intervals[head][0], "top1_high": intervals[head][1]}
            for head, values in heads.items()
        ],
    )
    evaluation.write_per_class(folder / "per_class.csv", confusion, loaded.classes)
    records.plot_confusion(folder / "confusion.png", confusion.tolist(), loaded.classes)

    names = ("mix", "concat") if len(network.head_names) > 1 else ("mix",)
    figures = {
        name: evaluation.calibration(outputs, name, config.model.mix, loaded.confidence_of(name).temperature)
        for name in names
    }
    records.write_csv(
        folder / "confidence.csv",
        [
            {"prediction": name, "probabilities": kind, **asdict(each)}
            for name, kinds in figures.items()
            for kind, each in kinds.items()
        ],
    )
    shipped = loaded.confidence_of()
    verdicts = {
        kind: first_and_correct(
            evaluation.probabilities(outputs, "mix", config.model.mix, temperature), outputs.labels.numpy()
        )
        for kind, temperature in (("uncalibrated", 1.0), ("calibrated", shipped.temperature))
    }
    records.plot_confidence(
        folder / "confidence.png",
        {kind: reliability(*verdict) for kind, verdict in verdicts.items()},
        {kind: risk_coverage(*verdict) for kind, verdict in verdicts.items()},
    )
    promises = kept(shipped.answers, *verdicts["calibrated"])

    if as_json:
        result = {
            "checkpoint": str(checkpoint),
            "photos": len(photos),
            "split": split,
            "resize": resize,
            "corruption": str(corruption) if corruption else None,
        }
        worth = {name: {kind: asdict(each) for kind, each in kinds.items()} for name, kinds in figures.items()}
        answers = [
            {**each.promise.model_dump(), "answered_here": each.answered, "right_here": each.right} for each in promises
        ]
        typer.echo(json.dumps({**result, "heads": heads, "confidence": worth, "answers": answers}))
        return
    how = f", {corruption}" if corruption else ""
    table = Table(title=escaped(f"{len(photos)} photos of {data}, split {split}, resize {resize}{how}"))
    for column in ("head", "top-1", "95 % interval", "top-5"):
        table.add_column(column, justify="left" if column == "head" else "right")
    for head, values in heads.items():
        low, high = intervals[head]
        table.add_row(head, f"{values['top1']:.1%}", f"{low:.1%} .. {high:.1%}", f"{values['top5']:.1%}")
    console_for(table).print(table)
    worth_table = confidence_table(figures, {name: loaded.confidence_of(name).temperature for name in names})
    console_for(worth_table).print(worth_table)
    for line in promise_lines(promises):
        say(line)
    say(f"wrote {folder}/heads.csv, per_class.csv, confusion.png, confidence.csv, confidence.png")
    say(f"next: pmsi-export --format all {shlex.quote(str(checkpoint))}")


main = entry_point(evaluate)
