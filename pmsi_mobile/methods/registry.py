"""The methods by the names under which configurations know them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pmsi_mobile.config import Augment, Config, MethodName, ModelConfig
from pmsi_mobile.data.loading import balanced_batches, evened_batches, shuffled_batches
from pmsi_mobile.methods import api, pc, pmg, rmg_pmsi
from pmsi_mobile.methods.api import APINet
from pmsi_mobile.methods.baseline import BaselineNet
from pmsi_mobile.methods.bcnn import BCNNNet
from pmsi_mobile.methods.hbp import HBPNet
from pmsi_mobile.methods.objective import Objective, cross_entropy
from pmsi_mobile.methods.pc import PCNet
from pmsi_mobile.methods.phase import Phase
from pmsi_mobile.methods.pmg import PMGNet
from pmsi_mobile.methods.pooled import PooledNet, one_phase
from pmsi_mobile.methods.rmg_pmsi import PMSINet
from pmsi_mobile.network.weights import load_but_last
from pmsi_mobile.tensor_files import read_tensors

Network = PMSINet | PooledNet
Batches = Callable[[Sequence[int], int, int, int, int, int], list[list[int]]]
"""(labels, batch size, seed, epoch, rank, processes) -> an epoch's, as `shuffled_batches`."""


class Method(NamedTuple):
    """How a method is trained. network(configuration, classes) builds its network; phases(configuration, heads) are
    those of a batch, in the order in which they are optimised; objective is what each of them minimises; batches draws
    an epoch's; augment is what `train.augment=method` stands for."""

    network: Callable[[ModelConfig, int], Network]
    phases: Callable[[Config, tuple[str, ...]], tuple[Phase, ...]] = one_phase
    objective: Objective = cross_entropy
    batches: Batches = shuffled_batches
    augment: Augment = "none"


METHODS: Mapping[MethodName, Method] = {
    "rmg-pmsi": Method(PMSINet, rmg_pmsi.phases, augment="rmg"),
    "baseline": Method(BaselineNet),
    "pmg": Method(PMGNet, pmg.phases, augment="jigsaw"),
    "bcnn": Method(BCNNNet),
    "hbp": Method(HBPNet),
    "pc": Method(PCNet, objective=pc.objective),
    "api": Method(APINet, objective=api.objective, batches=balanced_batches),
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


def batches(config: Config) -> Batches:
    """How an epoch's batches are drawn: as configured, in the method's own manner otherwise."""
    return evened_batches if config.train.sampler == "balanced" else METHODS[config.method].batches
