"""What checking and running side by side cost or save in an export, as whole processes.

    python benchmarks/export_speed.py --workdir /tmp/export_speed

Two comparisons on a MobileNetV2 with separable heads (random weights, 200 classes), in interleaved rounds:
`pmsi-export --format tflite`, parity included, against a script of ten lines that converts the same graph unchecked;
`pmsi-export --format all` against the sum of the five formats one by one.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import typer

from pmsi_bench.host.machine import machine_record
from pmsi_export.formats.registry import FORMATS
from pmsi_mobile.checkpoint import Checkpoint, Golden, save_checkpoint
from pmsi_mobile.config import load_config
from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.data.birds import write_birds
from pmsi_mobile.data.files import list_images
from pmsi_mobile.data.images import load_rgb
from pmsi_mobile.data.transforms import eval_transform, normalise
from pmsi_mobile.errors import MeasurementError
from pmsi_mobile.files import write_text
from pmsi_mobile.methods.registry import build_network
from pmsi_mobile.network.mixing import mix
from pmsi_mobile.provenance import now, versions

CLASSES = tuple(f"class {number}" for number in range(200))
PLAIN = """
import sys
import litert_torch
import torch
from pathlib import Path
from pmsi_export.graph.fold import fold
from pmsi_mobile.checkpoint import load_checkpoint
checkpoint = load_checkpoint(Path(sys.argv[1]))
graph = fold(checkpoint.network(), checkpoint.config.preprocessing, checkpoint.config.model.mix)
side = checkpoint.config.preprocessing.crop
model = litert_torch.convert(litert_torch.to_channel_last_io(graph, args=[0]).eval(), (torch.zeros(1, side, side, 3),))
model.export(sys.argv[2])
"""


def export_speed(
    workdir: Annotated[Path, typer.Option(help="Folder for the checkpoint, the files and export_speed.json.")],
    size: Annotated[int, typer.Option(min=32, help="Side of the input in pixels.")] = 448,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of the timing.")] = 5,
) -> None:
    """Time whole export processes and print the two ratios of each round."""
    workdir.mkdir(parents=True, exist_ok=True)
    checkpoint = _checkpoint(workdir, size)
    script = workdir / "plain.py"
    write_text(script, PLAIN)
    export = [str(Path(sys.executable).with_name("pmsi-export")), str(checkpoint), "--output", str(workdir / "models")]
    commands = {
        "plain": [sys.executable, str(script), str(checkpoint), str(workdir / "plain.tflite")],
        **{name: [*export, "--format", name] for name in FORMATS},
        "all": [*export, "--format", "all"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            seconds[name].append(_wall(command))
            typer.echo(f"round {number + 1}: {name} {seconds[name][-1]:.1f} s", err=True)
    checked = [ours / plain for ours, plain in zip(seconds["tflite"], seconds["plain"], strict=True)]
    together = [
        whole / sum(single) for whole, *single in zip(seconds["all"], *(seconds[name] for name in FORMATS), strict=True)
    ]
    result = {
        "created": now(),
        "size": size,
        "rounds": rounds,
        "machine": machine_record().model_dump(),
        "versions": versions("torch", "litert-torch", "onnx", "coremltools", "executorch"),
        "seconds": seconds,
        "tflite_to_plain": checked,
        "all_to_sum": together,
    }
    write_text(workdir / "export_speed.json", json.dumps(result, indent=2) + "\n")
    for name, values in seconds.items():
        typer.echo(f"{name:12} median {median(values):6.1f} s  ({min(values):.1f} .. {max(values):.1f})")
    for name, ratios in (("tflite, checked / plain script", checked), ("all / sum of the five", together)):
        typer.echo(f"{name}: median {median(ratios):.2f} ({min(ratios):.2f} .. {max(ratios):.2f})")


def _checkpoint(folder: Path, size: int) -> Path:
    """A checkpoint with random weights and drawn birds as golden samples, kept for the next time."""
    path = folder / f"random-{size}.pt"
    if path.exists():
        return path
    values = {"model.weights": "none", "preprocessing.resize": size, "preprocessing.crop": size}
    config = load_config("mobile-rmg", values)
    write_birds(folder / "birds", species=4, train=2, val=1, test=1, size=size, seed=0)
    photos = list_images(folder / "birds" / "train")[:8]
    images = torch.stack([eval_transform(load_rgb(photo), config.preprocessing) for photo in photos])
    torch.manual_seed(0)
    network = build_network(config, len(CLASSES))
    inputs = normalise(images, config.preprocessing)
    with torch.no_grad():
        # Statistics for the BatchNorms, without which random layers shrink what passes to nothing.
        for module in network.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = None
        network.train()(inputs)
        probabilities = mix(network.eval()(inputs), config.model.mix)
    golden = Golden(images, probabilities)
    save_checkpoint(Checkpoint(config, CLASSES, network.state_dict(), {}, golden, {}), path)
    return path


def _wall(command: list[str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise MeasurementError(f"{' '.join(command)} failed: {done.stderr.strip().splitlines()[-1][:300]}")
    return time.perf_counter() - started


if __name__ == "__main__":
    entry_point(export_speed)()
