"""The networks of a result: files are compared with those of their own network alone."""

from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict

from pmsi_bench.subjects.function import Function


class Network(BaseModel):
    """What some of the rows compute."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    checkpoint_sha256: str
    head: str | None
    input_side: int
    """Of the square input image, in pixels."""
    classes: int
    """How many."""
    baseline: str | None
    """Name of the row of this network that the ratios of the others refer to; null where none was measured."""

    @property
    def title(self) -> str:
        """Tells it from others."""
        head = f", head {self.head}" if self.head not in (None, "mix") else ""
        return f"checkpoint {self.checkpoint_sha256[:8]}, {self.classes} classes, {self.input_side} px{head}"


def network_of(function: Function, baseline: str | None) -> Network:
    """The record of a function."""
    sha, head, side, classes = function
    return Network(checkpoint_sha256=sha, head=head, input_side=side, classes=len(classes), baseline=baseline)


def headings(networks: Sequence[Network]) -> list[str]:
    """One for what is shown of each network; empty where there is one only."""
    if len(networks) == 1:
        return [""]
    return [f"Network {number} ({network.title})" for number, network in enumerate(networks, start=1)]


def ratios_to(networks: Sequence[Network]) -> str | None:
    """What the ratios refer to; None where nothing was measured."""
    return networks[0].baseline if len(networks) == 1 else "the baseline of each network"


def sentences(networks: Sequence[Network], sentence: Callable[[int], str]) -> list[str]:
    """A sentence about each network, by its number; of several, which one each is about."""
    if len(networks) == 1:
        return [sentence(0)]
    return [
        f"These are files of {len(networks)} different networks, which are not compared with each other.",
        *(f"{heading}: {sentence(number)}" for number, heading in enumerate(headings(networks))),
    ]
