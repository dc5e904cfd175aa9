"""The methods by the names under which configurations know them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from pmsi_mobile.config import Augment, Config, MethodName, ModelConfig
from pmsi_mobile.methods import baseline, rmg_pmsi
from pmsi_mobile.methods.baseline import BaselineNet
from pmsi_mobile.methods.phase import Phase
from pmsi_mobile.methods.rmg_pmsi import PMSINet
from pmsi_mobile.network.weights import load_but_last
from pmsi_mobile.tensor_files import read_tensors

Network = PMSINet | BaselineNet


class Method(NamedTuple):
    """How a method is trained. network(configuration, classes) builds its network; phases(configuration, heads) are
    those of a batch, in the order in which they are optimised; augment: what `train.augment=method` stands for."""

    network: Callable[[ModelConfig, int], Network]
    phases: Callable[[Config, tuple[str, ...]], tuple[Phase, ...]]
    augment: Augment = "none"


METHODS: Mapping[MethodName, Method] = {
    "rmg-pmsi": Method(PMSINet, rmg_pmsi.phases, "rmg"),
    "baseline": Method(BaselineNet, baseline.phases),
}


def build_network(config: Config, num_classes: int, *, load_weights: bool = True) -> Network:
    """Build the configured network; `load_weights=False` skips the initial weights (a checkpoint follows).

    Raises PmsiError when the backbone or its weights cannot be had.
    """
    start = config.model.start_from if load_weights else None
    network = _build(config, num_classes, "none" if start or not load_weights else config.model.weights)
    if start:
        state, other = network.state_dict(), _build(config, num_classes + 1, "none").state_dict()
        last = {key for key in state if state[key].shape != other[key].shape}
        load_but_last(network, last, read_tensors(Path(start)), start)
    return network


def _build(config: Config, num_classes: int, weights: str) -> Network:
    model = config.model.model_copy(update={"weights": weights})
    return METHODS[config.method].network(model, num_classes)


def phases(config: Config, head_names: tuple[str, ...]) -> tuple[Phase, ...]:
    """The phases of one batch, in the order in which they are optimised."""
    return METHODS[config.method].phases(config, head_names)


def augmentation(config: Config) -> Augment:
    """The configured augmentation, or the method's own."""
    return METHODS[config.method].augment if config.train.augment == "method" else config.train.augment
