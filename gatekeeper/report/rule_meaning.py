"""A rule of a policy in plain words: what it reads, what passes it, and what a pass does and doesn't mean."""

from __future__ import annotations

from gatekeeper.core.adversary import ATTACKS, PLAYS, SOURCE_OF, AttackName
from gatekeeper.core.attempts import confidence_of_attempt
from gatekeeper.core.binomial import upper_limit
from gatekeeper.core.metric import metric_title
from gatekeeper.core.policy import Policy, RiskRule, UtilityRule
from gatekeeper.core.risk import Similarity
from gatekeeper.core.rounding import in_full, round_down
from gatekeeper.core.rule_meaning import RuleMeaning
from gatekeeper.core.rule_names import worst_name
from gatekeeper.core.rule_order import demand_of
from gatekeeper.errors import InvalidInputError
from gatekeeper.report.implied_rules import implied_meanings

_ALWAYS = ("analytic", "denoised")

# Riess et al. 2024 (arXiv 2402.12861) for read-outs, Balle et al. 2022 for candidates.
_CLOSED_FORMS = {
    ("nothing", "none"): "bound: the chance that a planted row, read out best, resembles the image at NCC ≥ τ; "
    "Σ over k participations of P(K = k) · P(noncentral t with N − 1 degrees of freedom and noncentrality √k/σ exceeds "
    "τ√(N−1)/√(1−τ²)), N numbers an image{steps}, times the most images of a unit; proven for linear read-outs without "
    "a prior",
    ("nothing", "spectral"): "model figure: the same chance for Gaussian images with the held-out images' covariance, "
    "whose reader shapes the planted row or filters its read-out; a model of images and no proof",
    ("candidates", "none"): "bound: γ = 1 − f(κ) of the generalised likelihood-ratio test, which knows the target's "
    "gradient up to its sign; κ = 1/candidates",
    ("everything-else", "none"): "bound: γ = 1 − f(κ), f the trade-off function of the mechanism, κ = 1/candidates; "
    "proven against every attack",
}


def meaning_of(policy: Policy, name: str) -> RuleMeaning:
    """What the rule `name` of a policy says, or a condition that every policy implies.

    Raises:
        InvalidInputError: the policy has no such rule; the message names those that it has.
    """
    rules = {rule.id: rule for rule in policy.rules}
    implied = {meaning.rule: meaning for meaning in implied_meanings(policy)}
    rule = rules.get(name) or rules.get(name.removesuffix("/worst"))
    if isinstance(rule, RiskRule) and (name == rule.id or rule.worst_max is not None):
        return _risk(policy, rule) if name == rule.id else _worst(policy, rule, rule.worst_max or 0.0)
    if isinstance(rule, UtilityRule) and name == rule.id:
        return _utility(policy, rule)
    if name in implied:
        return implied[name]
    raise InvalidInputError(
        f"policy {policy.name} has no rule {name!r}", hint=f"it has {', '.join(rule_names(policy))}"
    )


def rule_names(policy: Policy) -> tuple[str, ...]:
    """Every name that `meaning_of` knows: rules, worst strata, and conditions that every policy implies."""
    worst = (worst_name(rule.id) for rule in policy.risk_rules if rule.worst_max is not None)
    return (*(rule.id for rule in policy.rules), *worst, *(meaning.rule for meaning in implied_meanings(policy)))


def _waivers(policy: Policy, rule: RiskRule | UtilityRule) -> str:
    if policy.waivers is None:
        return "the policy accepts no waivers"
    if not rule.waivable:
        return "never: the rule is marked waivable: false"
    signature = "signed by an approver" if policy.waivers.signed else "signed or not"
    return (
        f"a violation may be excused by a waiver ({signature}, for this model and this policy, at most "
        f"{policy.waivers.max_days} days to run), up to the ceiling that it names; what is inconclusive may not"
    )


def _confidence(policy: Policy, rule: RiskRule | UtilityRule) -> float:
    return confidence_of_attempt(rule.confidence, attempt=1, max_attempts=policy.max_attempts)


def _shared(policy: Policy) -> str:
    if policy.max_attempts == 1:
        return ""
    return "; each attempt on the same units has its share of what the confidence leaves to chance"


def _utility(policy: Policy, rule: UtilityRule) -> RuleMeaning:
    title, estimate = metric_title(*rule.subject), rule.statistic == "estimate"
    end = {"lower_confidence_bound": "lower", "upper_confidence_bound": "upper"}.get(rule.statistic)
    read = "the plain estimate" if estimate else f"the {end} end of its one-sided confidence interval"
    at = "" if estimate else f" at confidence {round_down(_confidence(policy, rule))}, first attempt{_shared(policy)}"
    twin = ", and of a twin trained alike without clipping and noise" if rule.needs_twin else ""
    return RuleMeaning(
        rule=rule.id,
        policy=policy.name,
        demand=demand_of(rule),
        measures=f"{title} of the exported file{twin}, on test units that training never saw",
        adversary=None,
        evidence=(f"{read}{at}",),
        passes=f"{title} {'drops by at most' if rule.needs_twin else 'of at least'} "
        f"{in_full(rule.max_drop if rule.max_drop is not None else rule.minimum or 0.0)}, by {read}",
        inconclusive=(f"fewer than {rule.min_units} independent test units", "a metric that is undefined on them"),
        means="the released file does so on units like the test units"
        + (", if the estimate can be trusted: no interval guards it" if estimate else ""),
        not_said=(
            "how it does on other populations, devices or sites than those of the test units",
            "anything about privacy: the test units are outside ε",
        ),
        waivers=_waivers(policy, rule),
    )


