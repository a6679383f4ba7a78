"""Where a run may be asked to compute."""

from __future__ import annotations

from typing import Literal, get_args

# auto: a GPU where there is one.
DeviceChoice = Literal["auto", "cpu", "cuda"]

DEVICE_CHOICES: tuple[DeviceChoice, ...] = get_args(DeviceChoice)
