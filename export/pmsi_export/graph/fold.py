"""Training network -> one inference-only graph from raw pixels to probabilities.

Everything that is constant at inference is multiplied into the weights, in double precision, so that no converter has
to find it: BatchNorms, the division by 255 * std, and the sum over heads.
"""

import copy
import itertools
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from pmsi_mobile.config import Preprocessing
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.methods.pooled import PooledNet
from pmsi_mobile.methods.registry import Network
from pmsi_mobile.methods.rmg_pmsi import PMSINet
from pmsi_mobile.network.backbones import StagedBackbone, TimmBackbone
from pmsi_mobile.network.poolings import GlobalAverage, HierarchicalBilinearPooling, normalised


class MixGraph(nn.Module):
    """Raw RGB pixels 0..255, float32 [B, 3, H, W] -> probabilities [B, K].

    Equal to normalising, running the training network in eval mode and mixing its heads. With top_k, the largest
    probabilities [B, top_k], falling, and their classes [B, top_k] (int64). Where the head gives an unknown score, that
    too, [B, 1].
    """

    mean: Tensor

    def __init__(self, mean: Tensor, backbone: nn.Module, head: nn.Module, top_k: int | None = None) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.backbone = backbone
        self.head = head
        self.top_k = top_k

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        # The mean is subtracted here and not shifted into the first bias: that convolution pads with zeros, which
        # stand for the mean colour only when the subtraction comes before the padding.
        given: Tensor | tuple[Tensor, Tensor] = self.head(self.backbone(image - self.mean))
        if self.top_k is None or isinstance(given, tuple):
            return given
        values, classes = given.topk(self.top_k, dim=1)
        return values, classes


class SamePadding(nn.Module):
    """TensorFlow's SAME padding in front of a convolution: zeros, the odd one at the right and the bottom."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.sizes = [list(each) for each in (convolution.kernel_size, convolution.stride, convolution.dilation)]

    def forward(self, x: Tensor) -> Tensor:
        from timm.layers import pad_same

        kernel, stride, dilation = self.sizes
        return cast(Tensor, pad_same(x, kernel, stride, dilation))


class InteractionHead(nn.Module):
    """The last S stages' maps -> probabilities [B, K]: smooth convolutions, interaction (Eq. 1-3), Mix (Eq. 8).

    mlp: the mapping of Eq. 1, None without interaction. hidden: the classifiers' first layers, one per stage and the
    concat classifier's, or only the latter (Eq. 7).
    """

    def __init__(self, smooth: nn.ModuleList, mlp: nn.Module | None, hidden: nn.ModuleList, mix: nn.Module) -> None:
        super().__init__()
        self.smooth = smooth
        self.mlp = mlp
        self.hidden = hidden
        self.mix = mix

    def forward(self, maps: list[Tensor]) -> Tensor | tuple[Tensor, Tensor]:
        vectors = [_global_max(smooth(x)) for smooth, x in zip(self.smooth, maps, strict=True)]
        if self.mlp is not None:
            mutual = self.mlp(torch.cat(vectors, dim=1))
            vectors = [x + torch.sigmoid(mutual * x) * x for x in vectors]
        inputs = [*vectors, torch.cat(vectors, dim=1)]
        mixed: Tensor | tuple[Tensor, Tensor] = self.mix(
            [linear(x) for linear, x in zip(self.hidden, inputs[-len(self.hidden) :], strict=True)]
        )
        return mixed


class Answer(nn.Module):
    """Logits [B, K] -> probabilities [B, K]; with unknown_score also the negative of the largest logit, [B, 1]."""

    def __init__(self, unknown_score: bool) -> None:
        super().__init__()
        self.unknown_score = unknown_score

    def forward(self, logits: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        probabilities = logits.softmax(dim=1)
        return (probabilities, -logits.amax(dim=1, keepdim=True)) if self.unknown_score else probabilities


class SumOfLogits(nn.Module):
    """Hidden vectors of all heads -> answer to their summed logits, in one product: sum W_n h_n = [W_1 ... W_n] h."""

    def __init__(self, outputs: list[nn.Linear], answer: Answer) -> None:
        super().__init__()
        self.answer = answer
        weight = torch.cat([output.weight for output in outputs], dim=1)
        self.linear = _linear(weight, torch.stack([output.bias for output in outputs]).sum(dim=0))

    def forward(self, hidden: list[Tensor]) -> Tensor | tuple[Tensor, Tensor]:
        answer: Tensor | tuple[Tensor, Tensor] = self.answer(self.linear(F.elu(torch.cat(hidden, dim=1))))
        return answer


class MeanOfProbabilities(nn.Module):
    """Hidden vectors of all heads -> mean of their softmaxes."""

    def __init__(self, outputs: list[nn.Linear]) -> None:
        super().__init__()
        self.outputs = nn.ModuleList(outputs)

    def forward(self, hidden: list[Tensor]) -> Tensor:
        first, *others = [output(F.elu(x)).softmax(dim=1) for output, x in zip(self.outputs, hidden, strict=True)]
        return sum(others, first) / len(hidden)


class PooledHead(nn.Module):
    """The backbone's maps -> answer: pooling, linear, softmax."""

    def __init__(self, pooling: nn.Module, linear: nn.Linear, answer: Answer) -> None:
        super().__init__()
        self.pooling = pooling
        self.linear = linear
        self.answer = answer

    def forward(self, maps: list[Tensor]) -> Tensor | tuple[Tensor, Tensor]:
        answer: Tensor | tuple[Tensor, Tensor] = self.answer(self.linear(self.pooling(maps)))
        return answer


