"""What calibration gives on photos that it did not see: some of a run's test photos calibrate, the others measure.

python benchmarks/confidence.py RUN --photos PHOTOS --folder FOLDER    # RUN: a run folder of pmsi-train or pmsi-sweep
python benchmarks/confidence.py RUN... --photos PHOTOS                 # calibrated on few photos

The first prints two tables: many draws of halves, the training network alone; the first draw, exported in each
precision into FOLDER. The second: temperatures from 10 to 300 photos, of Mix (or the only head) and of Concat, over all
runs, beside those of the rule before (with a further photo of any class, Platt 1999) and a temperature of 1.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import exp, log
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq

from pmsi_export.formats.open import load_file
from pmsi_export.jobs.in_process import export
from pmsi_export.runtime.preprocess import load_image
from pmsi_mobile.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pmsi_mobile.confidence.calibration import calibrate
from pmsi_mobile.confidence.measures import LEAST, calibration_error, first_and_correct, measure
from pmsi_mobile.confidence.promises import RIGHT, kept
from pmsi_mobile.confidence.temperature import COLDEST, HOTTEST, fit_temperature, softmax
from pmsi_mobile.data.loading import EvalPhotos, eval_loader
from pmsi_mobile.data.splits import Photo, load_data
from pmsi_mobile.evaluation import Outputs, run_network
from pmsi_mobile.network.mixing import mix

DRAWS = 200
FEW_DRAWS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="+")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--precisions", nargs="+", default=["fp32", "fp16", "int8"])
    given = parser.parse_args()
    if given.folder:
        for run in given.run:
            measure_run(run, given.photos, given.folder, given.precisions)
    else:
        few([logits for run in given.run for logits in heads(network_outputs(*opened(run, given.photos)))])


def opened(run: Path, photos: Path) -> tuple[Checkpoint, tuple[Photo, ...]]:
    return load_checkpoint(run / "ckpt.pt"), load_data(run / "data.json", photos).test


def measure_run(run: Path, root: Path, folder: Path, precisions: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, test = opened(run, root)
    outputs = network_outputs(checkpoint, test)
    rule = checkpoint.config.model.mix
    for count in (300, len(test) // 2):
        draws(outputs, count, rule)
    half, others = drawn(len(test), len(test) // 2, seed=0)
    confidence = calibrate(outputs.logits[half], outputs.labels[half], rule)
    calibrated = folder / "ckpt.pt"
    save_checkpoint(replace(checkpoint, confidence=confidence), calibrated)
    photos, labels = [test[index] for index in others], outputs.labels[others].numpy()
    temperature = confidence["mix"].temperature
    print(f"\n{len(half)} photos calibrated (temperature {temperature:.2f}), {len(photos)} measured")
    print("| | top-1 | NLL | Brier | ECE, 95 % interval | AURC |\n|---|---|---|---|---|---|")
    row("network, before", mix(outputs.logits[others], rule).numpy(), labels)
    row("network, after", mix(outputs.logits[others], rule, temperature).numpy(), labels)
    for precision in precisions:
        made = export(calibrated, "tflite", precision=precision, calibration=run / "calibration")
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


Logits = tuple[NDArray[np.float64], NDArray[np.int64]]
"""[N, K] and labels [N]."""


def heads(outputs: Outputs) -> list[Logits]:
    """Of Mix (the sum of the heads), and of Concat where there are several."""
    exact, labels = outputs.logits.double().numpy(), outputs.labels.numpy()
    both = [exact.sum(axis=1), exact[:, -1]]
    return [(logits, labels) for logits in both[: min(2, exact.shape[1])]]


def few(networks: Sequence[Logits]) -> None:
    """What a temperature from `count` photos of each network, drawn FEW_DRAWS times, gives on those that were not
    drawn; harmed: share of draws in which it raises the calibration error by more than a point."""
    print("| photos | temperature | ECE: median, 90 %, most | NLL above the least: the same | harmed | off by |")
    print("|---|---|---|---|---|---|")
    for count in (10, 15, 20, 30, 40, 60, 100, 200, 300):
        found: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in RULES}
        for logits, labels in networks:
            best = fit_temperature(logits, labels)
            for seed in range(FEW_DRAWS):
                own, others = drawn(len(labels), count, seed)
                uncalibrated, _ = worth(logits[others], labels[others], 1.0)
                _, least = worth(logits[others], labels[others], best)
                for name, fitted in RULES.items():
                    temperature = fitted(logits[own], labels[own])
                    error, loss = worth(logits[others], labels[others], temperature)
                    found[name].append((error, loss - least, error - uncalibrated > 0.01, log(temperature / best)))
        for name, rows in found.items():
            errors, losses, harmed, off = np.array(rows).T
            cells = (
                ", ".join(f"{each:.3f}" for each in np.quantile(values, (0.5, 0.9, 1))) for values in (errors, losses)
            )
            factor = np.exp(np.sqrt(np.mean(np.square(off))))
            print(f"| {count} | {name} | {' | '.join(cells)} | {harmed.mean():.1%} | {factor:.2f} |", flush=True)


def worth(logits: NDArray[np.float64], labels: NDArray[np.int64], temperature: float) -> tuple[float, float]:
    """Calibration error and mean negative log likelihood."""
    probabilities = softmax(logits / temperature)
    of_class = np.maximum(probabilities[np.arange(len(labels)), labels], LEAST)
    return calibration_error(*first_and_correct(probabilities, labels)), float(-np.log(of_class).mean())


def with_a_further_photo(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """As it was fitted before: the likelihood, with a further photo, spread evenly over the others, that has any class
    as its label (Platt 1999)."""
    photos = len(labels)
    wanted = (photos * logits[np.arange(photos), labels] + logits.mean(axis=1)).sum() / (photos + 1)

    def excess(exponent: float) -> float:
        return float((softmax(logits / exp(exponent)) * logits).sum() - wanted)

    return exp(brentq(excess, log(COLDEST), log(HOTTEST), xtol=1e-4))


RULES: dict[str, Callable[[NDArray[np.float64], NDArray[np.int64]], float]] = {
    "1": lambda logits, labels: 1.0,
    "before": with_a_further_photo,
    "now": fit_temperature,
}


def row(name: str, probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    figures = measure(probabilities, labels)
    top1 = (probabilities.argmax(axis=1) == labels).mean()
    interval = f"{figures.ece_low:.3f} .. {figures.ece_high:.3f}"
    cells = (f"{top1:.1%}", f"{figures.nll:.3f}", f"{figures.brier:.3f}", f"{figures.ece:.3f}, {interval}")
    print(f"| {name} | {' | '.join(cells)} | {figures.aurc:.3f} |", flush=True)


if __name__ == "__main__":
    main()
