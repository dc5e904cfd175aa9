"""The methods by the names under which configurations know them."""

from pmsi_mobile.config import Config
from pmsi_mobile.methods import baseline, rmg_pmsi
from pmsi_mobile.methods.baseline import BaselineNet
from pmsi_mobile.methods.phase import Phase
from pmsi_mobile.methods.rmg_pmsi import PMSINet

Network = PMSINet | BaselineNet


def build_network(config: Config, num_classes: int, *, load_weights: bool = True) -> Network:
    """Build the configured network; `load_weights=False` skips the initial weights (a checkpoint follows)."""
    model = config.model if load_weights else config.model.model_copy(update={"weights": "none"})
    return BaselineNet(model, num_classes) if config.method == "baseline" else PMSINet(model, num_classes)


def phases(config: Config, head_names: tuple[str, ...]) -> tuple[Phase, ...]:
    """The phases of one batch, in the order in which they are optimised."""
    method = baseline if config.method == "baseline" else rmg_pmsi
    return method.phases(config, head_names)
