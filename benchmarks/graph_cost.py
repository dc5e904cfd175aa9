"""What the Mix graph costs beside the bare MobileNetV2 classifier: parameters, MACs, latency per runtime.

    python benchmarks/graph_cost.py --workdir /tmp/graph_cost

Random weights, 200 classes, fp32, one thread. Converted files are kept in the work folder and used again.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import torch
import typer
from torch import nn
from torch.nn import functional as F

from pmsi_bench.host.machine import machine_record
from pmsi_bench.host.rounds import NotMeasured, Outcome, measure
from pmsi_bench.statistics import Rounds, latency, ratio, round_medians_ms
from pmsi_bench.subjects.subject import Job
from pmsi_export.checks.gates import not_measured
from pmsi_export.checks.inspect import work
from pmsi_export.formats.registry import converter, get_format
from pmsi_export.graph.fold import MixGraph, fold
from pmsi_export.jobs.describe import describe
from pmsi_export.runtime.silence import silenced
from pmsi_mobile.checkpoint import Checkpoint, Golden
from pmsi_mobile.config import Config, load_config
from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.progress import progress
from pmsi_mobile.errors import MeasurementError
from pmsi_mobile.files import atomic_write, write_text
from pmsi_mobile.methods.registry import build_network
from pmsi_mobile.network.mixing import mix
from pmsi_mobile.provenance import now

CLASSES = tuple(f"class {number}" for number in range(200))
FORMATS = ("tflite", "onnx")


@dataclass(frozen=True)
class Variant:
    """One row of the table. heads: null for the bare classifier. folded: as pmsi-export converts it, and not the
    training network as it is."""

    name: str
    heads: str | None = None
    width: int = 0
    folded: bool = True


BARE = Variant("bare MobileNetV2")
VARIANTS = (
    BARE,
    Variant("separable heads, c = 640", "separable", 640),
    Variant("separable heads, c = 320", "separable", 320),
    Variant("not folded, c = 640", "separable", 640, folded=False),
    Variant("not folded, c = 320", "separable", 320, folded=False),
    Variant("released heads, c = 640", "released", 640),
)


def graph_cost(
    workdir: Annotated[Path, typer.Option(help="Folder of the converted files and of graph_cost.json and .md.")],
    size: Annotated[list[int], typer.Option(min=32, help="Side of the input in pixels; may be repeated.")] = [448, 224],  # noqa: B006 (typer copies it)
    rounds: Annotated[int, typer.Option(min=6, help="Rounds of the timing.")] = 30,
) -> None:
    """Convert what is not there yet, time all variants of a size in one run, print the table."""
    machine = machine_record()
    tables = []
    for side in size:
        files = {(variant, name): _file(workdir, variant, side, name) for variant in VARIANTS for name in FORMATS}
        for (variant, name), file in files.items():
            if not file.exists():
                typer.echo(f"converting {file.name}", err=True)
                _apart(variant, side, name, file)
        jobs = [Job(file, side) for file in files.values()]
        with progress(f"timing at {side} px") as step:
            timings = [_rounds(outcome) for outcome in measure(jobs, rounds=rounds, progress=step).outcomes]
        tables.append({"side": side, "variants": _rows(side, dict(zip(files, timings, strict=True)))})
    result = {
        "created": now(),
        "threads": 1,
        "rounds": rounds,
        "machine": machine.model_dump(),
        "sizes": tables,
    }
    text = _markdown(result)
    write_text(workdir / "graph_cost.json", json.dumps(result, indent=2) + "\n")
    write_text(workdir / "graph_cost.md", text)
    typer.echo(text)


def build(variant: Variant, side: int) -> nn.Module:
    """The graph that is exported and counted: float32 [1, 3, side, side] -> [1, 200]."""
    if not variant.heads:
        return _bare()
    return _mix_graph(variant, side) if variant.folded else NotFolded(variant, side)


def convert(variant: Variant, side: int, name: str, path: Path) -> None:
    """Export a variant to `path`: folded graphs as pmsi-export does, the others the plain way."""
    with silenced(), atomic_write(path) as temporary:
        if variant.heads and variant.folded:
            checkpoint = Checkpoint(_config(variant, side), CLASSES, {}, {}, Golden(torch.empty(0), torch.empty(0)), {})
            known = get_format(name)
            contract = describe(checkpoint, "0" * 64, known, not_measured("fp32", "random weights"))
            converter(known).convert(_mix_graph(variant, side), contract, temporary)
        elif name == "tflite":
            import litert_torch

            channels_last = litert_torch.to_channel_last_io(build(variant, side), args=[0]).eval()
            litert_torch.convert(channels_last, (torch.zeros(1, side, side, 3),)).export(str(temporary))
        else:
            # The names that the runner of pmsi_export asks for.
            torch.onnx.export(
                build(variant, side),
                (torch.zeros(1, 3, side, side),),
                temporary,
                dynamo=True,
                external_data=False,
                input_names=["image"],
                output_names=["probabilities"],
            )


class NotFolded(nn.Module):
    """The training network in eval mode and Eq. 8 behind it: normalised pixels [1, 3, side, side] -> [1, 200]."""

    def __init__(self, variant: Variant, side: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        config = _config(variant, side)
        self.network = _settle(build_network(config, len(CLASSES)))
        self.rule = config.model.mix

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        # litert-torch knows no adaptive pooling.
        with patch.object(F, "adaptive_max_pool2d", lambda x, _: x.amax((2, 3), keepdim=True)):
            return mix(self.network(image), self.rule)


def _bare() -> nn.Module:
    from torchvision.models import mobilenet_v2

    torch.manual_seed(0)
    return _settle(mobilenet_v2(num_classes=len(CLASSES)))


def _mix_graph(variant: Variant, side: int) -> MixGraph:
    torch.manual_seed(0)
    config = _config(variant, side)
    return fold(_settle(build_network(config, len(CLASSES))), config.preprocessing, config.model.mix)


def _config(variant: Variant, side: int) -> Config:
    return load_config(
        "mobile-rmg",
        {
            "model.weights": "none",
            "model.heads": variant.heads,
            "model.width": variant.width,
            "preprocessing.resize": side,
            "preprocessing.crop": side,
        },
    )


def _settle(network: Any) -> Any:
    """Give the BatchNorms the statistics of some noise: without them random layers shrink what passes, down to
    numbers so small that the CPU is slow with them."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(8, 3, 96, 96))
    return network.eval()


