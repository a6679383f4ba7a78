"""What Opacus' accountant says of a mechanism, asked in a process of its own with a clock beside it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from importlib import util

from gatekeeper.core.calculation import OpacusClaim
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.errors import InvalidInputError
from gatekeeper.pipeline.child import harmless

_MODULE = "gatekeeper.training.opacus_rdp"
_SECONDS = 120.0  # most of them for loading torch on a busy machine


def require_opacus() -> None:
    """Refuse early where Opacus can't be asked.

    Raises:
        InvalidInputError: opacus or torch isn't installed here.
    """
    missing = [name for name in ("torch", "opacus") if util.find_spec(name) is None]
    if missing:
        raise InvalidInputError(
            f"Opacus' accountant can't be asked: {' and '.join(missing)} not installed",
            where="--opacus",
            hint=f"pip install {' '.join(missing)}, or leave out --opacus",
        )


def claimed(mechanism: Mechanism, delta: float, *, seconds: float = _SECONDS) -> OpacusClaim:
    """Opacus' RDP figure for the mechanism, or how it failed; it takes every sampling for Poisson.

    Args:
        mechanism: what is accounted for.
        delta: δ.
        seconds: how long to wait.
    """
    numbers = (mechanism.relative_noise, mechanism.sampling_rate, mechanism.steps, delta)
    command = [sys.executable, "-P", "-m", _MODULE, *map(repr, numbers)]
    try:
        done = subprocess.run(
            command, env=harmless(os.environ), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return OpacusClaim(epsilon=None, order=None, failure=f"no answer within {seconds:g} seconds")
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()
        return OpacusClaim(
            epsilon=None, order=None, failure=words[-1] if words else f"it ended with code {done.returncode}"
        )
    said = json.loads(done.stdout)
    if not (math.isfinite(said["epsilon"]) and math.isfinite(said["order"])):
        return OpacusClaim(epsilon=None, order=None, failure=f"its ε is {said['epsilon']}")
    return OpacusClaim(epsilon=said["epsilon"], order=said["order"], failure=None)
