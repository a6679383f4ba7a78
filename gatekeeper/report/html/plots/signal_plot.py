"""How much signal the noise leaves of one image: SNR = k/(Nσ²), and how alike a read-out is by it.

The closed form (Riess et al. 2024, arXiv 2402.12861): the median NCC of an image and its best linear read-out without a
prior is 1/√(1 + 1/SNR).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gatekeeper.core.adversary import ALL_STEPS
from gatekeeper.core.certificate import Facts
from gatekeeper.core.frontier_point import signal_to_noise
from gatekeeper.core.rounding import round_up
from gatekeeper.report.content import Report
from gatekeeper.report.html.plots.style import DEMANDED, HAIRLINE, INK, MEASURED, WIDTH, legend_above

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DECADES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """What an adversary has of one image.

    Attributes:
        name: `one step`, or `all steps`.
        participations: k, how many noisy gradients it averages.
        snr: k/(Nσ²).
    """

    name: str
    participations: int
    snr: float

    @property
    def median_ncc(self) -> float:
        """By the closed form; typical, not a bound."""
        return ncc_of(self.snr)


def ncc_of(snr: float) -> float:
    """The median NCC of the closed form.

    >>> ncc_of(1.0) == math.sqrt(0.5)
    True
    """
    return math.sqrt(snr / (1 + snr))


def signals(facts: Facts) -> tuple[Signal, ...]:
    """One step and, where a bound or an attack says for how many gradients, all steps."""
    found = {"one step": 1}
    uses = [each.participations for each in facts.bounds if each.adversary == ALL_STEPS]
    uses += [each.participations for each in facts.evidence.attacks.outcomes if each.adversary == ALL_STEPS]
    if uses and max(uses) > 0:
        found["all steps"] = max(uses)
    noise, pixels = facts.evidence.record.mechanism.relative_noise, facts.evidence.dataset.pixels
    return tuple(
        Signal(
            name=name,
            participations=k,
            snr=signal_to_noise(relative_noise=noise, participations=k, pixels=pixels),
        )
        for name, k in found.items()
    )


def thresholds(facts: Facts) -> tuple[float, ...]:
    """The thresholds τ of NCC without a prior, one image each, that success is judged by."""
    nulls = facts.evidence.attacks.nulls
    found = {n.threshold for n in nulls if n.similarity.measure == "ncc" and n.guesser is None and n.candidates == 1}
    return tuple(sorted(found))


def signal_figure(report: Report) -> Figure:
    """NCC against SNR, with the run's own points and thresholds."""
    from matplotlib.figure import Figure

    shown = signals(report.facts)
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    axes = figure.subplots()
    exponents = [math.log10(each.snr) for each in shown]
    low, high = min(-_DECADES, *exponents) - 0.5, max(_DECADES, *exponents) + 0.5
    curve = [10 ** (low + (high - low) * step / 200) for step in range(201)]
    axes.plot(curve, [ncc_of(snr) for snr in curve], color=INK, linewidth=1.2, label="closed form, median")
    for number, tau in enumerate(thresholds(report.facts)):
        axes.axhline(tau, color=DEMANDED, linewidth=1.2, dashes=(4, 3), label=None if number else "threshold τ")
    for each, marker, fill in zip(
        shown, "os", ("full", "none"), strict=False
    ):  # hollow, so that neither hides the other
        axes.plot(
            [each.snr],
            [each.median_ncc],
            marker,
            color=MEASURED,
            fillstyle=fill,
            markersize=7 if fill == "full" else 12,
            markeredgewidth=2,
            label=label_of(each),
        )
    axes.set_xscale("log")
    axes.set_xlim(10**low, 10**high)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylim(-0.03, 1.07)
    axes.grid(visible=True, color=HAIRLINE, linewidth=0.8)
    axes.minorticks_off()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel("SNR = k/(Nσ²)")
    axes.set_ylabel("NCC")
    legend_above(figure, axes)
    return figure


def label_of(each: Signal) -> str:
    """An adversary with its SNR.

    >>> label_of(Signal(name="one step", participations=1, snr=0.01234))
    'one step, SNR 0.0124'
    """
    return f"{each.name}, SNR {round_up(each.snr, digits=3)}"


def signal_words(report: Report) -> str:
    """What the picture shows, in words."""
    said = [
        f"{each.name} (k = {each.participations}): SNR {round_up(each.snr, digits=3)}, median NCC "
        f"{round_up(each.median_ncc, digits=3)}"
        for each in signals(report.facts)
    ]
    said += [f"threshold τ = {tau:.3f}" for tau in thresholds(report.facts)]
    return "; ".join(said) + "."
