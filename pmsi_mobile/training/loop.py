"""Progressive multi-stage training (Algorithm 1), resumable at any step.

A run folder holds `config.yaml`, `data.json` (which photo is in which split), `calibration/` (photos for int8),
`state.pt` (what `--resume` needs), `metrics.csv`, `tensorboard/` and `ckpt.pt`; at the end also `curves.png` and
`heads.csv`. A run that Ctrl-C, SIGTERM or an error stops leaves `state.pt` and `curves.png` too.
"""

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pmsi_mobile import records
from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.config import Config
from pmsi_mobile.data.cache import ResizedPhotos
from pmsi_mobile.data.calibration import FOLDER as CALIBRATION
from pmsi_mobile.data.calibration import save_calibration
from pmsi_mobile.data.loading import (
    TrainPhotos,
    derive_seed,
    evaluation_keys,
    steps_per_epoch,
    train_loader,
    training_keys,
)
from pmsi_mobile.data.photo_augment import photo_augment
from pmsi_mobile.data.splits import DataSet
from pmsi_mobile.errors import Interrupted, MeasurementError, PmsiError
from pmsi_mobile.evaluation import final_head
from pmsi_mobile.methods.registry import Network, build_network, phases
from pmsi_mobile.methods.registry import batches as draw_batches
from pmsi_mobile.training.batch import image_passes, train_batch
from pmsi_mobile.training.budget import epochs_within
from pmsi_mobile.training.distillation import Teachers
from pmsi_mobile.training.evaluator import Evaluator
from pmsi_mobile.training.interruption import Interruption
from pmsi_mobile.training.loss import Loss
from pmsi_mobile.training.optim import build_optimizer, build_scheduler
from pmsi_mobile.training.outcome import weights_of, write_checkpoint, write_end
from pmsi_mobile.training.own_teachers import teacher_files
from pmsi_mobile.training.speed import keep_freed_memory, on_device, spare_copies
from pmsi_mobile.training.state import Length, Progress, follow, restore_state, save_state

_STEP_SEED = 2  # apart from the loader's
_REPORT_SECONDS = 0.5
_WARM_STEPS, _TIMED_STEPS = 4, 20
"""A run with `train.minutes` is first estimated at the steps after the former until the latter."""


class Listener(Protocol):
    """Told how the run goes; a command draws its progress bar and log from it."""

    def step(self, epoch: int, step: int, steps: int, losses: dict[str, float], photos_per_second: float) -> None: ...

    def epoch(self, row: records.Row) -> None: ...


