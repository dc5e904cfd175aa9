"""The published EfficientNet-Lite0's tensors under timm's names."""

import runpy
from itertools import product
from pathlib import Path

import pytest
import timm
import torch

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/efficientnet_lite.py"))
timm_name = SCRIPT["timm_name"]
STATISTICS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def published_names():
    norms = ["_bn0", "_bn1"]
    convolutions = ["_conv_stem", "_conv_head"]
    for block in range(16):
        norms += [f"_blocks.{block}._bn{number}" for number in ((1, 2) if block == 0 else (0, 1, 2))]
        layers = (
            ("_depthwise_conv", "_project_conv") if block == 0 else ("_expand_conv", "_depthwise_conv", "_project_conv")
        )
        convolutions += [f"_blocks.{block}.{layer}" for layer in layers]
    of_norms = [f"{norm}.{part}" for norm, part in product(norms, STATISTICS)]
    return [*of_norms, *(f"{name}.weight" for name in convolutions), "_fc.weight", "_fc.bias"]


def test_every_tensor_has_its_own_name_in_timms_network():
    with torch.device("meta"):
        names = timm.create_model(SCRIPT["BACKBONE"]).state_dict().keys()
    renamed = [timm_name(name) for name in published_names()]
    assert len(renamed) == len(set(renamed)) == 296
    assert set(renamed) == set(names)


@pytest.mark.parametrize(
    ("published", "timms"),
    [
        ("_blocks.0._project_conv.weight", "blocks.0.0.conv_pw.weight"),
        ("_blocks.1._expand_conv.weight", "blocks.1.0.conv_pw.weight"),
        ("_blocks.14._bn2.bias", "blocks.5.3.bn3.bias"),
        ("_blocks.15._project_conv.weight", "blocks.6.0.conv_pwl.weight"),
        ("_bn0.running_var", "bn1.running_var"),
    ],
)
def test_blocks_are_counted_within_their_stages(published, timms):
    assert timm_name(published) == timms
