"""How many epochs fit into a time."""


def epochs_within(minutes: float, spent: float, done: float, per_epoch: float) -> int:
    """The number of epochs, those `done` included, whose end is nearest to `minutes`; one more than are done at least.

    spent: seconds until now; per_epoch: seconds of each epoch from here on.
    """
    return max(int(done) + 1, round(done + (60 * minutes - spent) / per_epoch))