class WholeAverage(nn.Module):
    """The last map's mean over its places, as a pooling of the map's size, which every delegate has."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        last = maps[-1]
        return F.avg_pool2d(last, [int(side) for side in last.shape[-2:]]).flatten(1)


class ProjectedProducts(nn.Module):
    """Hierarchical bilinear pooling, its means over places as poolings of the map's size."""

    def __init__(self, projections: nn.ModuleList) -> None:
        super().__init__()
        self.projections = projections
        self.products = MeanProducts()

    def forward(self, maps: list[Tensor]) -> Tensor:
        products: Tensor = self.products([projection(x) for projection, x in zip(self.projections, maps, strict=True)])
        return products


class MeanProducts(nn.Module):
    """Projected maps [B, D, h, w] -> [B, pairs * D]: the mean product of each two, normalised. Apart from the rest, for
    int8 leaves it in float: a product's range is the square of its factors'."""

    def forward(self, projected: list[Tensor]) -> Tensor:
        places = [int(side) for side in projected[0].shape[-2:]]
        pairs = itertools.combinations(projected, 2)
        means = [F.avg_pool2d(first * second, places).flatten(1) for first, second in pairs]
        return normalised(torch.cat(means, dim=1).unflatten(1, (len(means), -1))).flatten(1)


class ChannelScale(nn.Module):
    """x * scale, scale [1, 3, 1, 1]: for the few backbones that do not begin with a plain convolution."""

    scale: Tensor

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def fold(
    network: Network,
    preprocessing: Preprocessing,
    mix_rule: str,
    head: str = "mix",
    top_k: int | None = None,
    temperature: float = 1.0,
    unknown_score: bool = False,
) -> MixGraph:
    """Fold a training network into its inference graph; `network` is not changed.

    mix_rule: `logits` or `probabilities` (Eq. 8). head: `mix`, or `concat` for Eq. 7's classifier alone. A network with
    one head looks at neither. top_k: end in the classes of the largest probabilities. temperature: what the logits are
    divided by; it goes into the last linear layers. unknown_score: give that as a second output, of logits divided.
    Raises PmsiError when a timm backbone cannot be traced.
    """
    exact = copy.deepcopy(network).eval().double().requires_grad_(False)
    mean, std = (
        torch.tensor(values, dtype=torch.double).view(1, 3, 1, 1) for values in (preprocessing.mean, preprocessing.std)
    )
    if isinstance(exact, PooledNet):
        folded: nn.Module = _pooled_head(exact, temperature, Answer(unknown_score))
    else:
        folded = _interaction_head(exact, mix_rule, head, temperature, Answer(unknown_score))
    return MixGraph(255 * mean, _fold_backbone(exact.backbone, 1 / (255 * std)), folded, top_k).float().eval()


