"""The `training` section of a candidate file as a `TrainingSpec`."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

from gatekeeper.config.document import Read, Section
from gatekeeper.config.readers import BOOLEAN, choice, real, real_or_choice, whole
from gatekeeper.core.candidate import (
    LOSSES,
    AugmentationSpec,
    OptimizerName,
    OptimizerSpec,
    SamplingChoice,
    Schedule,
    TrainingSpec,
)
from gatekeeper.core.checks import check_non_negative, check_open_probability, check_positive, check_share_from_zero
from gatekeeper.core.clipping import CLIPPINGS, INITIAL_NORM, Clipping
from gatekeeper.core.precision import PRECISIONS

_share_from_zero = real(check_share_from_zero)

# What may stand where the others take their number.
_RULES_WITHOUT_NUMBER = tuple(rule for rule in CLIPPINGS if rule != "flat")

# What the noun assumes where the file is silent, so that the two can't differ.
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(TrainingSpec)}


def read_training(section: Section) -> Read[TrainingSpec]:
    """How the model is trained; what the file leaves out is as `TrainingSpec` says."""
    epochs = section.required("epochs", whole(at_least=1))
    expected_batch = section.required("expected_batch", whole(at_least=1))
    clipping_norm = section.required("clipping_norm", real_or_choice(check_positive, _RULES_WITHOUT_NUMBER))
    optimizer = _optimizer(section.mapping("optimizer"))
    views = section.optional("views", whole(at_least=1), default=_DEFAULTS["views"])
    augmentation = _augmentation(section.optional_mapping("augmentation"))
    sampling = section.optional("sampling", choice(get_args(SamplingChoice)), default=_DEFAULTS["sampling"])
    schedule = section.optional("schedule", choice(get_args(Schedule)), default=_DEFAULTS["schedule"])
    warmup = section.optional("warmup", real(check_non_negative), default=_DEFAULTS["warmup"])
    ema = section.optional("ema", real(check_open_probability), default=_DEFAULTS["ema"])
    epsilon = section.optional("epsilon", real(check_positive), default=_DEFAULTS["epsilon"])
    delta = section.optional("delta", real(check_open_probability), default=_DEFAULTS["delta"])
    loss = section.optional("loss", choice(LOSSES), default=_DEFAULTS["loss"])
    seed = section.optional("seed", whole(at_least=0), default=_DEFAULTS["seed"])
    physical_batch = section.optional("physical_batch", whole(at_least=1), default=_DEFAULTS["physical_batch"])
    precision = section.optional("precision", choice(PRECISIONS), default=_DEFAULTS["precision"])
    allowance = section.optional("resume_allowance", whole(at_least=0), default=_DEFAULTS["resume_allowance"])
    return section.build(
        lambda: TrainingSpec(
            epochs=epochs.value,
            expected_batch=expected_batch.value,
            clipping_norm=_norm(clipping_norm.value),
            optimizer=optimizer.value,
            views=views.value,
            augmentation=augmentation.value,
            sampling=sampling.value,
            schedule=schedule.value,
            warmup=warmup.value,
            ema=ema.value,
            epsilon=epsilon.value,
            delta=delta.value,
            loss=loss.value,
            seed=seed.value,
            physical_batch=physical_batch.value,
            resume_allowance=allowance.value,
            clipping=_rule(clipping_norm.value),
            precision=precision.value,
        ),
        blame="warmup",
    )


def _norm(written: float | Clipping) -> float:
    return INITIAL_NORM if isinstance(written, str) else written


def _rule(written: float | Clipping) -> Clipping:
    return written if isinstance(written, str) else "flat"


def _optimizer(section: Section) -> Read[OptimizerSpec]:
    name = section.required("name", choice(get_args(OptimizerName)))
    lr = section.required("lr", real(check_positive))
    momentum = section.optional("momentum", real(check_non_negative), default=None)
    weight_decay = section.optional("weight_decay", real(check_non_negative), default=0.0)
    return section.build(
        lambda: OptimizerSpec(name=name.value, lr=lr.value, momentum=momentum.value, weight_decay=weight_decay.value),
        blame="momentum",
    )


def _augmentation(section: Section | None) -> Read[AugmentationSpec]:
    if section is None:
        return Read((AugmentationSpec(),))
    flips = section.optional("flips", BOOLEAN, default=False)
    shift = section.optional("shift", whole(at_least=0), default=0)
    rotation = section.optional("rotation", real(check_non_negative), default=0.0)
    scale = section.optional("scale", _share_from_zero, default=0.0)
    intensity = section.optional("intensity", _share_from_zero, default=0.0)
    return section.build(
        lambda: AugmentationSpec(
            flips=flips.value, shift=shift.value, rotation=rotation.value, scale=scale.value, intensity=intensity.value
        ),
        blame="rotation",
    )