def _apart(variant: Variant, side: int, name: str, path: Path) -> None:
    """Convert in a process of its own: converters do not give back their gigabytes, and quarrel with one another."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(convert, variant, side, name, path).result()


def _file(workdir: Path, variant: Variant, side: int, name: str) -> Path:
    stem = f"{variant.heads}-{variant.width}{'' if variant.folded else '-not-folded'}" if variant.heads else "bare"
    return workdir / f"{stem}-{side}{get_format(name).suffix}"


def _rounds(outcome: Outcome) -> Rounds:
    """Raises MeasurementError when the file could not be measured."""
    if isinstance(outcome, NotMeasured):
        raise MeasurementError(f"a file could not be measured: {outcome.reason}")
    return outcome.rounds


def _rows(side: int, outcomes: dict[tuple[Variant, str], Rounds]) -> list[dict[str, Any]]:
    """One dictionary per variant."""
    rows = []
    bare_macs, _ = work(build(BARE, side), side)
    for variant in VARIANTS:
        macs, parameters = work(build(variant, side), side)
        runtimes = {name: _timed(outcomes[variant, name], outcomes[BARE, name]) for name in FORMATS}
        rows.append(
            asdict(variant) | {"parameters": parameters, "macs": macs, "mac_ratio": macs / bare_macs} | runtimes
        )
    return rows


def _timed(rounds: Rounds, bare: Rounds) -> dict[str, Any]:
    medians, baseline = round_medians_ms(rounds), round_medians_ms(bare)
    return {"latency": latency(rounds).model_dump(), "ratio": ratio(medians, baseline).model_dump()}


def _markdown(result: dict[str, Any]) -> str:
    machine = result["machine"]
    head = ["graph", "parameters", "MACs", "MAC ratio"]
    head += [f"{get_format(name).runtime} {column}" for name in FORMATS for column in ("ms", "ratio (95 % interval)")]
    lines = [
        f"{machine['cpu']}, {result['threads']} thread, {result['rounds']} rounds, fp32, "
        f"K = {len(CLASSES)}, random weights; load average {machine['load_average']} of {machine['cores']} cores at "
        "the start."
    ]
    for table in result["sizes"]:
        lines += ["", f"{table['side']} px", "", _line(head), _line(["---"] * len(head))]
        lines += [_line(_cells(row)) for row in table["variants"]]
    return "\n".join(lines) + "\n"


def _cells(row: dict[str, Any]) -> list[str]:
    cells = [row["name"], f"{row['parameters'] / 1e6:.2f} M", f"{row['macs'] / 1e9:.3f} G", f"{row['mac_ratio']:.2f}"]
    for name in FORMATS:
        compared = row[name]["ratio"]
        cells += [
            f"{row[name]['latency']['median_ms']:.2f}",
            f"{compared['median']:.3f} ({compared['low']:.3f} .. {compared['high']:.3f})",
        ]
    return cells


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    entry_point(graph_cost)()
