"""What regulators ask for, and where the page answers it, or that it doesn't.

Sources: Regulation (EU) 2024/1689, annex IV; NIST SP 800-226 (2025); EDPB Opinion 28/2024.
"""

from __future__ import annotations

from dataclasses import dataclass

NOT_COVERED = "not covered by this tool"


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """What somebody asks for.

    Attributes:
        demand: what for.
        answer: what the page says of it, or that the tool doesn't cover it.
        section: the id of the section that says it, or None.
    """

    demand: str
    answer: str
    section: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Who asks, and what for."""

    title: str
    clauses: tuple[Clause, ...]


def _source(title: str, *clauses: tuple[str, str] | tuple[str, str, str]) -> Source:
    return Source(
        title=title,
        clauses=tuple(
            Clause(demand=demand, answer=answer, section=section[0] if section else None)
            for demand, answer, *section in clauses
        ),
    )


CROSSWALK = (
    _source(
        "EU AI Act, annex IV",
        ("1 intended purpose, provider, interaction with other systems", NOT_COVERED),
        ("2(a) development, pre-trained parts", "mechanism, origin of the weights", "privacy"),
        (
            "2(b) design specifications, main choices",
            "rules, mechanism, clipping; the rest is in the candidate",
            "privacy",
        ),
        ("2(c) architecture, computational resources", "device, time and software of the training", "privacy"),
        ("2(d) data: provenance, selection, labelling", "numbers, units, split, commitment; no provenance", "privacy"),
        ("2(e) human oversight", NOT_COVERED),
        ("2(f) changes determined beforehand", NOT_COVERED),
        (
            "2(g) validation and testing, metrics of accuracy",
            "metrics of the file on test units, with limits",
            "utility",
        ),
        ("2(g) robustness, discriminatory impact", NOT_COVERED),
        ("2(g) test reports dated and signed by those responsible", "signatures, and lines to sign", "sign-off"),
        ("2(h) cybersecurity", "reconstruction of training images, nothing else", "adversaries"),
        ("3 accuracy by groups of persons", "each class where a rule names it; no other groups", "utility"),
        (
            "3 foreseeable unintended outcomes and risks",
            "what this does not say; risks of use are not covered",
            "limits",
        ),
        ("4 appropriateness of the metrics", "what each rule reads; reasons are the policy owner's", "rules"),
        ("5 risk management", NOT_COVERED),
        ("6 changes through the life cycle", "earlier runs on the same units; no other changes", "ledger"),
        ("7 standards, 8 declaration of conformity, 9 monitoring", NOT_COVERED),
    ),
    _source(
        "NIST SP 800-226",
        ("privacy parameters and variant", "ε, δ, variant, 1/n", "privacy"),
        ("unit of privacy, neighbouring relation", "unit, most images of a unit, zero-out", "privacy"),
        ("mechanism, accounting, composition", "sampling, noise, steps, accountant", "privacy"),
        ("composition over analyses, tuning", "attempts and runs that the ledger counted, their total", "ledger"),
        ("utility", "metrics with limits", "utility"),
        ("bias", NOT_COVERED),
        ("trust model", "central", "privacy"),
        ("randomness, floating point", "generator, exact sums on a grid", "privacy"),
        ("timing and other side channels", NOT_COVERED),
        ("data security, access control, collection", NOT_COVERED),
    ),
    _source(
        "EDPB Opinion 28/2024",
        ("likelihood that personal data are extracted from the model", "adversaries, bounds, attacks", "adversaries"),
        ("likelihood that queries yield them", "attacks on the weights, where a rule names any", "adversaries"),
        (
            "all means reasonably likely to be used",
            "what each adversary sees and knows; which are likely, no tool says",
            "meaning",
        ),
        ("resistance to membership inference", "limited by ε alone; no attack on membership is run", "meaning"),
        ("resistance to inversion and reconstruction", "bounds and attacks, with controls", "adversaries"),
        ("resistance to attribute inference, regurgitation, exfiltration", NOT_COVERED),
        ("state of the art at the time of the tests", "attacks by name; the date of the verdict", "adversaries"),
        ("legal basis, legitimate interest, impact assessment", NOT_COVERED),
    ),
)
"""By source, in its order."""
