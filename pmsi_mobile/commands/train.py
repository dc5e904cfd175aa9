"""`pmsi-train`: a folder of photos in, a run folder with ckpt.pt out."""

import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.progress import loading_pytorch
from pmsi_mobile.console.terminal import escaped, say
from pmsi_mobile.errors import Interrupted, PmsiError
from pmsi_mobile.training.device import HELP as DEVICE_HELP
from pmsi_mobile.training.device import Device

if TYPE_CHECKING:
    from accelerate import Accelerator

    from pmsi_mobile.config import Config


def train(
    data: Annotated[
        Path | None,
        typer.Argument(help="Folder of class folders (with or without train/val/test), CUB, Cars or Aircraft."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Recipe: mobile (hbp), mobile-plain (the plain classifier), mobile-rmg (rmg-pmsi), paper or released "
            "[default: the --method's; mobile]."
        ),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="rmg-pmsi, baseline (the plain classifier), pmg, bcnn, hbp, pc or api.")
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(help="none, rmg, jigsaw, cutmix, mixup, or snapmix [default: the method's own]."),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="mobilenet_v2, resnet18, resnet34 or a timm model's name.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="The backbone's initial weights: FILE, imagenet, none or hf-hub:OWNER/NAME.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", help="Fine-tune this ckpt.pt on other classes: all but its last layers."),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            help="Learn from this ckpt.pt of the same classes too; several: from their mean. A preset's name: that "
            "network is trained first."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs to train.")] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Train as many epochs as fit into this time, instead of --epochs."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the run.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override any value, e.g. model.width=320."),
    ] = None,
    config_file: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="YAML with values that go before the preset's.")
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print every value with what it means, and stop.")
    ] = False,
    split: Annotated[
        Path | None,
        typer.Option(help="Which photo is in which split: the data.json of a run, instead of a split of its own."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Run folder [default: runs/<name of DATA>].")] = None,
    device: Annotated[Device, typer.Option(help=DEVICE_HELP)] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the run folder.")] = False,
) -> None:
    """Train a fine-grained classifier on DATA.

    On several GPUs or machines: torchrun --nproc-per-node N -m pmsi_mobile.commands.train DATA ...
    """
    from pmsi_mobile.commands._print_config import as_commented_yaml
    from pmsi_mobile.config import load_config, parse_assignments, read_overrides
    from pmsi_mobile.files import check_photo_folder, check_writable
    from pmsi_mobile.network.sources import check_source
    from pmsi_mobile.training.own_teachers import check_teachers
    from pmsi_mobile.training.run_folder import architecture, is_begun, resolve

    if data is None and not print_config:
        raise PmsiError("DATA is missing: give the folder that holds the photos (--help shows how)")
    if data:
        check_photo_folder(data)
    if epochs is not None and minutes is not None:
        raise PmsiError("--epochs and --minutes both say how long to train: give one of them")
    if split and not split.is_file():
        raise PmsiError(f"--split {split} does not exist: give the data.json of a run")
    named = {
        "method": method,
        "train.augment": augment,
        "model.backbone": backbone,
        "model.weights": weights,
        "train.teacher": teacher or None,
        "train.epochs": epochs,
        "train.minutes": minutes,
        "seed": seed,
    }
    overrides = (
        (architecture(start) if start else {})
        | (read_overrides(config_file) if config_file else {})
        | {key: value for key, value in named.items() if value is not None}
        | parse_assignments(assignments or [])
    )
    if data is None or print_config:
        typer.echo(as_commented_yaml(load_config(preset, overrides)), nl=False)
        return
    folder = output or Path("runs") / data.resolve().name
    config, notes = resolve(preset, overrides, folder, resume)
    check_writable(folder, None if is_begun(folder) else data)
    if not is_begun(folder):
        check_source(config.model.weights)
    check_teachers(config, folder)
    loading_pytorch()

    from pmsi_mobile.commands._train_output import console
    from pmsi_mobile.training.run import open_accelerator, runs_of
    from pmsi_mobile.training.threads import use_idle_cores

    accelerator = open_accelerator(config, device)
    busy = use_idle_cores() if accelerator.device.type == "cpu" else None
    for note in [*notes, busy] if busy else notes:
        console.print(escaped(f"note: {note}"))
    for place, settings in runs_of(config, folder, accelerator).items():
        checkpoint = _run(data, split, settings, place, accelerator, again=folder)
        split = place / "data.json"
    if accelerator.is_main_process:
        say(f"next: pmsi-export --format all {shlex.quote(str(checkpoint))}")
    accelerator.end_training()


def _run(
    data: Path, split: Path | None, config: "Config", folder: Path, accelerator: "Accelerator", again: Path
) -> Path:
    """Train what is to be in `folder` to its end; its ckpt.pt. again: the folder that `--resume` is to be told."""
    from pmsi_mobile.checkpoint import load_checkpoint
    from pmsi_mobile.commands._confidence_output import confidence_lines
    from pmsi_mobile.commands._train_output import ConsoleListener, class_names, console, heads_table
    from pmsi_mobile.console.progress import progress
    from pmsi_mobile.training.run import open_photos, open_trainer

    with progress("checking photos") if accelerator.is_main_process else nullcontext() as report:
        dataset, found = open_photos(data, split, config, folder, accelerator, report)
    for note in found:
        console.print(escaped(f"note: {note}"))
    trainer = open_trainer(config, dataset, folder, accelerator)
    minutes = config.train.minutes
    planned = f"as many as fit into {minutes:g} minutes" if minutes else str(config.train.epochs)
    if accelerator.is_main_process:
        heading = (
            f"{config.method}{'' if folder == again else ' (teacher)'} on {dataset.root}: "
            f"{len(dataset.classes)} classes, {len(dataset.train)} training, {len(dataset.val)} validation, "
            f"{len(dataset.test)} test photos; {accelerator.device}, {accelerator.num_processes} process(es), "
            f"epoch {trainer.progress.epoch + 1} of {planned}"
        )
        console.print(escaped(heading))
        console.print(class_names(dataset.classes))
    with ConsoleListener(lambda: trainer.length.epochs) as listener:
        try:
            checkpoint = trainer.fit(listener)
        except Interrupted as stop:
            how = _how_to_go_on(data, again, trainer.progress.epoch, trainer.length.epochs)
            raise Interrupted(stop.signal_number, how) from None
    if accelerator.is_main_process:
        if trainer.progress.epoch < trainer.length.epochs:
            console.print(f"ended early: no better for {config.train.patience} epochs (train.patience)")
        table = heads_table(checkpoint)
        if table:
            console.print(table)
        for line in confidence_lines(load_checkpoint(checkpoint).confidence):
            console.print(line)
        say(f"wrote {checkpoint} (curves: {folder / 'curves.png'})")
    return checkpoint


def _how_to_go_on(data: Path, folder: Path, epoch: int, epochs: int) -> str:
    from pmsi_mobile.training.run_folder import holds_work

    where = f"in epoch {epoch + 1} of {epochs}" if epoch < epochs else "after the last epoch"
    if not holds_work(folder):
        return f"interrupted {where}, before anything was saved"
    command = shlex.join(["pmsi-train", str(data), "--output", str(folder), "--resume"])
    return f"interrupted {where}; the state is saved, go on with: {command}"


main = entry_point(train)

if __name__ == "__main__":
    main()
