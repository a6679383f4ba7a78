"""Our accountant and its competitors behind one signature: (σ, q, T, δ) → ε, each with its own defaults."""

from __future__ import annotations


def ours(sigma: float, rate: float, steps: int, delta: float) -> tuple[float, float]:
    """The proven ends of ε: low and high."""
    from gatekeeper.core.mechanism import Mechanism
    from gatekeeper.privacy import account

    mechanism = Mechanism(
        sampling="poisson",
        sampling_rate=rate,
        noise_multiplier=sigma,
        steps=steps,
        adjacency="zero-out",
        unit="unit",
    )
    found = account(mechanism, delta).epsilon
    return found.low, found.high


def our_noise(sampling: str, epsilon: float, rate: float, steps: int, delta: float) -> float:
    from gatekeeper.core.budget import Budget
    from gatekeeper.privacy import calibrate

    mechanism = calibrate(
        Budget(epsilon=epsilon, delta=delta),
        sampling=sampling,
        sampling_rate=rate,
        steps=steps,
        adjacency="zero-out",
        unit="unit",
    )
    return mechanism.noise_multiplier


def _google(accountant: object, sigma: float, rate: float, steps: int, delta: float) -> float:
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent

    event = SelfComposedDpEvent(PoissonSampledDpEvent(rate, GaussianDpEvent(sigma)), steps)
    return float(accountant.compose(event).get_epsilon(delta))


def google_rdp(sigma: float, rate: float, steps: int, delta: float) -> float:
    from dp_accounting.rdp import RdpAccountant

    return _google(RdpAccountant(), sigma, rate, steps, delta)


def google_pld(sigma: float, rate: float, steps: int, delta: float) -> float:
    from dp_accounting.pld import PLDAccountant

    return _google(PLDAccountant(), sigma, rate, steps, delta)


def _opacus(name: str, sigma: float, rate: float, steps: int, delta: float) -> float:
    from opacus.accountants import create_accountant

    accountant = create_accountant(mechanism=name)
    accountant.history = [(sigma, rate, steps)]
    return float(accountant.get_epsilon(delta))


def opacus_rdp(sigma: float, rate: float, steps: int, delta: float) -> float:
    return _opacus("rdp", sigma, rate, steps, delta)


def opacus_prv(sigma: float, rate: float, steps: int, delta: float) -> float:
    return _opacus("prv", sigma, rate, steps, delta)


def opacus_gdp(sigma: float, rate: float, steps: int, delta: float) -> float:
    return _opacus("gdp", sigma, rate, steps, delta)


def opacus_noise(epsilon: float, rate: float, steps: int, delta: float) -> float:
    from opacus.accountants.utils import get_noise_multiplier

    return get_noise_multiplier(target_epsilon=epsilon, target_delta=delta, sample_rate=rate, steps=steps)


def prepare(function: str) -> None:
    """Import what an accountant needs by one easy question."""
    globals()[function](1.0, 0.01, 10, 1e-5)
