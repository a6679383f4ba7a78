"""An entry of the DP Deployments Registry, from the facts of a run.

Fields follow `schemas/deployments-schema.yaml` of the registry's data (github.com/opendp/deployments-registry-data).
What no file tells gatekeeper is left out where the registry lets it be, and otherwise said not to be stated.
"""

from __future__ import annotations

import math
import re

from gatekeeper.core.policy import RiskRule
from gatekeeper.core.rounding import in_full, round_down
from gatekeeper.report.content import (
    UNPROTECTED,
    Report,
    adaptation_sentence,
    arithmetic_sentence,
    epsilon_meaning,
    interruption_sentence,
    is_rejudged,
    ledger_sentence,
    lock_sentence,
    may_release,
    outcome_of,
    privacy_sentence,
    provenance_sentence,
    twin_sentence,
    unit_sentence,
    waiver_sentences,
)
from gatekeeper.report.registry.texts import paragraphs, shown
from gatekeeper.report.registry.yaml_text import Node, yaml_text
from gatekeeper.report.sections import outcome

NOT_STATED = "not stated in the policy"


def render_registry(report: Report) -> str:
    """The entry as YAML: a draft, to be completed by whoever publishes the model."""
    basic = _basic(report)
    deployment: dict[str, Node] = {
        "basic": basic,
        "dp_variant": _variant(report),
        "privacy_loss": _privacy_loss(report),
        "deployment_model": _model(report),
        "accounting": _accounting(report),
        "implementation": _implementation(report),
        "administrative": _administrative(report),
    }
    entry = yaml_text({"status": "Draft", "tier": 3, "deployment": deployment})
    return f"url_slug: {_slug(basic)}\n{entry}"


def _slug(basic: dict[str, Node]) -> str:
    """The registry's own rule: name, curators and year, what is no letter or digit being a dash."""
    parts = (str(basic["name"]), NOT_STATED, str(basic["publication_date"])[:4])
    return "_".join(re.sub(r"\W+", "_", part.lower()) for part in parts).replace("_", "-")


def _basic(report: Report) -> dict[str, Node]:
    evidence, policy = report.facts.evidence, report.policy
    card, word = evidence.dataset, outcome_of(report)
    released = "".join(f" {notice.text}" for notice in report.notices)
    if word in ("refused", "inconclusive") and not is_rejudged(report):
        released = f" Not released: the gate did not approve this model.{released}"
    synthetic = " The images are SYNTHETIC." if card.synthetic else ""
    about = evidence.candidate.description
    return {
        "name": shown(evidence.candidate.name),
        "data_curators": [NOT_STATED],
        "description": paragraphs(
            f"A network for the {card.task} of images, as an ONNX file with SHA-256 {evidence.model.sha256}, trained "
            f"with differential privacy on {card.train_images} images of {card.train_units} units ({card.unit}) of "
            f"{card.name}.{synthetic}",
            None if about is None else f"In the candidate's own words: {about}",
            f"Verdict of gatekeeper {report.gatekeeper_version} by policy {policy.name} v{policy.version}: "
            f"{word}.{released}",
        ),
        "intended_use": NOT_STATED,
        "data_product_type": "Machine learning model",
        "data_product_region": NOT_STATED,
        "publication_date": report.created[:10],
    }


def _variant(report: Report) -> dict[str, Node]:
    card = report.facts.evidence.dataset
    most = (
        f"A unit ({card.unit}) may have any number of images; in these data one has at most {card.max_images_per_unit}."
    )
    if card.unit == "image" and card.max_images_per_unit == 1:
        most = "Each image is a unit of its own."
    labelled = "one of the classes" if card.task == "classification" else "a mask of the classes"
    return {
        "variant_name": "Approximate DP",
        "data_domain": paragraphs(
            f"Sets of images of shape {'×'.join(map(str, card.image_shape))}, grouped by {card.unit}, each image with "
            f"{labelled} {', '.join(card.classes)}. {most}"
        ),
        "unprotected_quantities": paragraphs(
            f"No noise was added to: {UNPROTECTED}.",
            f"The {card.test_units} test units ({card.unit}) have no differential privacy.",
            unit_sentence(report.facts),
            twin_sentence(report.facts),
            provenance_sentence(report.facts),
        ),
    }


