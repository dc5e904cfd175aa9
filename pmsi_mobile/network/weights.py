"""Initial weights: state dicts from files into backbones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pmsi_mobile.errors import PmsiError


def read_state_dict(path: Path) -> Mapping[str, Tensor]:
    """Read a state dict from .safetensors or a pickle-free torch file. Raises PmsiError when it cannot."""
    if not path.is_file():
        raise PmsiError(f"weights file {path} does not exist (--weights takes a file, imagenet or none)")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PmsiError(f"weights file {path} cannot be read: {reason}") from None
    content = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise PmsiError(f"weights file {path} is not a state dict")
    return content


def load_matching(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load `state` into `model`; only a classifier may be missing or left over. Raises PmsiError otherwise."""
    own = model.state_dict()
    classifier = ("classifier.", "fc.", "head.", "head_", "conv_head.", "bn2_head.")
    wanted = [key for key in own if not key.startswith(classifier) and not key.endswith("num_batches_tracked")]
    missing = [key for key in wanted if key not in state]
    unfit = [key for key in wanted if key in state and state[key].shape != own[key].shape]
    if missing or unfit:
        problem = f"{len(missing)} tensors missing, {len(unfit)} of another shape (first: {(missing + unfit)[0]})"
        raise PmsiError(f"weights file {source} does not fit the backbone: {problem}")
    model.load_state_dict(
        {key: state[key] for key in own if key in state and state[key].shape == own[key].shape}, strict=False
    )
