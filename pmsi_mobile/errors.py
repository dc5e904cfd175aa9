"""Errors that a user can act on. A command prints one as a single line and exits with its code."""


class PmsiError(Exception):
    """Wrong use or bad input: the message says what, why and what to do."""

    exit_code = 2


class MeasurementError(PmsiError):
    """A gate or a measurement failed; the inputs were fine."""

    exit_code = 1
