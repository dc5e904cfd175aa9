"""One checkpoint with clear predictions on drawn pictures, and its files in every format."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from filelock import FileLock
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from pmsi_mobile.checkpoint import Checkpoint, Golden, load_checkpoint, save_checkpoint
from pmsi_mobile.confidence.record import Answers, Confidence
from pmsi_mobile.data.transforms import eval_transform, normalise
from pmsi_mobile.methods.pooled import PooledNet
from pmsi_mobile.methods.registry import Network, build_network
from pmsi_mobile.network.mixing import mix
from tests.conftest import randomise, small_config

CLASSES = ("dunlin", "great knot", "käna", "rüff", "teal")
CONFIDENCE = {
    "mix": Confidence(temperature=1.25, photos=300, answers=(Answers(right=0.95, threshold=0.6, coverage=0.4),)),
    "concat": Confidence(temperature=0.8, photos=300),
}


class Result(NamedTuple):
    status: int
    stdout: str
    stderr: str


def run_command(name: str, *arguments: object) -> Result:
    """Run a console script as a user would."""
    script = Path(sys.executable).with_name(name)
    done = subprocess.run([script, *map(str, arguments)], capture_output=True, text=True, timeout=500)
    return Result(done.returncode, done.stdout, done.stderr)


def draw_picture(number: int) -> Image.Image:
    """A gradient with a shape on it, of another colour and place for every number."""
    picture = Image.linear_gradient("L").rotate(number * 40).resize((96, 80)).convert("RGB")
    colour = ((number * 83) % 256, (number * 151 + 60) % 256, (number * 47 + 120) % 256)
    corner = (number * 11) % 40
    shapes = ImageDraw.Draw(picture)
    shapes.rectangle((0, corner, 95, corner + 30), fill=colour)
    shapes.ellipse((corner, 10, corner + 45, 60), fill=colour[::-1])
    return picture


@torch.no_grad()
def enliven(network: Network, images: Tensor) -> None:
    """Make a random network tell the images apart: without it they all get nearly the same probabilities.

    BatchNorm statistics are taken from the images, and the heads' last layers are scaled. With exact statistics a
    random network would be chaotic (rounding errors grow a thousandfold), so the backbone is damped a little.
    """
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            module.momentum = None
    network.train()(images)
    network.eval()
    for module in network.backbone.modules():
        if isinstance(module, _BatchNorm):
            module.running_var.mul_(1.3)
    logits = network(images)
    heads = [network.classifier] if isinstance(network, PooledNet) else network.classifiers
    for position, head in enumerate(heads):
        *_, linear = head.modules()
        mean, spread = logits[:, position].mean(dim=0), logits[:, position].std(dim=0)
        linear.weight.mul_((1 / spread)[:, None])
        linear.bias.sub_(mean).div_(spread)


def make_checkpoint(path: Path, *, swap_golden_channels: bool = False, **overrides: object) -> Path:
    config = small_config(**overrides)
    preprocessing = config.preprocessing
    images = torch.stack([eval_transform(draw_picture(number), preprocessing) for number in range(8)])
    torch.manual_seed(0)
    network = randomise(build_network(config, len(CLASSES)))
    inputs = normalise(images, preprocessing)
    enliven(network, inputs)
    with torch.no_grad():
        probabilities = mix(network(inputs), config.model.mix)
    assert len(set(probabilities.argmax(dim=1).tolist())) > 2
    golden = Golden(images.flip(1) if swap_golden_channels else images, probabilities)
    save_checkpoint(Checkpoint(config, CLASSES, network.state_dict(), {"mix": {"top1": 0.5}}, golden, {}), path)
    return path


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all processes of the session share: what is dear is made by one of them."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def checkpoint(common: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calibrated, so that whatever is compared with it has to be. A copy of this process, for files beside it."""
    path = common / "checkpoint.pt"
    with FileLock(common / "checkpoint.lock"):
        if not path.exists():
            made = make_checkpoint(common / "uncalibrated.pt")
            save_checkpoint(replace(load_checkpoint(made), confidence=CONFIDENCE), path)
    return Path(shutil.copy(path, tmp_path_factory.mktemp("run") / "ckpt.pt"))


@pytest.fixture(scope="session")
def pictures(common: Path) -> Path:
    """A folder of classes with drawn photos."""
    root = common / "photos"
    with FileLock(common / "photos.lock"):
        if not root.exists():
            for number in range(20):
                folder = root / CLASSES[number % len(CLASSES)]
                folder.mkdir(exist_ok=True, parents=True)
                draw_picture(number).save(folder / f"{number}.png")
    return root


class Export(NamedTuple):
    folder: Path
    rows: dict[str, dict[str, object]]

    def file(self, name: str) -> Path:
        return Path(str(self.rows[name]["file"]))


@pytest.fixture(scope="session")
def exported(checkpoint: Path, pictures: Path, common: Path) -> Export:
    """Every format, through the command line."""
    folder, printed = common / "models", common / "models.json"
    with FileLock(common / "models.lock"):
        if not printed.exists():
            arguments = ("--format", "all", "--output", folder, "--data", pictures, "--json")
            result = run_command("pmsi-export", checkpoint, *arguments)
            assert result.status == 0, result.stderr
            printed.write_text(result.stdout, encoding="utf-8")
    rows = json.loads(printed.read_text(encoding="utf-8"))
    return Export(folder, {row["format"]: row for row in rows})