def _fold_backbone(backbone: StagedBackbone | TimmBackbone, input_scale: Tensor) -> nn.Module:
    """The backbone, which is used up, for inputs that still want multiplying by `input_scale` [1, 3, 1, 1]."""
    if isinstance(backbone, TimmBackbone):
        _reparameterise(backbone)
    folded = cast(fx.GraphModule, fuse(_trace(backbone), no_trace=True))
    image = next(node for node in folded.graph.nodes if node.op == "placeholder")
    first = list(_first_layers(folded, image))
    # Subclasses may compute on their weights before they convolve: only nn.Conv2d itself is known to be linear in them.
    convolutions = [module for module in first if type(module) is nn.Conv2d and module.groups == 1]
    if len(convolutions) < len(first):
        return nn.Sequential(ChannelScale(input_scale), folded)
    for convolution in convolutions:
        convolution.weight = nn.Parameter(convolution.weight * input_scale, requires_grad=False)
    return folded


def _first_layers(folded: fx.GraphModule, image: fx.Node) -> Iterator[nn.Module | None]:
    """What computes on the image, None for no module; its padding with zeros commutes with a scale of its channels."""
    for node in image.users:
        module = folded.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, SamePadding):
            yield from _first_layers(folded, node)
        else:
            yield module


def _trace(backbone: StagedBackbone | TimmBackbone) -> fx.GraphModule:
    """A graph of plain layers in which `fuse` finds its convolution-BatchNorm pairs; dropouts are left out."""
    tracer = fx.Tracer() if isinstance(backbone, StagedBackbone) else _timm_tracer()
    root = _plain_layers(backbone) if isinstance(backbone, TimmBackbone) else backbone
    try:
        graph = tracer.trace(root)
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise PmsiError(
            f"this backbone cannot be exported, its graph cannot be traced ({reason}): use another one"
        ) from None
    traced = fx.GraphModule(root, graph)
    for node in list(traced.graph.nodes):
        if node.op == "call_module" and isinstance(traced.get_submodule(node.target), nn.Dropout | nn.Identity):
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _timm_tracer() -> fx.Tracer:
    """A tracer that keeps whole what timm says cannot be traced through."""
    from timm.layers import get_notrace_functions, get_notrace_modules

    leaves = (*get_notrace_modules(), SamePadding)

    class TimmTracer(fx.Tracer):
        def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
            return isinstance(module, leaves) or super().is_leaf_module(module, qualified_name)

    return TimmTracer(autowrap_functions=tuple(get_notrace_functions()))


def _reparameterise(backbone: TimmBackbone) -> None:
    """Turn branches that add up to a convolution into it (Ding et al., 2021: RepVGG; MobileOne, FastViT, RepViT)."""
    from timm.utils.model import reparameterize_model

    usual = torch.get_default_dtype()
    # timm makes the new layers in the default type, which would round the sums of branches.
    torch.set_default_dtype(torch.double)
    try:
        backbone.model = reparameterize_model(backbone.model, inplace=True)
    finally:
        torch.set_default_dtype(usual)


def _plain_layers(backbone: TimmBackbone) -> TimmBackbone:
    """timm's BatchNorm-with-activation as a BatchNorm and its activation, its convolution with TensorFlow's padding as
    that padding and a convolution: what `fuse` knows."""
    from timm.layers import BatchNormAct2d
    from timm.layers.conv2d_same import Conv2dSame

    plain = copy.deepcopy(backbone)
    for name, module in backbone.named_modules():
        if type(module) is BatchNormAct2d:
            norm = nn.BatchNorm2d(module.num_features, eps=module.eps).to(module.weight)
            norm.load_state_dict(module.state_dict(), strict=False)
            plain.set_submodule(name, nn.Sequential(norm, module.drop, module.act).eval())
        elif type(module) is Conv2dSame:
            plain.set_submodule(name, nn.Sequential(SamePadding(module), _without_padding(module)).eval())
    return plain


