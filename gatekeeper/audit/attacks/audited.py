"""What simulated attacks are about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from gatekeeper.audit.attacks.analytic import PlantedRow
from gatekeeper.audit.attacks.guesses import Half
from gatekeeper.audit.attacks.sample import Targets
from gatekeeper.core.checks import check_non_negative, check_positive
from gatekeeper.core.participation import Participations
from gatekeeper.core.policy import AuditTerms
from gatekeeper.core.ranks import Ranks
from gatekeeper.core.units import UnitImages


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Audited:
    """What simulated attacks are about, and with what randomness they are made.

    Attributes:
        train: the training units. Private.
        held_out: units that took no part in training, of other people.
        targets: which training units are attacked.
        participations: the distribution of K.
        noise_multiplier: σ, at least 0.
        audit: how hard to look.
        row: the planted row that the control on strangers reads.
        clipping_norm: C, above 0.
        rng: draws K, and the pairs of the negative control.
        generator: draws the noise.
        progress: hears how many units have been attacked since it last heard.
        ranks: the processes that share out the units.
        halves: what either half of the held-out units teaches.
    """

    train: UnitImages
    held_out: UnitImages
    targets: Targets
    participations: Participations
    noise_multiplier: float
    audit: AuditTerms
    row: PlantedRow
    clipping_norm: float
    rng: np.random.Generator
    generator: torch.Generator
    progress: Callable[[int], None]
    ranks: Ranks
    halves: tuple[Half, ...]

    def __post_init__(self) -> None:
        check_non_negative(noise_multiplier=self.noise_multiplier)
        check_positive(clipping_norm=self.clipping_norm)
