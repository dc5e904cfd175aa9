"""Initial weights: state dicts, however they were named and wrapped, into a network."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pmsi_mobile.errors import PmsiError
from pmsi_mobile.extras import how_to_install
from pmsi_mobile.network.sources import check_source, hub_name
from pmsi_mobile.tensor_files import read_tensors

State = Mapping[str, Tensor]

# A backbone has no use for what follows its last stage.
_CLASSIFIER = ("classifier.", "fc.", "head.", "head_", "conv_head.", "bn2_head.")


def read_weights(source: str) -> Any:
    """The content of a weights file, or of a model of the Hugging Face hub (`hf-hub:OWNER/NAME`, `timm/NAME`).

    Raises PmsiError when it cannot be had.
    """
    check_source(source)
    hub = hub_name(source)
    return _fetch_from_hub(hub) if hub and not Path(source).exists() else read_tensors(Path(source))


def _fetch_from_hub(name: str) -> Any:
    try:
        from timm.models import load_state_dict_from_hf
    except ImportError:
        raise PmsiError(f"weights {name} of the hub need timm: {how_to_install('timm')}") from None
    try:
        return load_state_dict_from_hf(name, weights_only=True)
    except Exception as error:  # Its client raises what its transport does.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PmsiError(f"weights {name} could not be fetched ({reason}): pass --weights FILE or none") from None


def load_matching(modules: Sequence[nn.Module], content: Any, source: str) -> None:
    """Load the state dict that fits into one of `modules`, which are views of the same parameters under other names.

    It may lie in `content` under any keys (`state_dict`, `model`, ...; of several that fit, an average, `ema`, is
    taken), its names may have any prefix (`module.`, `backbone.`, ...) and `_` for `.`, as timm's feature extractors
    have. Only a classifier may be missing; what is left over is ignored.
    Raises PmsiError when none fits.
    """
    candidates = list(_state_dicts(content))
    if not candidates:
        raise PmsiError(f"weights file {source} holds no tensors under names: it is not a state dict")
    fits = [
        (_Fit(module, state, prefix), "ema" in f"{name}.{prefix}".lower())
        for module in modules
        for name, state in candidates
        for prefix in _prefixes(module, state)
    ]
    best, _ = max(fits, key=lambda fit: (-len(fit[0].lacking), fit[1], len(fit[0].found)))
    if best.lacking:
        problem = f"{best.missing} tensors missing, {best.unfit} of another shape (first: {best.lacking[0]})"
        raise PmsiError(f"weights file {source} does not fit the backbone: {problem}")
    broken = next((key for key, value in best.found.items() if not bool(torch.isfinite(value).all())), None)
    if broken:
        raise PmsiError(f"weights file {source} has values that are not finite numbers ({broken})")
    best.module.load_state_dict(best.found, strict=False)


def load_but_last(network: nn.Module, last: set[str], content: Any, source: str) -> None:
    """Load a checkpoint's weights into a network of the same layers, all but those named `last`.

    Raises PmsiError when it is no checkpoint, or of another network.
    """
    state = content.get("weights") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise PmsiError(f"{source} is not a pmsi-mobile checkpoint: pass the ckpt.pt that pmsi-train wrote")
    wanted = {key: value for key, value in network.state_dict().items() if key not in last}
    unfit = [key for key, value in wanted.items() if key not in state or state[key].shape != value.shape]
    if unfit:
        raise PmsiError(
            f"{source} is of another network: {len(unfit)} of {len(wanted)} tensors differ (first: {unfit[0]}); "
            "leave out what changes method, backbone or heads"
        )
    network.load_state_dict({key: state[key] for key in wanted}, strict=False)


class _Fit:
    """How the tensors of a state dict, under a prefix, fit the names and shapes of a module."""

    def __init__(self, module: nn.Module, state: State, prefix: str) -> None:
        self.module = module
        own = module.state_dict()
        given = {key.removeprefix(prefix): value for key, value in _plain(state).items() if key.startswith(prefix)}
        self.found = {
            key: given[name]
            for key, value in own.items()
            if (name := _plain_name(key)) in given and given[name].shape == value.shape
        }
        wanted = [key for key in own if not key.startswith(_CLASSIFIER) and not key.endswith("num_batches_tracked")]
        self.lacking = [key for key in wanted if key not in self.found]
        self.unfit = sum(_plain_name(key) in given for key in self.lacking)
        self.missing = len(self.lacking) - self.unfit


def _plain_name(key: str) -> str:
    # timm's feature extractors flatten the first level: stages.0 becomes stages_0.
    return key.replace(".", "_")


def _plain(state: State) -> dict[str, Tensor]:
    return {_plain_name(key): value for key, value in state.items()}


def _state_dicts(content: Any, name: str = "", depth: int = 3) -> Iterator[tuple[str, State]]:
    """Every mapping in `content` that has tensors, and where it lies."""
    if not isinstance(content, Mapping):
        return
    tensors = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if tensors:
        yield name, tensors
    if depth:
        for key, value in content.items():
            yield from _state_dicts(value, f"{name}.{key}", depth - 1)


def _prefixes(module: nn.Module, state: State) -> list[str]:
    """The prefixes that put the module's names into `state`, the most frequent ones."""
    names = [_plain_name(key) for key in module.state_dict()]
    given = list(_plain(state))
    counts: Counter[str] = Counter({"": 1})
    for name in names[:: max(1, len(names) // 16)]:
        counts.update(key.removesuffix(name) for key in given if key.endswith(f"_{name}"))
    return [prefix for prefix, _ in counts.most_common(6)]
