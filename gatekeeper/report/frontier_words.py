"""What is said of a frontier in words, whatever the format: its figures, its best budget, its counted runs."""

from __future__ import annotations

from gatekeeper.core.frontier import Frontier
from gatekeeper.core.rounding import round_up
from gatekeeper.report.frontier_columns import epsilon_text, title

MEANINGS: tuple[tuple[str, str], ...] = (
    ("epsilon", "The budget that was asked for; the noise is the least that keeps it. ∞ is the non-private twin."),
    (
        "utility",
        "The metric of the exported file on test units that training never saw: estimate, and in brackets its "
        "one-sided lower and upper confidence limits, each at the confidence given.",
    ),
    (
        "drop",
        "How far the metric falls below that of a non-private twin, with the limits of that difference.",
    ),
    (
        "bound",
        "An upper bound on the share of units that the adversary reconstructs (or, of one who knows candidates, on the "
        "probability of picking the target), in one noise draw. It holds against the attacks that are named below, and "
        "against no others.",
    ),
    (
        "model figure",
        "The closed form of an adversary with a prior: such a share of images that are Gaussian with the held-out "
        "images' covariance. Real images are not, and attacks on them may exceed it: it is no bound.",
    ),
    (
        "attack",
        "Units that an attack really reconstructed, of those attacked, any of several noise draws counting, or, of an "
        "adversary with a prior, the draw in which most were; then the one-sided upper Clopper–Pearson limit of that "
        "share. An attack that fails shows nothing of better attacks.",
    ),
    ("tau", "τ, the similarity from which a reconstruction counts, calibrated on other units' images in each run."),
    (
        "verdict",
        "What the policy says of the run, and the rules that it fails or leaves open. The confidence of its rules is "
        "shared among all attempts on these units, these runs included.",
    ),
    ("sigma", "σ, the noise on the sum of clipped gradients, in multiples of the clipping norm C."),
    ("q", "The sampling rate: the chance that a step takes a unit. T: the steps."),
    (
        "k",
        "The most noisy gradients that hold one unit: all of its epochs, or the 99 % quantile under Poisson sampling.",
    ),
    (
        "snr",
        "k/(Nσ²), signal over noise of a pixel (N values an image) in the mean of k noisy gradients that hold one "
        "image alone. At 1 a read-out typically has the correlation 0.71 with the image, at 0.04 it has 0.2.",
    ),
    (
        "epsilon_proven",
        "The smallest ε of what really ran lies between the two, both proven, at δ; the upper one is the guarantee.",
    ),
)


def best_sentence(frontier: Frontier) -> str:
    """The highest-utility budget that passes the policy, or that none does."""
    best, tried = frontier.best, len({point.epsilon for point in frontier.points})
    if best is None:
        return f"No budget of the {tried} passes policy {frontier.policy} v{frontier.policy_version}."
    runs = frontier.points_at(best)
    over = "" if len(runs) == 1 else f" (mean of {len(runs)} seeds, all of which pass)"
    chosen = (
        f" It was chosen among {len(frontier.passing)} that pass, so its estimate is optimistic; the limits of "
        "neighbouring budgets may overlap."
        if len(frontier.passing) > 1
        else ""
    )
    return (
        f"Of the {tried} budgets, ε = {epsilon_text(best)} passes policy {frontier.policy} "
        f"v{frontier.policy_version} with the highest {title(frontier.subject)}: "
        f"estimated {frontier.mean_estimate(best):.4f}{over}.{chosen}"
    )


def counted_sentence(frontier: Frontier) -> str:
    """How many runs the ledger counted for this, and what they spent."""
    private, alone = frontier.private_runs, frontier.non_private_runs
    counted = (
        f"For this frontier the ledger counted {private} private run{'' if private == 1 else 's'}, each an attempt of "
        f"the policy on these units, and {alone} run{'' if alone == 1 else 's'} without privacy (twins included)."
    )
    if frontier.total is None:
        return counted
    total = frontier.total
    return (
        f"{counted} Just after the last one that was measured, all runs on the units that have spent the most came "
        f"together to ε ≤ {round_up(total.epsilon.high)} at δ = {round_up(total.delta)}."
    )
