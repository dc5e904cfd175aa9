"""How the predictions of several heads become one."""

from torch import Tensor


def mix(logits: Tensor, rule: str) -> Tensor:
    """Mix all heads (Eq. 8): logits [B, heads, K] -> probabilities [B, K].

    `logits`: softmax of the summed logits; `probabilities`: mean of the heads' softmaxes.
    """
    if rule == "logits":
        return logits.sum(dim=1).softmax(dim=-1)
    return logits.softmax(dim=-1).mean(dim=1)
