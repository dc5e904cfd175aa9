r"""How well scores tell photos of none of the classes: those of classes that were left out, birds, textures, noise.

python benchmarks/unknown.py split PHOTOS FOLDER    # links to the photos of 3/4 of the classes, and to the others
python benchmarks/unknown.py measure RUN --photos FOLDER/known \
    --unknown left-out=FOLDER/unknown --unknown birds=BIRDS/train

RUN: a run folder of pmsi-train or pmsi-sweep with a test split. 300 of its test photos fit the temperature and, in many
draws, set the threshold; the others are measured.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pmsi_mobile.checkpoint import Checkpoint, load_checkpoint
from pmsi_mobile.confidence.temperature import fit_temperature
from pmsi_mobile.data.images import load_rgb
from pmsi_mobile.data.resizes import eval_pixels
from pmsi_mobile.data.splits import load_data
from pmsi_mobile.data.transforms import normalise
from pmsi_mobile.methods.pooled import PooledNet
from pmsi_mobile.methods.registry import Network

KEPT = 0.95
VAL = 300
DRAWS = 200
RESAMPLES = 1000
DRAWN = 300
"""Textures, and pictures of noise."""
AGAINST = "maximum logit"
BATCH = 32

Scores = NDArray[np.floating]
"""[N]; higher: more like a known class."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    dividing = verbs.add_parser("split")
    dividing.add_argument("photos", type=Path)
    dividing.add_argument("folder", type=Path)
    measuring = verbs.add_parser("measure")
    measuring.add_argument("run", type=Path)
    measuring.add_argument("--photos", type=Path, required=True)
    measuring.add_argument("--unknown", action="append", required=True, metavar="NAME=FOLDER")
    given = parser.parse_args()
    if given.verb == "split":
        split(given.photos, given.folder)
    else:
        measure(given.run, given.photos, dict(each.split("=", 1) for each in given.unknown))


