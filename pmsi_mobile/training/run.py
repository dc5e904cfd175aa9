"""A run from a folder of photos to ckpt.pt."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator, DistributedDataParallelKwargs

from pmsi_mobile import records
from pmsi_mobile.config import Config, save_config
from pmsi_mobile.data.splits import DataSet, load_data, open_data, save_data
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import check_photo_folder, check_writable
from pmsi_mobile.methods.registry import build_network
from pmsi_mobile.training.device import Device, choose_device
from pmsi_mobile.training.loop import Trainer
from pmsi_mobile.training.own_teachers import check_teachers, own_teachers
from pmsi_mobile.training.run_folder import begin, is_begun, resolve


def train(
    data: Path | str,
    output: Path | str,
    *,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    device: Device = "auto",
    resume: bool = False,
) -> Path:
    """Train a classifier on a folder of photos; returns the path of ckpt.pt in the run folder `output`.

    preset: one of PRESETS; where none is given, as for `load_config`. settings: values that go before the preset's, by
    their dotted keys (`{"train.epochs": 20, "model.weights": "none"}`). resume: go on with the run in `output`.
    Nothing is printed; `output`/metrics.csv gets a row per epoch.
    Raises PmsiError for what cannot be trained, MeasurementError when the loss is no longer finite, and Interrupted,
    with the state saved, on Ctrl-C.
    """
    data, folder = Path(data), Path(output)
    check_photo_folder(data)
    config, _ = resolve(preset, dict(settings or {}), folder, resume)
    check_writable(folder, None if is_begun(folder) else data)
    check_teachers(config, folder)
    accelerator = open_accelerator(config, device)
    split = None
    for place, settings_there in runs_of(config, folder, accelerator).items():
        photos, _ = open_photos(data, split, settings_there, place, accelerator)
        open_trainer(settings_there, photos, place, accelerator).fit(_Unheard())
        split = place / "data.json"
    return folder / "ckpt.pt"


def open_accelerator(config: Config, device: Device) -> Accelerator:
    """What the run computes on. Raises PmsiError where this machine has no such device or precision."""
    place = choose_device(device)
    # Each phase trains its own classifier only, so the others' parameters are unused in it.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    try:
        return Accelerator(cpu=place == "cpu", mixed_precision=config.train.precision, kwargs_handlers=[unused])
    except ValueError as error:
        raise PmsiError(f"train.precision={config.train.precision} cannot be used here: {error}") from None


def runs_of(config: Config, folder: Path, accelerator: Accelerator) -> dict[Path, Config]:
    """Run folder -> configuration of what is to be trained, in this order: the teachers of its own that the run in
    `folder` has, unless it is begun already, and that run, which is recorded so that `--resume` finds it.

    Raises PmsiError when a backbone or weights cannot be had: they are cheaper to try than photos are to check.
    """
    own = {} if is_begun(folder) else own_teachers(config, folder)
    runs = {**own, folder: config}
    for place, settings in runs.items():
        with accelerator.main_process_first():
            build_network(settings, 2, load_weights=not is_begun(place))
    if own and accelerator.is_main_process:
        save_config(config, folder / "config.yaml")
    return runs


def open_trainer(config: Config, photos: DataSet, folder: Path, accelerator: Accelerator) -> Trainer:
    """The run in `folder`, begun or resumed, with its configuration recorded there."""
    trainer = Trainer(config, photos, folder, accelerator)
    if accelerator.is_main_process:
        save_config(config, folder / "config.yaml")
    return trainer


def open_photos(
    root: Path,
    split: Path | None,
    config: Config,
    folder: Path,
    accelerator: Accelerator,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[DataSet, tuple[str, ...]]:
    """The data set, split once on the main process and recorded in the run folder, so that a resumed run has the
    same; and notes for the log where it was split now. split: the record of another run to take.

    Raises PmsiError for photos that cannot be used, and when a resumed run has another split than `split`.
    """
    record, resuming = folder / "data.json", is_begun(folder)
    notes: tuple[str, ...] = ()
    with accelerator.main_process_first():
        if accelerator.is_main_process and not resuming:
            if split:
                data = load_data(split, root)
            else:
                fractions = {"val_fraction": config.data.val_fraction, "test_fraction": config.data.test_fraction}
                data = open_data(root, **fractions, seed=config.seed, progress=progress)
            notes = data.notes
            begin(folder, config)
            save_data(data, record)
        data = load_data(record, root)
    if split and resuming and not _same_split(data, load_data(split, root)):
        raise PmsiError(f"the run in {folder} has another split than {split}: leave --split out to resume")
    return data, notes


def _same_split(first: DataSet, second: DataSet) -> bool:
    return all(set(getattr(first, name)) == set(getattr(second, name)) for name in ("classes", "train", "val", "test"))


class _Unheard:
    def step(self, epoch: int, step: int, steps: int, losses: dict[str, float], photos_per_second: float) -> None:
        pass

    def epoch(self, row: records.Row) -> None:
        pass
