"""A package's template -> a page."""

from typing import Any

from pmsi_mobile.console.terminal import escaped


def render(package: str, template: str, **values: Any) -> str:
    """A self-contained page of a template of `package`, which extends `base.html`: no network, and no script but the
    template's own.

    Values that end in `_plots` are `<svg>` elements by their heading, of which empty ones are left out. The filter
    `line` writes names of files and classes on one line, without characters that steer.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("pmsi_mobile.pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["line"] = escaped
    drawn = {
        name: {heading: Markup(plot) for heading, plot in plots.items() if plot}
        for name, plots in values.items()
        if name.endswith("_plots")
    }
    return environment.get_template(template).render(**values | drawn)