class Trainer:
    """One run: network, optimiser, schedule and progress, from `folder/state.pt` where there is one.

    Raises PmsiError when `state.pt`, the initial weights or a teacher cannot be used.
    """

    def __init__(self, config: Config, data: DataSet, folder: Path, accelerator: Accelerator) -> None:
        self.config = config
        self.data = data
        self.folder = folder
        self.accelerator = accelerator
        torch.manual_seed(derive_seed(config.seed))
        resuming = (folder / "state.pt").exists()
        with accelerator.main_process_first():
            self.network: Network = build_network(config, len(data.classes), load_weights=not resuming)
        keep_freed_memory()
        spare_copies(self.network)
        memory_format = torch.channels_last if config.train.channels_last else torch.contiguous_format
        self.network.to(device=accelerator.device, memory_format=memory_format)  # type: ignore[call-overload]
        self.plan = phases(config, self.network.head_names)
        self.labels = [photo.label for photo in data.train]
        self.loss = Loss(config.train, torch.tensor(self.labels), len(data.classes)).to(accelerator.device)
        teachers, temperature = teacher_files(config, folder), config.train.temperature
        self.teachers = Teachers(teachers, temperature, data.classes, accelerator.device) if teachers else None
        self.steps = steps_per_epoch(len(data.train), config.train.batch_size, accelerator.num_processes)
        if config.train.patience and not data.val:
            raise PmsiError("train.patience needs validation photos, and there are none: set data.val_fraction")
        self.optimizer: Optimizer
        self.optimizer, self.scheduler = self._schedule(config.train.epochs)
        self.length = Length(config.train.epochs, self.steps)
        # Buffers, the BatchNorms' statistics, are averaged too.
        average = get_ema_multi_avg_fn(config.train.ema)
        self.averaged = (
            AveragedModel(self.network, multi_avg_fn=average, use_buffers=True) if config.train.ema else None
        )
        parts = (self.network, self.averaged, self.optimizer, self.scheduler, accelerator)
        self.progress = Progress()
        if resuming:
            timed = config.train.minutes > 0
            self.progress, self.length = restore_state(folder / "state.pt", *parts, self.length, timed=timed)
        if config.train.compile:
            self.network.features = torch.compile(self.network.features)  # type: ignore[assignment]
        self.evaluator = Evaluator(config, data.train, accelerator)
        self.cache: ResizedPhotos | None = None
        self.model: nn.Module = accelerator.prepare_model(self.network)
        # Steps through the gradient scaler where there is one.
        self.optimizer = accelerator.prepare_optimizer(self.optimizer)

    def _schedule(self, epochs: int) -> tuple[Optimizer, LRScheduler]:
        optimizer = build_optimizer(self.network, self.config.train)
        return optimizer, build_scheduler(optimizer, self.config.train, self.steps * epochs)

    def fit(self, listener: Listener) -> Path:
        """Train the epochs that are left; returns the path of ckpt.pt.

        Raises MeasurementError when the loss is no longer finite, and Interrupted, with the state saved, on Ctrl-C and
        SIGTERM.
        """
        main = self.accelerator.is_main_process
        with Interruption(saving=main) as interruption, self._photos_kept():
            try:
                self._train(listener, interruption)
            except BaseException:
                if main and self.progress.history:
                    records.plot_curves(self.folder / "curves.png", self.progress.history)
                raise
            self.accelerator.wait_for_everyone()
            return self._finish()

    @contextmanager
    def _photos_kept(self) -> Iterator[None]:
        """What this process trains on and evaluates in every epoch, for it and its loader processes."""
        config, data = self.config, self.data
        if not config.data.cache_gib or not hasattr(os, "pread"):
            yield
            return
        evaluated = [*data.val, *self.evaluator.plain]
        keys = training_keys(data.train, config.train.resize == "mixed") + evaluation_keys(evaluated)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"photos-{self.accelerator.process_index}.cache"
        self.cache = ResizedPhotos(path, keys, config.preprocessing.resize, config.data.cache_gib)
        self.evaluator.cache = self.cache
        try:
            yield
        finally:
            self.cache.close()
            self.cache = self.evaluator.cache = None

    @property
    def trained(self) -> Network:
        """The network that is evaluated and saved: the averaged one, where there is one."""
        return cast(Network, self.averaged.module) if self.averaged else self.network

    def _train(self, listener: Listener, interruption: Interruption) -> None:
        main = self.accelerator.is_main_process
        writer = records.open_tensorboard(self.folder / "tensorboard", self.progress.epoch) if main else None
        if main:
            save_calibration(self.data.train, self.config, self.folder / CALIBRATION)
        while not self.is_over(self.progress.history):
            row = self._train_epoch(listener, interruption)
            trained = time.monotonic()
            with self.evaluator.at_inference(self.trained) as network:
                val = self.evaluator.evaluate(network, self.data.val)
                weights = weights_of(network)
            row |= {f"top1_{head}": value["top1"] for head, value in val.items()}
            history = [*self.progress.history, row]
            seconds = row["seconds"] + time.monotonic() - trained
            spent = self.progress.spent + seconds
            with interruption.held():
                if len(history) < self.length.epochs:
                    self._fit_in(spent, len(history), 0, seconds)
                best = self._is_best(history)
                self.progress = Progress(epoch=self.progress.epoch + 1, history=history, spent=spent)
                if writer:
                    if best:
                        write_checkpoint(
                            self.folder / "ckpt.pt", weights, self.config, self.data, self.progress.epoch, val
                        )
                    self._save_state()
                    records.write_csv(self.folder / "metrics.csv", history)
                    records.log_epoch(writer, row)
                    listener.epoch(row)
        if writer:
            writer.close()

    def _fit_in(self, spent: float, epoch: int, step: int, per_epoch: float) -> None:
        """Where the run has `train.minutes`: go on along the schedule of as many epochs as fit in.

        spent: seconds until `step` of `epoch`; per_epoch: seconds of each from here on.
        """
        minutes = self.config.train.minutes
        if not minutes:
            return
        epochs = epochs_within(minutes, spent, epoch + step / self.steps, per_epoch)
        [epochs] = broadcast_object_list([epochs])  # Clocks differ.
        if epochs != self.length.epochs:
            optimizer, self.scheduler = self._schedule(epochs)
            follow(optimizer, self.scheduler, self.optimizer.state_dict(), epoch * self.steps + step)
            self.optimizer = self.accelerator.prepare_optimizer(optimizer)
            self.length = Length(epochs, self.steps)

    def _train_epoch(self, listener: Listener, interruption: Interruption) -> records.Row:
        config, progress, accelerator = self.config, self.progress, self.accelerator
        epoch, train = progress.epoch, config.train
        frozen = epoch < train.frozen_epochs
        self.network.backbone.requires_grad_(not frozen)
        self.model.train()
        if frozen and train.freeze_bn:
            self.network.backbone.eval()
        rank, processes = accelerator.process_index, accelerator.num_processes
        batches = draw_batches(config)(self.labels, train.batch_size, config.seed, epoch, rank, processes)
        photos = TrainPhotos(
            self.data.train,
            config.preprocessing,
            config.seed,
            epoch,
            train.resize == "mixed",
            self.cache,
            photo_augment(train, config.preprocessing),
        )
        names = [phase.head for phase in self.plan]
        rates = [group["lr"] for group in self.optimizer.param_groups]
        sums = torch.tensor(progress.loss_sums or [0.0] * len(names), device=accelerator.device)
        started = reported = saved = time.monotonic()
        first = progress.step

        def save() -> None:
            elapsed = progress.seconds + time.monotonic() - started
            totals = self._finite(sums, epoch, self.progress.step - 1)  # Nothing could go on from such a state.
            self.progress = replace(self.progress, loss_sums=totals, seconds=elapsed)
            if accelerator.is_main_process:
                self._save_state()

        try:
            with interruption.held():
                loaded = iter(train_loader(photos, batches[first:], config.data.workers))
            for step, (images, labels) in enumerate(loaded, start=first):
                with interruption.held():
                    step_seed = derive_seed(config.seed, _STEP_SEED, epoch, step, rank)
                    torch.manual_seed(step_seed)
                    losses = train_batch(
                        self.model,
                        self.optimizer,
                        accelerator,
                        on_device(images, accelerator.device, channels_last=train.channels_last),
                        labels.to(accelerator.device, non_blocking=True),
                        self.plan,
                        config,
                        torch.Generator().manual_seed(step_seed),
                        self.loss,
                        self.teachers,
                    )
                    if self.averaged:
                        self.averaged.update_parameters(self.network)
                    sums += losses
                    self.scheduler.step()
                    self.progress = replace(progress, step=step + 1)
                moment = time.monotonic()
                if epoch == first == 0 and step + 1 == _WARM_STEPS:
                    warm = moment
                if epoch == first == 0 and step + 1 == _TIMED_STEPS:
                    per_step = (moment - warm) / (_TIMED_STEPS - _WARM_STEPS)
                    with interruption.held():
                        self._fit_in(moment - started, 0, _TIMED_STEPS, per_step * self.steps)
                if moment - reported >= _REPORT_SECONDS:
                    reported = moment
                    values = self._finite(losses, epoch, step)
                    photos_done = (step + 1 - first) * len(labels) * processes
                    rate = photos_done / (moment - started)
                    listener.step(epoch, step + 1, self.steps, dict(zip(names, values, strict=True)), rate)
                if moment - saved >= 60 * train.save_minutes:
                    saved = moment
                    save()
        except Interrupted:
            save()
            raise
        save()  # Whatever stops the evaluation that follows does not cost the epoch.
        means = self._finite(sums / len(batches), epoch, len(batches) - 1)
        seconds = progress.seconds + time.monotonic() - started
        return {
            "epoch": epoch + 1,
            **{f"loss_{name}": value for name, value in zip(names, means, strict=True)},
            "image_passes": image_passes(config.train, len(self.plan), len(self.data.train)),
            "lr_backbone": rates[-2],
            "lr_new": rates[-1],
            "photos_per_second": len(batches) * len(batches[0]) * processes / seconds,
            "seconds": seconds,
        }

    def _finite(self, losses: Tensor, epoch: int, step: int) -> list[float]:
        values: list[float] = losses.tolist()
        if not all(math.isfinite(value) for value in values):
            raise MeasurementError(
                f"the loss is no longer finite (epoch {epoch + 1}, step {step + 1}): "
                "lower train.lr_backbone and train.lr_new, or train with train.precision=no"
            )
        return values

    def is_over(self, history: Sequence[records.Row]) -> bool:
        """Whether the run ends with the last of these epochs: it is the last one, or `train.patience` ran out."""
        if len(history) >= self.length.epochs:
            return True
        patience = self.config.train.patience
        tops = [row[self._selected] for row in history] if patience and self.data.val else []
        return len(tops) > patience and max(tops[:-patience]) >= max(tops[-patience:])

    def _is_best(self, history: Sequence[records.Row]) -> bool:
        """Whether ckpt.pt is to be of the last of these epochs."""
        if self.config.train.select == "last" or not self.data.val:
            return self.is_over(history)
        *earlier, last = (row[self._selected] for row in history)
        return all(last >= each for each in earlier)

    @property
    def _selected(self) -> str:
        return f"top1_{final_head(self.network.head_names)}"

    def _finish(self) -> Path:
        path = self.folder / "ckpt.pt"
        checkpoint = load_checkpoint(path)
        network = checkpoint.network().to(self.accelerator.device)
        val, test = (
            self.evaluator.predict(network, photos) if photos else None for photos in (self.data.val, self.data.test)
        )
        if self.accelerator.is_main_process:
            write_end(self.folder, checkpoint, self.data, val, test, network.head_names, self.progress.history)
        self.accelerator.wait_for_everyone()
        return path

    def _save_state(self) -> None:
        parts = (self.network, self.averaged, self.optimizer, self.scheduler, self.accelerator)
        save_state(self.folder / "state.pt", *parts, self.progress, self.length)
