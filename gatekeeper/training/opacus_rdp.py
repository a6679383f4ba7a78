"""What Opacus' own accountant says of a run: `python -P -m gatekeeper.training.opacus_rdp SIGMA RATE STEPS DELTA`.

A process of its own, because for some mechanisms that accountant neither answers nor fails; its caller has a clock.
"""

from __future__ import annotations

import json
import sys
import warnings

from opacus.accountants import RDPAccountant


def claim(*, noise_multiplier: float, sampling_rate: float, steps: int, delta: float) -> tuple[float, float]:
    """ε in nats and the Rényi order that gives it, over the library's default orders.

    Args:
        noise_multiplier: σ.
        sampling_rate: q; the accountant knows Poisson sampling only.
        steps: T.
        delta: δ.
    """
    accountant = RDPAccountant()
    accountant.history = [(noise_multiplier, sampling_rate, steps)]
    with warnings.catch_warnings():
        # That the best order is the first or the last of the list: the answer says which it was.
        warnings.simplefilter("ignore", UserWarning)
        epsilon, order = accountant.get_privacy_spent(delta=delta)
    return float(epsilon), float(order)


def _main(noise_multiplier: str, sampling_rate: str, steps: str, delta: str) -> None:
    epsilon, order = claim(
        noise_multiplier=float(noise_multiplier),
        sampling_rate=float(sampling_rate),
        steps=int(steps),
        delta=float(delta),
    )
    print(json.dumps({"epsilon": epsilon, "order": order}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
