"""What calibration gives on photos that it did not see: half of a run's test photos calibrate, the other half measures.

python benchmarks/confidence.py RUN --photos PHOTOS --folder FOLDER    # RUN: a run folder of pmsi-train or pmsi-sweep

Prints two tables. The first: many draws of halves, the training network alone. The second: the first draw, exported in
each precision into FOLDER.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pmsi_export.formats.open import load_file
from pmsi_export.jobs.in_process import export
from pmsi_export.runtime.preprocess import load_image
from pmsi_mobile.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pmsi_mobile.confidence.calibration import calibrate
from pmsi_mobile.confidence.measures import calibration_error, first_and_correct, measure
from pmsi_mobile.confidence.promises import RIGHT, kept
from pmsi_mobile.data.loading import EvalPhotos, eval_loader
from pmsi_mobile.data.splits import Photo, load_data
from pmsi_mobile.evaluation import Outputs, run_network
from pmsi_mobile.network.mixing import mix

DRAWS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--precisions", nargs="+", default=["fp32", "fp16", "int8"])
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    checkpoint, data = load_checkpoint(given.run / "ckpt.pt"), load_data(given.run / "data.json", given.photos)
    outputs = network_outputs(checkpoint, data.test)
    rule = checkpoint.config.model.mix
    for count in (300, len(data.test) // 2):
        draws(outputs, count, rule)
    half, others = drawn(len(data.test), len(data.test) // 2, seed=0)
    confidence = calibrate(outputs.logits[half], outputs.labels[half], rule)
    calibrated = given.folder / "ckpt.pt"
    save_checkpoint(replace(checkpoint, confidence=confidence), calibrated)
    photos, labels = [data.test[index] for index in others], outputs.labels[others].numpy()
    temperature = confidence["mix"].temperature
    print(f"\n{len(half)} photos calibrated (temperature {temperature:.2f}), {len(photos)} measured")
    print("| | top-1 | NLL | Brier | ECE, 95 % interval | AURC |\n|---|---|---|---|---|---|")
    row("network, before", mix(outputs.logits[others], rule).numpy(), labels)
    row("network, after", mix(outputs.logits[others], rule, temperature).numpy(), labels)
    for precision in given.precisions:
        made = export(calibrated, "tflite", precision=precision, calibration=given.run / "calibration")
        runner = load_file(made)
        pixels = (load_image(photo.path, checkpoint.config.preprocessing) for photo in photos)
        row(f"{precision} .tflite", np.stack([runner.predict(image) for image in pixels]), labels)


def network_outputs(checkpoint: Checkpoint, photos: Sequence[Photo]) -> Outputs:
    loader = eval_loader(EvalPhotos(photos, checkpoint.config.preprocessing), 32, 0)
    return run_network(checkpoint.network(), loader, checkpoint.config.preprocessing, torch.device("cpu"))


def drawn(photos: int, count: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    order = np.random.default_rng(seed).permutation(photos)
    return order[:count], order[count:]


def draws(outputs: Outputs, count: int, rule: str) -> None:
    """Calibrate on `count` photos, drawn from all with replacement, and measure on those that were not drawn, again and
    again. A promise is broken where it does not hold on all photos, of which the drawn ones are a sample."""
    photos = len(outputs.labels)
    errors: list[tuple[float, ...]] = []
    promised: dict[float, list[tuple[float, float, float | None, bool]]] = {right: [] for right in RIGHT}
    for seed in range(DRAWS):
        own = np.random.default_rng(seed).integers(photos, size=count)
        others = np.setdiff1d(np.arange(photos), own)
        confidence = calibrate(outputs.logits[own], outputs.labels[own], rule)["mix"]
        before, after = (
            first_and_correct(mix(outputs.logits.double(), rule, temperature).numpy(), outputs.labels.numpy())
            for temperature in (1.0, confidence.temperature)
        )
        measured = (calibration_error(first[others], correct[others]) for first, correct in (before, after))
        errors.append((confidence.temperature, *measured))
        on_all = kept(confidence.answers, *after)
        on_others = kept(confidence.answers, after[0][others], after[1][others])
        for whole, rest in zip(on_all, on_others, strict=True):
            right = whole.promise.right
            promised[right].append(
                (whole.promise.threshold, rest.answered, rest.right, whole.right is not None and whole.right < right)
            )
    temperature, before, after = np.mean(errors, axis=0)
    print(f"\n{count} of {photos} photos calibrate, {DRAWS} draws")
    print(f"temperature {temperature:.2f}, ECE {before:.3f} before, {after:.3f} after")
    print("| promised | draws with that promise | threshold | answered | right of these, mean and least | broken |")
    print("|---|---|---|---|---|---|")
    for right, found in promised.items():
        if not found:
            print(f"| {right:.0%} | 0 | - | - | - | - |")
            continue
        threshold, answered, held, broken = np.array(found, dtype=float).T
        print(
            f"| {right:.0%} | {len(found)} | {threshold.mean():.2f} | {answered.mean():.1%} | "
            f"{held.mean():.1%}, {held.min():.1%} | {broken.sum():.0f} |"
        )


def row(name: str, probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    figures = measure(probabilities, labels)
    top1 = (probabilities.argmax(axis=1) == labels).mean()
    interval = f"{figures.ece_low:.3f} .. {figures.ece_high:.3f}"
    cells = (f"{top1:.1%}", f"{figures.nll:.3f}", f"{figures.brier:.3f}", f"{figures.ece:.3f}, {interval}")
    print(f"| {name} | {' | '.join(cells)} | {figures.aurc:.3f} |", flush=True)


if __name__ == "__main__":
    main()
