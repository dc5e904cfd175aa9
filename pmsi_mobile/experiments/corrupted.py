"""Accuracy of a sweep's runs on corrupted test photos."""

from pathlib import Path

import torch

from pmsi_mobile import records
from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.data.corruptions import Corruption
from pmsi_mobile.data.loading import EvalPhotos, eval_loader
from pmsi_mobile.data.splits import load_data
from pmsi_mobile.evaluation import accuracies, run_network
from pmsi_mobile.experiments.execute import split_record
from pmsi_mobile.experiments.plan import Run
from pmsi_mobile.training.device import choose_device


def evaluate_corrupted(run: Run, root: Path, data: Path, corruption: Corruption, path: Path) -> None:
    """Write `path`, the accuracies of a run's heads on its corrupted test photos, in the manner of heads.csv."""
    checkpoint = load_checkpoint(root / run.folder / "ckpt.pt")
    config, device = checkpoint.config, torch.device(choose_device("auto"))
    photos = load_data(split_record(root, run.fold), data).test
    network = checkpoint.network().to(device)
    seen = EvalPhotos(photos, config.preprocessing, corruption=corruption)
    batches = eval_loader(seen, config.train.batch_size, config.data.workers)
    outputs = run_network(network, batches, config.preprocessing, device)
    heads = accuracies(outputs, network.head_names, config.model.mix)
    records.write_csv(
        path, [{"split": "test", "photos": len(photos), "head": head, **values} for head, values in heads.items()]
    )