def _privacy_loss(report: Report) -> dict[str, Node]:
    guarantee, card = report.facts.guarantee, report.facts.evidence.dataset
    parameters: dict[str, Node] = {"delta": guarantee.delta}
    if math.isfinite(guarantee.epsilon.high):
        parameters = {"epsilon": guarantee.epsilon.high, **parameters}
    return {
        "privacy_unit": shown(card.unit),
        "privacy_unit_details": paragraphs(
            f"Zero-out adjacency: two data sets are adjacent if one is the other with the record of one {card.unit}, "
            "all its images and labels, replaced by nothing. The number of units is public. Accounted like "
            "add-or-remove-one."
        ),
        "privacy_parameters": parameters,
        "privacy_parameters_details": paragraphs(
            privacy_sentence(report.facts),
            f"ε is a proven upper bound; the smallest ε at this δ is at least {round_down(guarantee.epsilon.low)}. "
            f"1/n is {round_down(1 / card.train_units)}, n being the number of training units.",
            epsilon_meaning(guarantee.epsilon.high),
        ),
    }


def _model(report: Report) -> dict[str, Node]:
    released: dict[str, Node] = {}
    if may_release(report):
        released = {"release_type": "One release", "release_type_details": paragraphs(ledger_sentence(report))}
    limited = dict.fromkeys(rule.adversary for rule in report.policy.rules if isinstance(rule, RiskRule))
    return {
        "model_name": "Central",
        "model_name_details": "Noise is added by whoever trains the model and holds the images.",
        "actors": "\n\n".join(
            (
                "Whoever ran the training held the images in the clear and is trusted with them.",
                "Whoever gets the model may be an adversary. The policy limits the risk by:",
                "\n".join(f"- {shown(f'{each.title}: {each.description}')}" for each in limited),
            )
        ),
        **released,
        "data_source_type": "Static",
        "access_type": "Non-interactive",
        "access_type_details": "Whoever gets the model can ask it anything; nobody can ask the images.",
    }


def _accounting(report: Report) -> dict[str, Node]:
    training, guarantee = report.facts.evidence.candidate.training, report.facts.guarantee
    average = "the last weights" if training.ema is None else f"a moving average (decay {in_full(training.ema)})"
    return {
        "post_processing": shown(
            f"The optimizer ({training.optimizer.name}) reads the noisy sums alone; {average}, exported to ONNX, is "
            "the model."
        ),
        "composition": paragraphs(
            f"All noisy sums of the training together, by the {guarantee.accountant} accountant: {guarantee.theorem}.",
            interruption_sentence(report.facts),
            ledger_sentence(report),
        ),
    }


def _implementation(report: Report) -> dict[str, Node]:
    facts, policy = report.facts, report.policy
    record, ledger = facts.evidence.record, facts.ledger
    software = ", ".join(f"{each.name} {each.version}" for each in record.software)
    policy_of_it = "the policy that the run was recorded under" if is_rejudged(report) else "this policy"
    return {
        "preprocessing_and_hyperparameter_tuning": paragraphs(
            f"The ledger counts {ledger.runs} private and {ledger.non_private_runs} non-private runs on any of these "
            f"units, this one included, of which {ledger.attempts} under {policy_of_it}. Preprocessing and tuning "
            "outside of the ledger are unknown to gatekeeper."
        ),
        "mechanisms": paragraphs(
            "DP-SGD: Gaussian noise on sums of clipped gradients, one gradient for each unit.",
            privacy_sentence(facts),
            adaptation_sentence(facts),
            arithmetic_sentence(facts),
            f"Made by gatekeeper {report.gatekeeper_version} with {software}. Timing and other side channels of the "
            "machine that trained are not covered by it.",
        ),
        "justification": "\n\n".join(
            (
                paragraphs(
                    f"What had to hold was set by policy {policy.name} v{policy.version}, owned by {policy.owner}."
                    + ("" if policy.description is None else f" In its words: {policy.description}"),
                    lock_sentence(facts),
                    *(f"Waived: {sentence}" for sentence in waiver_sentences(report)),
                ),
                "Findings:",
                "\n".join(f"- {shown(f'{each.rule}: {outcome(each)}')}" for each in report.verdict.findings),
            )
        ),
    }


def _administrative(report: Report) -> dict[str, Node]:
    return {
        "notes": paragraphs(
            f"Written by gatekeeper {report.gatekeeper_version} from the facts of run {report.facts.ledger.run}. "
            "Curator, intended use and region are for whoever publishes the model to state; the date is that of the "
            "verdict.",
            "The model is not anonymous in a legal sense because it passed.",
        ),
        "registry_authors": [f"gatekeeper {shown(report.gatekeeper_version)}, a program"],
    }