def _without_padding(module: nn.Conv2d) -> nn.Conv2d:
    convolution = nn.Conv2d(
        module.in_channels,
        module.out_channels,
        cast(tuple[int, int], module.kernel_size),
        cast(tuple[int, int], module.stride),
        dilation=cast(tuple[int, int], module.dilation),
        groups=module.groups,
        bias=module.bias is not None,
    ).to(module.weight)
    convolution.load_state_dict(module.state_dict())
    return convolution


def _interaction_head(
    network: PMSINet, mix_rule: str, head: str, temperature: float, answer: Answer
) -> InteractionHead:
    chosen = network.classifiers if head == "mix" else network.classifiers[-1:]
    classifiers = [_fold_classifier(list(classifier.children())) for classifier in chosen]
    hidden = [first for first, _ in classifiers]
    outputs = [_divided(last, temperature) for _, last in classifiers]
    # Of one classifier both are its softmax.
    mix = SumOfLogits(outputs, answer) if mix_rule == "logits" or len(outputs) == 1 else MeanOfProbabilities(outputs)
    smooth = nn.ModuleList(_fold_smooth(list(block.children())) for block in network.smooth)
    mlp = None if network.mlp is None else _fold_mlp(list(network.mlp.children()))
    return InteractionHead(smooth, mlp, nn.ModuleList(hidden), mix)


def _pooled_head(network: PooledNet, temperature: float, answer: Answer) -> PooledHead:
    pooling: nn.Module = network.pooling
    if isinstance(pooling, GlobalAverage):
        pooling = WholeAverage()
    elif isinstance(pooling, HierarchicalBilinearPooling):
        pooling = ProjectedProducts(pooling.projections)
    *_, linear = network.classifier.modules()
    return PooledHead(pooling, _divided(cast(nn.Linear, linear), temperature), answer)


def _fold_smooth(block: list[Any]) -> nn.Sequential:
    folded: list[nn.Module] = []
    for convolution, norm, activation in zip(block[::3], block[1::3], block[2::3], strict=True):
        folded += [fuse_conv_bn_eval(convolution, norm), activation]
    return nn.Sequential(*folded)


def _fold_mlp(mlp: list[Any]) -> nn.Module:
    """Two linear layers with nothing between them are one; it is used where it takes fewer multiplications."""
    first, _dropout, second = mlp
    merged = _linear(second.weight @ first.weight, second.weight @ first.bias + second.bias)
    if merged.weight.numel() < first.weight.numel() + second.weight.numel():
        return merged
    return nn.Sequential(first, second)


def _fold_classifier(classifier: list[Any]) -> tuple[nn.Linear, nn.Linear]:
    """The linear layers before and after the ELU, both BatchNorms in the first."""
    input_norm, hidden, hidden_norm, _elu, output = classifier
    scale = input_norm.weight * torch.rsqrt(input_norm.running_var + input_norm.eps)
    shift = input_norm.bias - input_norm.running_mean * scale
    on_raw_input = _linear(hidden.weight * scale, hidden.weight @ shift + hidden.bias).eval()
    return fuse_linear_bn_eval(on_raw_input, hidden_norm), output


def _divided(layer: nn.Linear, temperature: float) -> nn.Linear:
    return _linear(layer.weight / temperature, layer.bias / temperature)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer


def _global_max(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C]. As poolings, which every delegate has in float and in int8, first of tiles and then of
    what they left: XNNPACK takes longer over a whole map at once (3 % of the model with three stages at 448 px)."""
    height, width = (int(side) for side in x.shape[-2:])
    tile = max(side for side in range(1, 9) if height % side == width % side == 0)
    for kernel in ((tile, tile), (height // tile, width // tile)):
        if kernel != (1, 1):
            x = F.max_pool2d(x, kernel)
    return x.flatten(1)
