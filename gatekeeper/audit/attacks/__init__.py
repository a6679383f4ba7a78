"""Attacks that an audit runs, one file an attack, each with a positive and a negative control.

Each plays an adversary of `core.adversary`, clips and noises gradients itself or takes the run's own, and counts
units. What it reconstructs is private: it stays in local variables and never reaches a report.
"""

from gatekeeper.audit.attacks.audit import attacked_units, run_attacks

__all__ = ["attacked_units", "run_attacks"]