def split(photos: Path, folder: Path) -> None:
    """Links to the photos of `photos`/<split>/<class> in `folder`/known/<class>, and of every fourth class, drawn with
    seed 0, in `folder`/unknown/<class>."""
    classes = sorted({path.name for path in photos.glob("*/*") if path.is_dir()})
    left_out = set(np.random.default_rng(0).permutation(classes)[: len(classes) // 4].tolist())
    for photo in sorted(photos.glob("*/*/*")):
        place = folder / ("unknown" if photo.parent.name in left_out else "known") / photo.parent.name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{photo.parent.parent.name}-{photo.name}").symlink_to(photo.resolve())
    print(f"{len(left_out)} of {len(classes)} classes left out: {', '.join(sorted(left_out))}")


def measure(run: Path, photos: Path, folders: Mapping[str, str]) -> None:
    checkpoint, data = load_checkpoint(run / "ckpt.pt"), load_data(run / "data.json", photos)
    side, network = checkpoint.config.preprocessing.crop, checkpoint.network()
    sets: dict[str, Sequence[Path] | NDArray[np.uint8]] = {
        "train": [photo.path for photo in data.train],
        "known": [photo.path for photo in data.test],
        **{name: sorted(path for path in Path(folder).rglob("*.*g")) for name, folder in folders.items()},
        "textures": textures(DRAWN, side),
        "noise": np.random.default_rng(1).integers(256, size=(DRAWN, side, side, 3), dtype=np.uint8),
    }
    seen = {name: look(network, checkpoint, images) for name, images in sets.items()}
    labels = np.array([photo.label for photo in data.test])
    order = np.random.default_rng(0).permutation(len(labels))
    val, rest = order[:VAL], order[VAL:]
    temperature = fit_temperature(seen["known"][0][val].numpy(), labels[val])
    train_labels = torch.tensor([photo.label for photo in data.train])
    candidates = {
        name: score_of(*each, network, *seen["train"], train_labels, temperature) for name, each in seen.items()
    }
    right = (seen["known"][0].argmax(dim=1).numpy() == labels)[rest].mean()
    print(f"\n{len(data.classes)} classes, {len(data.train)} photos trained on; temperature {temperature:.2f}")
    print(f"{len(rest)} known photos measured, top-1 {right:.1%}")
    for unknown in (*folders, "textures", "noise"):
        print(f"\n| {unknown}, {len(sets[unknown])} photos | AUROC | minus {AGAINST} | FPR at 95 % TPR, % |")
        print("|---|---|---|---|")
        compare({name: scores[rest] for name, scores in candidates["known"].items()}, candidates[unknown])
    print(f"\n| threshold from {VAL} photos | known kept, mean and least | {' | '.join((*folders, 'textures'))} |")
    print("|---|---|" + "---|" * (len(folders) + 1))
    for name in candidates["known"]:
        thresholds(name, candidates["known"][name], [candidates[unknown][name] for unknown in (*folders, "textures")])


@torch.inference_mode()
def look(network: Network, checkpoint: Checkpoint, images: Sequence[Path] | NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Logits [N, K], the heads' summed, and the features [N, D] that the last classifier takes."""
    preprocessing = checkpoint.config.preprocessing

    def pixels(image: Path | NDArray[np.uint8]) -> Tensor:
        array = eval_pixels(load_rgb(image), preprocessing) if isinstance(image, Path) else image
        return torch.from_numpy(array).permute(2, 0, 1)

    logits, features = [], []
    for start in range(0, len(images), BATCH):
        batch = torch.stack([pixels(image) for image in images[start : start + BATCH]])
        inputs = normalise(batch, preprocessing)
        if isinstance(network, PooledNet):
            found = network.features(inputs)
            logits.append(network.classify(found).sum(dim=1))
            features.append(found)
        else:
            stages = network.features(inputs)
            logits.append(network.classify(stages).sum(dim=1))
            features.append(torch.cat(stages, dim=1))
    return torch.cat(logits), torch.cat(features)


@torch.inference_mode()
def score_of(
    logits: Tensor,
    features: Tensor,
    network: Network,
    train_logits: Tensor,
    train_features: Tensor,
    train_labels: Tensor,
    temperature: float,
) -> dict[str, Scores]:
    """Every candidate's score of N photos, of logits [N, K] and features [N, D]; the train split's are for those that
    need the classes' means."""
    means = torch.stack([train_features[train_labels == label].mean(dim=0) for label in range(logits.shape[1])])
    scores = {
        "first probability": (logits / temperature).softmax(dim=1).amax(dim=1),
        AGAINST: logits.amax(dim=1),
        "energy": logits.logsumexp(dim=1),
        "energy, calibrated": (logits / temperature).logsumexp(dim=1),
        "norm of the features": features.norm(dim=1),
        "cosine to the nearest class mean": (F.normalize(features) @ F.normalize(means).T).amax(dim=1),
        "Mahalanobis distance": -_mahalanobis(features, means, train_features - means[train_labels]),
    }
    if isinstance(network, PooledNet):
        linear = next(module for module in network.classifier.modules() if isinstance(module, nn.Linear))
        scores["cosine to the nearest class weight"] = (F.normalize(features) @ F.normalize(linear.weight).T).amax(
            dim=1
        )
    return {name: values.double().numpy() for name, values in scores.items()}


def _mahalanobis(features: Tensor, means: Tensor, centred: Tensor) -> Tensor:
    """To the nearest class mean, under the covariance that the classes share (Lee et al. 2018), shrunk by a hundredth
    of its mean variance: there are fewer photos than features."""
    covariance = (centred.T @ centred / len(centred)).double()
    shrunk = covariance + covariance.diagonal().mean() / 100 * torch.eye(len(covariance))
    whitening = torch.linalg.inv(torch.linalg.cholesky(shrunk)).T
    return torch.cdist(features.double() @ whitening, means.double() @ whitening).amin(dim=1)


def compare(known: Mapping[str, Scores], unknown: Mapping[str, Scores]) -> None:
    """A row per score: area under the ROC curve, and the share of unknown photos that pass where KEPT of the known do;
    bootstrap over photos, the same ones for all scores."""
    random = np.random.default_rng(0)
    photos, others = len(known[AGAINST]), len(unknown[AGAINST])
    drawn = [(random.integers(photos, size=photos), random.integers(others, size=others)) for _ in range(RESAMPLES)]
    against = np.array([auroc(known[AGAINST][own], unknown[AGAINST][other]) for own, other in drawn])
    for name in known:
        areas = np.array([auroc(known[name][own], unknown[name][other]) for own, other in drawn])
        rates = [false_positives(known[name][own], unknown[name][other]) for own, other in drawn]
        area, rate = auroc(known[name], unknown[name]), false_positives(known[name], unknown[name])
        above = area - auroc(known[AGAINST], unknown[AGAINST])
        cells = (
            f"{area:.3f} ({_interval(areas, 3)})",
            "" if name == AGAINST else f"{above:+.3f} ({_interval(areas - against, 3, '+')})",
            f"{100 * rate:.1f} ({_interval(100 * np.array(rates), 1)})",
        )
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _interval(values: Scores, digits: int, sign: str = "") -> str:
    low, high = np.quantile(values, (0.025, 0.975))
    return f"{low:{sign}.{digits}f} .. {high:{sign}.{digits}f}"


def auroc(known: Scores, unknown: Scores) -> float:
    """Probability that a known photo scores higher than an unknown one."""
    ordered = np.sort(unknown)
    below, up_to = (np.searchsorted(ordered, known, side=side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(unknown))


def false_positives(known: Scores, unknown: Scores) -> float:
    return float((unknown >= np.quantile(known, 1 - KEPT)).mean())


def thresholds(name: str, known: Scores, unknown: Sequence[Scores]) -> None:
    """The threshold that keeps KEPT of VAL known photos, on the photos that were not drawn, again and again."""
    shares = []
    for seed in range(DRAWS):
        order = np.random.default_rng(seed).permutation(len(known))
        threshold = np.quantile(known[order[:VAL]], 1 - KEPT)
        shares.append([(known[order[VAL:]] >= threshold).mean(), *((each < threshold).mean() for each in unknown)])
    mean, least = np.mean(shares, axis=0), np.min(shares, axis=0)
    print(f"| {name} | {mean[0]:.1%}, {least[0]:.1%} | {' | '.join(f'{share:.1%}' for share in mean[1:])} |")


def textures(count: int, side: int) -> NDArray[np.uint8]:
    """[count, side, side, 3]: two colours mixed by filtered noise, smooth to fine, round to streaked."""
    random = np.random.default_rng(0)
    rows, columns = np.meshgrid(*2 * [np.fft.fftfreq(side) * side], indexing="ij")
    drawn = []
    for _ in range(count):
        angle, streaked, scale = random.uniform(0, np.pi), random.uniform(1, 8), random.uniform(2, side / 6)
        along = np.cos(angle) * rows + np.sin(angle) * columns
        across = np.cos(angle) * columns - np.sin(angle) * rows
        band = np.exp(-((np.hypot(along, across * streaked) - scale) ** 2) / (2 * (scale / 3) ** 2))
        waves = np.fft.ifft2(np.fft.fft2(random.normal(size=(side, side))) * band).real
        share = 1 / (1 + np.exp(-waves / waves.std() * random.uniform(0.5, 4)))[..., None]
        dark, light = random.integers(256, size=(2, 3))
        drawn.append(dark * share + light * (1 - share))
    return np.stack(drawn).astype(np.uint8)


if __name__ == "__main__":
    main()
