"""Privacy accounting: from a mechanism to a proven ε, and from a budget to the least noise.

`account` and `calibrate` are the two directions; `participations` is how often one unit is used. The proofs, from
the bottom up: `gaussian` (exact), `participation` (sampling patterns revealed), `losses`, `convolution` and `pld`
(privacy loss distributions). Every result is an interval whose ends are proven, floating-point error included.
"""

from __future__ import annotations

from gatekeeper.privacy.accounting import account
from gatekeeper.privacy.calibration import calibrate
from gatekeeper.privacy.participation import participations

__all__ = ["account", "calibrate", "participations"]
