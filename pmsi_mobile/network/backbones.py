"""Backbones cut into stages where the number of channels grows."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from pmsi_mobile.config import TORCHVISION
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.extras import how_to_install
from pmsi_mobile.network.sources import hub_name
from pmsi_mobile.network.weights import load_matching, read_weights

_MOBILENET_V2_CUTS = ((0, 1), (1, 4), (4, 7), (7, 14), (14, 19))
# timm builds this one as its weights need it only where it fetches them.
_TIMM_OPTIONS: dict[str, dict[str, Any]] = {"fbnetc_100": {"bn_eps": 1e-3}}


class StagedBackbone(nn.Module):
    """The stages in sequence; returns the feature maps of the last `used` of them.

    images [B, 3, H, W] -> list of `used` tensors [B, channels[i], h_i, w_i], shallow to deep. names: of the used ones,
    if they are not the last of S1..SN.
    """

    def __init__(
        self, stages: list[nn.Module], channels: tuple[int, ...], used: int, names: tuple[str, ...] = ()
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.used = used
        self.channels = channels[-used:]
        self.stage_names = names or tuple(f"S{number}" for number in range(len(stages) - used + 1, len(stages) + 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        features = []
        x = images
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[-self.used :]


class TimmBackbone(nn.Module):
    """A timm model with `features_only`; the same interface as StagedBackbone."""

    def __init__(self, name: str, pretrained: bool, used: int) -> None:
        super().__init__()
        try:
            import timm
        except ImportError:
            raise PmsiError(
                f"backbone '{name}' is not one of {', '.join(TORCHVISION)}: for timm models, {how_to_install('timm')}"
            ) from None
        hub = hub_name(name)
        if hub and not hub.startswith("timm/"):
            raise PmsiError(f"backbone '{name}' names weights: pass them as --weights, and timm's name as --backbone")
        name = hub.removeprefix("timm/") if hub else name
        if not timm.is_model(name):
            raise PmsiError(f"unknown backbone '{name}': neither {', '.join(TORCHVISION)} nor a timm model")
        try:
            model: Any = timm.create_model(
                name, pretrained=pretrained, features_only=True, **_TIMM_OPTIONS.get(name, {})
            )
        except RuntimeError as error:
            raise PmsiError(f"timm model '{name}' has no feature stages: {error}") from None
        if str(getattr(model, "output_fmt", "NCHW")) not in ("NCHW", "Format.NCHW"):
            raise PmsiError(f"timm model '{name}' gives NHWC features, which the stage heads cannot take")
        channels = tuple(model.feature_info.channels())
        _check_stage_count(name, len(channels), used)
        self.model = model
        self.used = used
        self.channels = channels[-used:]
        self.stage_names = tuple(f"S{number}" for number in range(len(channels) - used + 1, len(channels) + 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        return list(self.model(images))[-self.used :]


def build_backbone(
    name: str, used: int, weights: str = "none", *, last_conv: bool = True
) -> StagedBackbone | TimmBackbone:
    """Build backbone `name` for its last `used` stages.

    name: one of TORCHVISION or timm's, also as `timm/NAME` and `hf-hub:timm/NAME`.
    weights: `none` (random), `imagenet` (fetched by torchvision or timm into their cache), a file with a state dict of
    the whole model or of the backbone, or a model of the hub (`network.weights`); classifiers in it are ignored.
    last_conv: whether mobilenet_v2 has its last convolution, 320 to 1280 channels.
    Raises PmsiError for an unknown name, weights that cannot be had, or a file that does not fit.
    """
    if not last_conv and name != "mobilenet_v2":
        raise PmsiError(f"model.last_conv=false is for mobilenet_v2: {name} is never built with such a convolution")
    if name not in TORCHVISION:
        return _build_timm(name, used, weights)
    import torchvision.models as zoo

    _check_stage_count(name, 5, used)
    model = zoo.get_model(name, weights=None)
    if weights == "imagenet":
        model.load_state_dict(_fetch(name))
    if name == "mobilenet_v2":
        stages = [model.features[start:end] for start, end in _MOBILENET_V2_CUTS]
        if not last_conv:
            stages[-1] = stages[-1][:-1]
        backbone = StagedBackbone(stages, (32, 24, 32, 96, 1280 if last_conv else 320), used)
    else:
        stem = nn.Sequential(model.conv1, model.bn1, model.relu, model.maxpool)
        stages = [stem, model.layer1, model.layer2, model.layer3, model.layer4]
        backbone = StagedBackbone(stages, (64, 64, 128, 256, 512), used)
    if weights not in ("imagenet", "none"):
        load_matching([model, backbone], read_weights(weights), weights)
    return backbone


def last_blocks(backbone: StagedBackbone | TimmBackbone, count: int, dropped: int = 0) -> StagedBackbone:
    """A backbone that gives the maps of its last stage's last `count` blocks in place of stages, S5.2 for the second of
    stage 5; the `dropped` blocks after them are left out.

    Raises PmsiError for one that is not cut into blocks, or into fewer.
    """
    blocks = list(backbone.stages[-1].children()) if isinstance(backbone, StagedBackbone) else []
    if len(blocks) < count + dropped or not isinstance(backbone, StagedBackbone):
        raise PmsiError(
            f"this backbone's last stage has no {count + dropped} blocks to take features from: use mobilenet_v2, "
            "or --preset mobile-plain"
        )
    kept = blocks[: len(blocks) - dropped]
    before = [*backbone.stages[:-1], nn.Sequential(*kept[:-count])]
    channels = [_out_channels(block) for block in kept[-count:]]
    names = tuple(f"{backbone.stage_names[-1]}.{number}" for number in range(len(kept) - count + 1, len(kept) + 1))
    return StagedBackbone([*before, *kept[-count:]], tuple(channels), count, names)


def _out_channels(block: nn.Module) -> int:
    return [module for module in block.modules() if isinstance(module, nn.Conv2d)][-1].out_channels


def _build_timm(name: str, used: int, weights: str) -> TimmBackbone:
    try:
        backbone = TimmBackbone(name, weights == "imagenet", used)
    except (OSError, ConnectionError) as error:
        raise _no_download(name, error) from None
    if weights not in ("imagenet", "none"):
        # Some feature extractors wrap the model itself.
        wrapped = getattr(backbone.model, "model", backbone.model)
        load_matching([backbone.model, wrapped], read_weights(weights), weights)
    return backbone


def _fetch(name: str) -> Mapping[str, Any]:
    from torchvision.models import get_model_weights

    try:
        return get_model_weights(name).DEFAULT.get_state_dict(progress=True, check_hash=True)
    except OSError as error:
        raise _no_download(name, error) from None


def _no_download(name: str, error: Exception) -> PmsiError:
    return PmsiError(
        f"ImageNet weights of {name} could not be fetched ({error}): pass --weights FILE or --weights none"
    )


def _check_stage_count(name: str, available: int, used: int) -> None:
    if used > available:
        raise PmsiError(f"{name} has {available} stages, model.stages asks for {used}")
