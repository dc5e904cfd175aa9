"""In which order the subjects of a round are run."""

from collections.abc import Sequence


def rotated(items: Sequence[int], number: int) -> list[int]:
    """The order of round `number`: each round begins one further on."""
    start = number % len(items)
    return [*items[start:], *items[:start]]
