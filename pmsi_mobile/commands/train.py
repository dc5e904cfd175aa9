"""`pmsi-train`: a folder of photos in, a run folder with ckpt.pt out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.errors import PmsiError

if TYPE_CHECKING:
    from accelerate import Accelerator

    from pmsi_mobile.config import Config
    from pmsi_mobile.data.splits import DataSet


def train(
    data: Annotated[
        Path,
        typer.Argument(help="Folder of class folders (with or without train/val/test), CUB, Cars or Aircraft."),
    ],
    preset: Annotated[str | None, typer.Option(help="Recipe: paper, released or mobile [default: mobile].")] = None,
    method: Annotated[str | None, typer.Option(help="rmg-pmsi or baseline (the plain backbone classifier).")] = None,
    backbone: Annotated[
        str | None, typer.Option(help="mobilenet_v2, resnet18, resnet34 or a timm model's name.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Initial weights: FILE, imagenet or none.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs to train.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the run.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override any value, e.g. model.width=320."),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(help="Which photo is in which split: the data.json of a run, instead of a split of its own."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Run folder [default: runs/<name of DATA>].")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the run folder.")] = False,
) -> None:
    """Train a fine-grained classifier on DATA.

    On several GPUs or machines: torchrun --nproc-per-node N -m pmsi_mobile.commands.train DATA ...
    """
    from pmsi_mobile.config import parse_assignments

    named = {
        "method": method,
        "model.backbone": backbone,
        "model.weights": weights,
        "train.epochs": epochs,
        "seed": seed,
    }
    overrides = {key: value for key, value in named.items() if value is not None} | parse_assignments(assignments or [])
    folder = output or Path("runs") / data.resolve().name
    config = _resolve(preset, overrides, folder, resume)

    from accelerate import Accelerator, DistributedDataParallelKwargs

    from pmsi_mobile.commands._train_output import ConsoleListener, console, heads_table
    from pmsi_mobile.training.loop import Trainer

    # Each phase trains its own classifier only, so the others' parameters are unused in it.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    try:
        accelerator = Accelerator(mixed_precision=config.train.precision, kwargs_handlers=[unused])
    except ValueError as error:
        raise PmsiError(f"train.precision={config.train.precision} cannot be used here: {error}") from None
    dataset = _open(data, split, config, folder, accelerator)
    trainer = Trainer(config, dataset, folder, accelerator)
    if accelerator.is_main_process:
        console.print(
            f"{config.method} on {dataset.root}: {len(dataset.classes)} classes, {len(dataset.train)} training, "
            f"{len(dataset.val)} validation, {len(dataset.test)} test photos; {accelerator.device}, "
            f"{accelerator.num_processes} process(es), epoch {trainer.progress.epoch + 1} of {config.train.epochs}"
        )
    with ConsoleListener(config.train.epochs) as listener:
        checkpoint = trainer.fit(listener)
    if accelerator.is_main_process:
        table = heads_table(checkpoint)
        if table:
            console.print(table)
        typer.echo(f"wrote {checkpoint} (curves: {folder / 'curves.png'})")
        typer.echo(f"next: pmsi-export --format all {checkpoint}")
    accelerator.end_training()


def _resolve(preset: str | None, overrides: dict[str, Any], folder: Path, resume: bool) -> "Config":
    """The run's configuration; with `--resume` the saved one, which options given again must agree with."""
    from pmsi_mobile.config import load_config, override, read_config

    saved = folder / "config.yaml"
    if not saved.exists():
        if resume:
            raise PmsiError(f"{folder} holds no run to resume: check --output, or leave --resume out to start one")
        return load_config(preset or "mobile", overrides)
    if not resume:
        raise PmsiError(f"{folder} already holds a run: go on with --resume, or choose another --output")
    config = read_config(saved)
    asked = load_config(preset, overrides) if preset else override(config, overrides)
    if asked != config:
        raise PmsiError(f"the run in {folder} was started with other settings (see {saved}): resume takes its own")
    return config


def _open(root: Path, split: Path | None, config: "Config", folder: Path, accelerator: "Accelerator") -> "DataSet":
    """The data set, split once on the main process and recorded in the run, so that a resumed run has the same."""
    from pmsi_mobile.commands._train_output import console
    from pmsi_mobile.config import save_config
    from pmsi_mobile.console.progress import progress
    from pmsi_mobile.data.splits import load_data, open_data, save_data

    record = folder / "data.json"
    with accelerator.main_process_first():
        if accelerator.is_main_process and not record.exists():
            if split:
                data = load_data(split, root)
            else:
                with progress("checking photos") as report:
                    data = open_data(
                        root,
                        val_fraction=config.data.val_fraction,
                        test_fraction=config.data.test_fraction,
                        seed=config.seed,
                        progress=report,
                    )
            for note in data.notes:
                console.print(f"note: {note}")
            folder.mkdir(parents=True, exist_ok=True)
            save_data(data, record)
            save_config(config, folder / "config.yaml")
        return load_data(record, root)


main = entry_point(train)

if __name__ == "__main__":
    main()