def _risk(policy: Policy, rule: RiskRule) -> RuleMeaning:
    evidence = []
    if "bound" in rule.evidence:
        one = ", K = 1" if rule.adversary.observes == "one-step" else ", K the participations"
        evidence.append(_CLOSED_FORMS[rule.adversary.knows, rule.adversary.prior].format(steps=one))
    if "attack" in rule.evidence:
        evidence += [_attack(name) for name in _attacks(rule)]
    picks = rule.similarity is None
    return RuleMeaning(
        rule=rule.id,
        policy=policy.name,
        demand=demand_of(rule),
        measures="how often the adversary picks the target among equally likely candidates"
        if rule.similarity is None
        else f"the share of training units that the adversary reconstructs: {_success(rule.similarity)}",
        adversary=f"{rule.adversary.title}: {rule.adversary.description}",
        evidence=tuple(evidence),
        passes=_passes(policy, rule),
        inconclusive=_open_ends(policy, rule),
        means=_means(rule),
        not_said=(
            *(() if picks else ("membership inference, which can succeed nearly always at high budgets",)),
            *(
                ()
                if picks
                else ("attackers with a better prior over images than this adversary's, such as a denoiser",)
            ),
            *(("attackers who see more than one step",) if rule.adversary.observes == "one-step" else ()),
            *(("what no attack of this audit tries",) if "bound" not in rule.evidence else ()),
            "that the model is anonymous in a legal sense",
        ),
        waivers=_waivers(policy, rule),
    )


def _success(similarity: Similarity) -> str:
    measure = "NCC, centred on the held-out mean image" if similarity.measure == "ncc" else "SSIM"
    if similarity.at_least is not None:
        return f"its best image resembles the original at {measure} ≥ {in_full(similarity.at_least)}"
    share = f"{100 * (similarity.above_null or 0.0):g} %"
    capped = "" if similarity.at_most is None else f", a threshold of at most {in_full(similarity.at_most)}"
    return f"its best image resembles the original ({measure}) more than {share} of strangers' images do{capped}"


def _attacks(rule: RiskRule) -> tuple[AttackName, ...]:
    if rule.attacks is not None:
        return rule.attacks
    return tuple(name for name in PLAYS if rule.adversary in PLAYS[name] and name in _ALWAYS)


def _attack(name: AttackName) -> str:
    return f"attack {name}: {ATTACKS[name]} ({SOURCE_OF[name]}), by the upper limit of its share of units"


def _passes(policy: Policy, rule: RiskRule) -> str:
    limit = in_full(rule.maximum)
    if "attack" not in rule.evidence:
        return f"a {rule.adversary.closed_form} of at most {limit}"
    confidence, units = _confidence(policy, rule), policy.audit.units
    most = most_successes(units=units, maximum=rule.maximum, confidence=confidence)
    form = f"a {rule.adversary.closed_form} of at most {limit}, and " if "bound" in rule.evidence else ""
    return (
        f"{form}at most {most} of {units} audited units reconstructed by each attack: then the one-sided "
        f"Clopper–Pearson limit at confidence {round_down(confidence)} is at most {limit} (first "
        f"attempt{_shared(policy)})"
    )


def most_successes(*, units: int, maximum: float, confidence: float) -> int:
    """The most successes among `units` of which the one-sided upper limit is at most `maximum`; −1 if even 0 is not."""
    low, high = -1, units
    while low < high:
        middle = (low + high + 1) // 2
        fits = upper_limit(successes=middle, trials=units, confidence=confidence) <= maximum
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _open_ends(policy: Policy, rule: RiskRule) -> tuple[str, ...]:
    if "attack" not in rule.evidence:
        return ()
    audit = policy.audit
    return (
        f"with the noise off an attack reconstructs fewer than {in_full(audit.min_positive_control)} of units "
        "(positive control): a broken attack is not a safe model",
        f"units that took no part count as reconstructed, surely above {in_full(audit.max_negative_control)} "
        "(negative control)",
        f"fewer units attacked than {audit.units}, or than there are, or in fewer noise draws than {audit.noise_draws}",
        "an attack that the rule names was not run",
    )


def _means(rule: RiskRule) -> str:
    if rule.adversary.knows == "everything-else":
        return "no attacker whatever picks the target among the candidates more often: proven"
    if rule.adversary.knows == "candidates":
        return "no attacker who knows the target's gradient up to its sign picks it more often: proven"
    tried = "the attacks named, which could have failed it, read out no larger share of units"
    if "bound" not in rule.evidence:
        return tried
    if rule.adversary.prior == "none":
        form = "no linear read-out without a prior reads out more in one noise draw, but for images with a near-copy"
    else:
        form = "no linear read-out with that prior would read out more in one noise draw, were the images Gaussian"
    return f"{form}; and {tried}" if "attack" in rule.evidence else form


def _worst(policy: Policy, rule: RiskRule, limit: float) -> RuleMeaning:
    units = policy.audit.worst_units
    return RuleMeaning(
        rule=worst_name(rule.id),
        policy=policy.name,
        demand=f"{rule.adversary.title}: at most {in_full(limit)} of the worst stratum reconstructed",
        measures=f"the observed share among the {units} units that stand out most (farthest from the mean image, "
        "rarest class)",
        adversary=f"{rule.adversary.title}: {rule.adversary.description}",
        evidence=tuple(
            _attack(name).replace("the upper limit of its share of units", "the share itself")
            for name in _attacks(rule)
        ),
        passes=f"at most {int(limit * units + 1e-9)} of {units} units reconstructed by each attack",
        inconclusive=_open_ends(policy, rule),
        means="those units, where memorisation sits if anywhere, were not read out more often",
        not_said=("anything about other units: it is a count of those units, no limit for a population",),
        waivers=_waivers(policy, rule),
    )
