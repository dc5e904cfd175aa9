"""The graph with int8 arithmetic for XNNPACK: uint8 pixels in, float32 probabilities out."""

import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from pmsi_export.graph.fold import MeanProducts
from pmsi_export.runtime.runner import nchw


class _FromBytes(nn.Module):
    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.floating = graph

    def forward(self, image: Tensor) -> Any:
        return self.floating(image.float())


def to_int8(graph: nn.Module, images: NDArray[np.uint8]) -> nn.Module:
    """Quantise with PyTorch's PT2E, activation ranges from photos [N, H, W, 3].

    Weights are symmetric per output channel, activations asymmetric per tensor. The mean is subtracted, and the ELU and
    the softmax computed, in float: XNNPACK's quantizer leaves them so, and is told to leave products of maps.
    """
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    class Quantizer(XNNPACKQuantizer):
        def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
            annotated = super().annotate(model)
            _join_relu6(annotated)
            return annotated

    inputs = [(torch.from_numpy(nchw(image, np.uint8)),) for image in images]
    exported = torch.export.export(_FromBytes(graph), inputs[0]).module()
    observed = prepare_pt2e(exported, Quantizer().set_global(_config()).set_module_type(MeanProducts, None))
    with torch.no_grad():
        for photo in inputs:
            observed(*photo)
    return convert_pt2e(observed)


def _join_relu6(model: fx.GraphModule) -> None:
    """Round after the ReLU6 and not before it too: XNNPACK computes it with its convolution, but its quantizer knows so
    of ReLU only, and would give the convolution a range that ReLU6 cuts off."""
    from torchao.quantization.pt2e.quantizer import QuantizationAnnotation

    key = "quantization_annotation"
    for node in model.graph.nodes:
        if node.target in (torch.ops.aten.hardtanh.default, torch.ops.aten.hardtanh_.default):
            layer = node.args[0]
            node.meta[key] = QuantizationAnnotation(output_qspec=layer.meta[key].output_qspec, _annotated=True)
            layer.meta[key].output_qspec = None


def _config() -> Any:
    """XNNPACK's own, but with whole ranges (its histograms cut the tails off, which costs 14 dB) and without its least
    scale of 2^-12, which is too coarse for some channels' weights."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import get_symmetric_quantization_config
    from torchao.quantization.pt2e import MinMaxObserver, PerChannelMinMaxObserver

    def observed_by(spec: Any, observer: Any) -> Any:
        return dataclasses.replace(spec, observer_or_fake_quant_ctr=observer.with_args(eps=1e-12))

    config = get_symmetric_quantization_config(is_per_channel=True)
    activation = observed_by(config.output_activation, MinMaxObserver)
    return dataclasses.replace(
        config,
        input_activation=activation,
        output_activation=activation,
        weight=observed_by(config.weight, PerChannelMinMaxObserver),
    )
