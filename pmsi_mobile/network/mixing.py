"""How the predictions of several heads become one."""

from torch import Tensor


def mix(logits: Tensor, rule: str, temperature: float = 1.0) -> Tensor:
    """Mix all heads (Eq. 8): logits [B, heads, K] -> probabilities [B, K].

    `logits`: softmax of the summed logits; `probabilities`: mean of the heads' softmaxes. temperature: what logits are
    divided by before a softmax.
    """
    if rule == "logits":
        return (logits.sum(dim=1) / temperature).softmax(dim=-1)
    return (logits / temperature).softmax(dim=-1).mean(dim=1)
