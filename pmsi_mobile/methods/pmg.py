"""PMG: progressive training of multi-granularity features with jigsaws (Du et al. 2020)."""

from pmsi_mobile.config import Config, ModelConfig
from pmsi_mobile.methods import rmg_pmsi
from pmsi_mobile.methods.phase import Phase
from pmsi_mobile.methods.rmg_pmsi import PMSINet

CONCAT_WEIGHT = 2.0


class PMGNet(PMSINet):
    """The network of RMG-PMSI without the interaction of its stages: each has its own features (m = x)."""

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__(config.model_copy(update={"gates": False, "progressive": True}), num_classes)


def phases(config: Config, head_names: tuple[str, ...]) -> tuple[Phase, ...]:
    """Those of Algorithm 1 (r stands for 2^r x 2^r tiles); the concat classifier's loss counts twice."""
    *stages, concat = rmg_pmsi.phases(config, head_names)
    return (*stages, concat._replace(loss_weight=CONCAT_WEIGHT))
