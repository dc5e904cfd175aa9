"""Progressive multi-stage training (Algorithm 1), resumable at any step.

A run folder holds `config.yaml`, `data.json` (which photo is in which split), `calibration/` (photos for int8),
`state.pt` (what `--resume` needs), `metrics.csv`, `tensorboard/` and `ckpt.pt`; at the end also `curves.png` and
`heads.csv`.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, gather_object
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from pmsi_mobile import records
from pmsi_mobile.augmentations.mosaic import PAPER_MAX_RECURSION, recursive_mosaic
from pmsi_mobile.checkpoint import Checkpoint, Golden, load_checkpoint, load_tensors, save_checkpoint
from pmsi_mobile.config import Config, MosaicConfig
from pmsi_mobile.data.calibration import FOLDER as CALIBRATION
from pmsi_mobile.data.calibration import save_calibration
from pmsi_mobile.data.loading import (
    EvalPhotos,
    TrainPhotos,
    derive_seed,
    epoch_batches,
    eval_loader,
    steps_per_epoch,
    train_loader,
)
from pmsi_mobile.data.splits import DataSet, Photo
from pmsi_mobile.data.transforms import normalise
from pmsi_mobile.errors import MeasurementError, PmsiError
from pmsi_mobile.evaluation import Outputs, accuracies, final_head, run_network
from pmsi_mobile.files import atomic_write
from pmsi_mobile.methods.phase import Phase
from pmsi_mobile.methods.registry import Network, build_network, phases
from pmsi_mobile.network.mixing import mix
from pmsi_mobile.provenance import now, versions
from pmsi_mobile.training.optim import build_optimizer, build_scheduler

GOLDEN_SAMPLES = 8
STATE_MAGIC = "pmsi-mobile training state"
_STEP_SEED = 2  # apart from the loader's
_REPORT_SECONDS = 0.5


class Listener(Protocol):
    """Told how the run goes; a command draws its progress bar and log from it."""

    def step(self, epoch: int, step: int, steps: int, losses: dict[str, float], photos_per_second: float) -> None: ...

    def epoch(self, row: records.Row) -> None: ...


@dataclass
class Progress:
    """Where a run stands. `loss_sums` and `seconds` are those of the epoch under way."""

    epoch: int = 0
    step: int = 0
    loss_sums: list[float] = field(default_factory=list)
    seconds: float = 0.0
    history: list[records.Row] = field(default_factory=list)


def train_batch(
    model: nn.Module,
    optimizer: Optimizer,
    accelerator: Accelerator,
    images: Tensor,
    labels: Tensor,
    plan: Sequence[Phase],
    config: Config,
    generator: torch.Generator,
) -> Tensor:
    """Optimise once per phase on one batch; returns the phases' cross entropies [phases], detached.

    images: uint8 [B, 3, H, W]; labels: int64 [B]. Each phase has its own input, forward, backward and step.
    """
    losses = []
    for index, phase in enumerate(plan):
        optimizer.zero_grad(set_to_none=True)
        logits = model(phase_input(images, phase, config, generator), phase=index)
        loss = F.cross_entropy(logits, labels)
        accelerator.backward(phase.loss_weight * loss)
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def phase_input(images: Tensor, phase: Phase, config: Config, generator: torch.Generator) -> Tensor:
    """The normalised mosaic G(images, r) that a phase sees."""
    mosaic: MosaicConfig = config.mosaic
    inputs = recursive_mosaic(
        images,
        phase.recursions,
        shuffle=mosaic.shuffle,
        draw=mosaic.draw,
        generator=generator,
        allow_deep=mosaic.max_recursion > PAPER_MAX_RECURSION,
    )
    return normalise(inputs, config.preprocessing)


class Trainer:
    """One run: network, optimiser, schedule and progress, from `folder/state.pt` where there is one.

    Raises PmsiError when `state.pt` or the initial weights cannot be used.
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
        memory_format = torch.channels_last if config.train.channels_last else torch.contiguous_format
        self.network.to(device=accelerator.device, memory_format=memory_format)  # type: ignore[call-overload]
        self.plan = phases(config, self.network.head_names)
        self.steps = steps_per_epoch(len(data.train), config.train.batch_size, accelerator.num_processes)
        self.optimizer: Optimizer = build_optimizer(self.network, config.train)
        self.scheduler = build_scheduler(self.optimizer, config.train, self.steps * config.train.epochs)
        self.progress = self._restore() if resuming else Progress()
        if config.train.compile:
            self.network.features = torch.compile(self.network.features)  # type: ignore[assignment]
        self.model: nn.Module = accelerator.prepare_model(self.network)
        # Steps through the gradient scaler where there is one.
        self.optimizer = accelerator.prepare_optimizer(self.optimizer)

    def fit(self, listener: Listener) -> Path:
        """Train the epochs that are left; returns the path of ckpt.pt.

        Raises MeasurementError when the loss is no longer finite.
        """
        main = self.accelerator.is_main_process
        writer = records.open_tensorboard(self.folder / "tensorboard", self.progress.epoch) if main else None
        if main:
            save_calibration(self.data.train, self.config, self.folder / CALIBRATION)
        while self.progress.epoch < self.config.train.epochs:
            row = self._train_epoch(listener)
            val = self.evaluate(self.network, self.data.val)
            row |= {f"top1_{head}": value["top1"] for head, value in val.items()}
            history = [*self.progress.history, row]
            best = self._is_best(row)
            self.progress = Progress(epoch=self.progress.epoch + 1, history=history)
            if writer:
                if best:
                    self._save_checkpoint(val)
                self._save_state()
                records.write_csv(self.folder / "metrics.csv", history)
                records.log_epoch(writer, row)
                listener.epoch(row)
        if writer:
            writer.close()
        self.accelerator.wait_for_everyone()
        return self._finish()

    def evaluate(self, network: Network, photos: Sequence[Photo]) -> dict[str, dict[str, float]]:
        """Accuracies per head of `network` over `photos`, shared out among the processes; empty for no photos."""
        if not photos:
            return {}
        accelerator, train = self.accelerator, self.config.train
        # Each rank has its own running statistics after its last step; rank 0's are the ones that are saved.
        for buffer in network.buffers():
            broadcast(buffer)
        share = EvalPhotos(photos[accelerator.process_index :: accelerator.num_processes], self.config.preprocessing)
        loader = eval_loader(share, train.batch_size, self.config.data.workers)
        parts: list[Outputs] = (
            gather_object([run_network(network, loader, self.config.preprocessing, accelerator.device)])
            if len(share)
            else gather_object([])
        )
        outputs = Outputs(torch.cat([part.logits for part in parts]), torch.cat([part.labels for part in parts]))
        return accuracies(outputs, network.head_names, self.config.model.mix)

    def _train_epoch(self, listener: Listener) -> records.Row:
        config, progress, accelerator = self.config, self.progress, self.accelerator
        epoch, train = progress.epoch, config.train
        frozen = epoch < train.frozen_epochs
        self.network.backbone.requires_grad_(not frozen)
        self.model.train()
        if frozen and train.freeze_bn:
            self.network.backbone.eval()
        rank, processes = accelerator.process_index, accelerator.num_processes
        batches = epoch_batches(len(self.data.train), train.batch_size, config.seed, epoch, rank, processes)
        photos = TrainPhotos(self.data.train, config.preprocessing, config.seed, epoch, train.resize == "mixed")
        names = [phase.head for phase in self.plan]
        rates = [group["lr"] for group in self.optimizer.param_groups]
        sums = torch.tensor(progress.loss_sums or [0.0] * len(names), device=accelerator.device)
        started = reported = saved = time.monotonic()
        first = progress.step
        for step, (images, labels) in enumerate(
            train_loader(photos, batches[first:], config.data.workers), start=first
        ):
            step_seed = derive_seed(config.seed, _STEP_SEED, epoch, step, rank)
            torch.manual_seed(step_seed)
            losses = train_batch(
                self.model,
                self.optimizer,
                accelerator,
                self._to_device(images),
                labels.to(accelerator.device, non_blocking=True),
                self.plan,
                config,
                torch.Generator().manual_seed(step_seed),
            )
            sums += losses
            self.scheduler.step()
            self.progress = replace(progress, step=step + 1)
            moment = time.monotonic()
            if moment - reported >= _REPORT_SECONDS:
                reported = moment
                values = self._finite(losses, epoch, step)
                photos_done = (step + 1 - first) * len(labels) * processes
                rate = photos_done / (moment - started)
                listener.step(epoch, step + 1, self.steps, dict(zip(names, values, strict=True)), rate)
            if moment - saved >= 60 * train.save_minutes and accelerator.is_main_process:
                saved = moment
                elapsed = progress.seconds + moment - started
                self.progress = replace(self.progress, loss_sums=sums.tolist(), seconds=elapsed)
                self._save_state()
        means = self._finite(sums / len(batches), epoch, len(batches) - 1)
        seconds = progress.seconds + time.monotonic() - started
        return {
            "epoch": epoch + 1,
            **{f"loss_{name}": value for name, value in zip(names, means, strict=True)},
            "lr_backbone": rates[0],
            "lr_new": rates[1],
            "photos_per_second": len(batches) * len(batches[0]) * processes / seconds,
            "seconds": seconds,
        }

    def _to_device(self, images: Tensor) -> Tensor:
        images = images.to(self.accelerator.device, non_blocking=True)
        return images.contiguous(memory_format=torch.channels_last) if self.config.train.channels_last else images

    def _finite(self, losses: Tensor, epoch: int, step: int) -> list[float]:
        values: list[float] = losses.tolist()
        if not all(math.isfinite(value) for value in values):
            raise MeasurementError(
                f"the loss is no longer finite (epoch {epoch + 1}, step {step + 1}): "
                "lower train.lr_backbone and train.lr_new, or train with train.precision=no"
            )
        return values

    def _is_best(self, row: records.Row) -> bool:
        if self.config.train.select == "last" or not self.data.val:
            return row["epoch"] == self.config.train.epochs
        column = f"top1_{final_head(self.network.head_names)}"
        return all(row[column] > earlier[column] for earlier in self.progress.history)

    def _save_checkpoint(self, val: dict[str, dict[str, float]]) -> None:
        progress = self.progress
        metrics: dict[str, Any] = {"epoch": progress.epoch, "select": self.config.train.select}
        if val:
            metrics["val"] = {"photos": len(self.data.val), "heads": val}
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.network.state_dict().items()}
        without_golden = Checkpoint(
            config=self.config,
            classes=self.data.classes,
            weights=weights,
            metrics=metrics,
            golden=Golden(torch.empty(0), torch.empty(0)),
            provenance={
                "created": now(),
                "versions": versions("torch", "torchvision", "accelerate", "timm"),
                "data": {
                    "name": self.data.root.resolve().name,
                    "layout": self.data.layout,
                    "train": len(self.data.train),
                    "val": len(self.data.val),
                    "test": len(self.data.test),
                },
            },
        )
        photos = self.data.val or self.data.train
        save_checkpoint(replace(without_golden, golden=golden_samples(without_golden, photos)), self.folder / "ckpt.pt")

    def _finish(self) -> Path:
        """Add what only the end of a run knows to ckpt.pt, and draw the curves."""
        path = self.folder / "ckpt.pt"
        checkpoint = load_checkpoint(path)
        test = self.evaluate(checkpoint.network().to(self.accelerator.device), self.data.test)
        if self.accelerator.is_main_process:
            last = self.progress.history[-1]
            metrics = {**checkpoint.metrics, "last_epoch": last}
            if test:
                metrics["test"] = {"photos": len(self.data.test), "heads": test}
            save_checkpoint(replace(checkpoint, metrics=metrics), path)
            records.plot_curves(self.folder / "curves.png", self.progress.history)
            rows: list[dict[str, float | str]] = [
                {"split": split, "photos": metrics[split]["photos"], "head": head, **values}
                for split in ("val", "test")
                if split in metrics
                for head, values in metrics[split]["heads"].items()
            ]
            if rows:
                records.write_csv(self.folder / "heads.csv", rows)
        self.accelerator.wait_for_everyone()
        return path

    def _save_state(self) -> None:
        scaler = self.accelerator.scaler
        content = {
            "magic": STATE_MAGIC,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": scaler.state_dict() if scaler else None,
            "progress": asdict(self.progress),
        }
        with atomic_write(self.folder / "state.pt") as temporary:
            torch.save(content, temporary)

    def _restore(self) -> Progress:
        path = self.folder / "state.pt"
        content = load_tensors(path)
        if not isinstance(content, dict) or content.get("magic") != STATE_MAGIC:
            raise PmsiError(f"{path} is not a training state of pmsi-mobile: delete it to start the run anew")
        self.network.load_state_dict(content["network"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.scheduler.load_state_dict(content["scheduler"])
        if self.accelerator.scaler and content["scaler"]:
            self.accelerator.scaler.load_state_dict(content["scaler"])
        return Progress(**content["progress"])


def golden_samples(checkpoint: Checkpoint, photos: Sequence[Photo]) -> Golden:
    """Up to GOLDEN_SAMPLES of `photos`, spread evenly, with the network's Mix probabilities on the CPU in float32."""
    count = min(GOLDEN_SAMPLES, len(photos))
    chosen = [photos[index * len(photos) // count] for index in range(count)]
    preprocessing = checkpoint.config.preprocessing
    dataset = EvalPhotos(chosen, preprocessing)
    images = torch.stack([dataset[index][0] for index in range(count)])
    with torch.inference_mode():
        logits = checkpoint.network()(normalise(images, preprocessing))
    return Golden(images, mix(logits, checkpoint.config.model.mix).clone())
