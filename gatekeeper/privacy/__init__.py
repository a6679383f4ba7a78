"""Privacy accounting: from a mechanism to a proven ε, and from a budget to the least noise.

`account` and `calibrate` are the two directions, `compose` is for several runs on the same units, `account_images` for
units of several images that are sampled one by one, `most_steps` the inverse in T; `participations` is how often one
unit is used, and `identification_power` how often an adversary who knows candidates can pick the target. The proofs,
from the bottom up: `gaussian` (exact), `participation` (sampling patterns revealed), `losses` and `minorant` (one step
on a grid, from above and below), `balls_and_bins` (one epoch), `tilting`, `convolution` and `pld` (their sums).
Every result is an interval whose ends are proven, floating-point error included.
"""

from __future__ import annotations

from gatekeeper.privacy.accounting import account
from gatekeeper.privacy.calibration import calibrate
from gatekeeper.privacy.composition import compose
from gatekeeper.privacy.groups import account_images
from gatekeeper.privacy.horizon import most_steps
from gatekeeper.privacy.legibility import noise_for_ncc
from gatekeeper.privacy.participation import participations
from gatekeeper.privacy.tradeoff import identification_power

__all__ = [
    "account",
    "account_images",
    "calibrate",
    "compose",
    "identification_power",
    "most_steps",
    "noise_for_ncc",
    "participations",
]
