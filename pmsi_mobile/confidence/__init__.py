"""How sure a network may be: its temperature, what its probabilities are worth, and from which one on to answer."""
