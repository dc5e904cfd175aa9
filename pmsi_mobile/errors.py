"""Errors that a user can act on. A command prints one as a single line and exits with its code."""


class PmsiError(Exception):
    """Wrong use or bad input: the message says what, why and what to do."""

    exit_code = 2


class MeasurementError(PmsiError):
    """A gate or a measurement failed; the inputs were fine."""

    exit_code = 1


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM stopped the work; the message says how to go on."""

    def __init__(self, signal_number: int, message: str = "interrupted") -> None:
        super().__init__(message)
        self.signal_number = signal_number

    @property
    def exit_code(self) -> int:
        """As a shell reports a program that a signal ended."""
        return 128 + self.signal_number
