"""Tables on the terminal."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def console_for(table: "Table") -> "Console":
    """A console as wide as the table: rich would cut figures off to fit them in a narrow terminal."""
    from rich.console import Console
    from rich.measure import Measurement

    wide = Console(width=1000)
    width = Measurement.get(wide, wide.options, table).maximum
    return Console(markup=False, highlight=False, soft_wrap=True, width=width)
