"""Plots of the report: how far probabilities can be believed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmsi_mobile.pages.plots import ACCENT, INK, svg_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES: dict[str, dict[str, Any]] = {
    "uncalibrated": {"color": INK, "ls": "--", "alpha": 0.6},
    "calibrated": {"color": ACCENT, "ls": "-"},
}
_HEIGHT, _WIDTH = 3.6, 4.8


def reliability_plot(bins: Mapping[str, NDArray[np.float64]]) -> str:
    """Share right against the mean first probability of each bin, [bins, 2] by how they are calibrated."""
    with svg_plot(_HEIGHT, _WIDTH) as (axes, drawn):
        axes.plot([0, 100], [0, 100], color=INK, lw=1, alpha=0.3)
        for kind, each in bins.items():
            axes.plot(100 * each[:, 0], 100 * each[:, 1], marker="o", ms=4, clip_on=False, label=kind, **_STYLES[kind])
        axes.set(xlim=(0, 100), ylim=(0, 100))
        axes.set_xlabel("first probability, %", color=INK)
        axes.set_ylabel("right, %", color=INK)
        _finish(axes)
    return drawn[0]


def risk_plot(risks: Mapping[str, NDArray[np.float64]]) -> str:
    """Share wrong among the surest photos, [N] by how they are calibrated."""
    with svg_plot(_HEIGHT, _WIDTH) as (axes, drawn):
        for kind, risk in risks.items():
            coverage = 100 * np.arange(1, len(risk) + 1) / len(risk)
            axes.plot(coverage, 100 * risk, label=kind, **_STYLES[kind])
        axes.set(xlim=(0, 100), ylim=(0, None))
        axes.set_xlabel("answered, the surest first, %", color=INK)
        axes.set_ylabel("wrong of these, %", color=INK)
        _finish(axes)
    return drawn[0]


def _finish(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(INK)
    axes.grid(color=INK, alpha=0.12)
    axes.legend(frameon=False, labelcolor=INK)
