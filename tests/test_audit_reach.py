"""What the attacks reach: nearly everything with the noise off, and no more than chance where it drowns the images.

The shares that an attack reaches with the noise off are the point of every audit: one that finds nothing there shows
nothing elsewhere. Each share is shown to fall where the attack is handed somebody else's gradient.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gatekeeper.audit.attacks.analytic import Analytic, observe, plant
from gatekeeper.audit.attacks.denoised import Denoised
from gatekeeper.audit.attacks.guesses import calibrate_with_guesses, guessing_control, halves
from gatekeeper.audit.attacks.inversion import Search, invert
from gatekeeper.audit.attacks.trials import SimulatedAttack
from gatekeeper.audit.null import calibrated_on, null_similarities
from gatekeeper.audit.prior import linear_prior
from gatekeeper.audit.rows import rows_of
from gatekeeper.audit.shaping import ReadOut
from gatekeeper.audit.similarity import centred, mean_image, ncc
from gatekeeper.core.adversary import ONE_STEP_SPECTRAL
from gatekeeper.core.candidate import Candidate
from gatekeeper.core.data_spec import PhantomSpec
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.core.participation import Participations
from gatekeeper.core.risk import Similarity
from gatekeeper.core.units import UnitImages
from gatekeeper.data import load
from gatekeeper.data.dataset import Dataset
from gatekeeper.pipeline.matching import match_candidates
from gatekeeper.training.losses import cross_entropy
from gatekeeper.training.networks import build
from tests.bench.utility import BCCD
from tests.data_layouts import SALT, spec
from tests.reference import audit_inversion as slow
from tests.tiny import tiny_candidate, tiny_plan

ALIKE, UNITS = 0.9, 100
READ_OUTS: tuple[ReadOut, ...] = ("shaped", "wiener")
CELLS = pytest.param(
    "bccd",
    marks=[
        pytest.mark.slow,
        pytest.mark.bccd,
        pytest.mark.skipif(not BCCD.is_dir(), reason="GATEKEEPER_BCCD is unset"),
    ],
)


def dataset(name: str) -> Dataset:
    if name == "bccd":
        return load(spec("ham10000", BCCD, unit="lesion_id", test=0.5, image_size=(32, 32)))
    if name == "digits":
        return load(spec("digits", None, test=0.5))
    phantom = PhantomSpec(patients=200)
    return load(
        spec("phantom-lesions", None, unit="lesion", test=0.5, by="patient", image_size=(32, 32), phantom=phantom)
    )


def sampled(data: UnitImages, count: int = UNITS) -> NDArray[np.int64]:
    return np.random.default_rng(0).choice(data.units, size=min(count, data.units), replace=False)


def reached(attack: SimulatedAttack, data: UnitImages, *, sigma: float) -> NDArray[np.float64]:
    """The similarity that one step gives for each of a sample of units."""
    units = sampled(data)
    return attack.reconstruct(
        data,
        rows=rows_of(data, units=units),
        measure="ncc",
        noise_multiplier=sigma,
        participations=np.ones(len(units), dtype=np.int64),
        generator=torch.Generator().manual_seed(0),
    )


def share(similarities: NDArray[np.float64], threshold: float = ALIKE) -> float:
    return float((similarities >= threshold).mean())


@pytest.mark.parametrize("name", ["phantom-lesions", "digits", CELLS])
def test_without_noise_attack_a_recovers_the_units_and_from_strangers_gradients_none(name: str) -> None:
    data = dataset(name)
    row = plant(data.test, clipping_norm=0.7)
    assert share(reached(Analytic(row=row, clipping_norm=0.7), data.train, sigma=0.0)) >= 0.95
    images, others = (units.images[: min(UNITS, len(data.test.images))] for units in (data.train, data.test))
    readout = observe(
        others, row=row, clipping_norm=0.7, noise_std=np.zeros(len(others)), generator=torch.Generator().manual_seed(0)
    )
    truth = centred(images[: len(others)], mean=mean_image(data.test.images))
    assert share(ncc(truth, readout)) <= 0.1


SIGMAS = (1e-3, 3e-3, 0.01, 0.03, 0.1, 0.2, 0.3, 1.0, 3.0, 10.0, 1e3)


def falls(shares: NDArray[np.float64], *, to: float, luck: float) -> bool:
    """Whether shares at rising noise begin near 1, don't rise but for luck, and end where they should."""
    return bool(shares[0] >= 0.95 and np.all(np.diff(shares) <= 0.1) and abs(shares[-1] - to) <= luck)


@pytest.mark.parametrize("name", ["digits", pytest.param("phantom-lesions", marks=pytest.mark.slow), CELLS])
def test_the_shares_fall_to_the_null_as_the_noise_grows_and_those_of_attack_e_later(name: str) -> None:
    data = dataset(name)
    strangers = null_similarities(
        measure="ncc",
        audited=data.train,
        units=np.arange(data.train.units),
        held_out=data.test,
        rng=np.random.default_rng(0),
    )
    null = calibrated_on(strangers, similarity=Similarity(), confidence=0.95)
    analytic, prior = Analytic(row=plant(data.test, clipping_norm=0.7), clipping_norm=0.7), linear_prior(data.test)
    both = halves(data.test, rng=np.random.default_rng(3))

    def share_of_a(sigma: float, *, audible: float = 1.0) -> float:
        return share(reached(analytic, data.train, sigma=audible * sigma), null.threshold)

    def share_of_e(sigma: float) -> tuple[float, float]:
        """The better read-out's share above strangers and guesses, and what its negative control surely exceeds."""
        once = Participations(counts=(1,), probabilities=(1.0,), tail=0.0)
        one: dict[str, Any] = {"adversary": ONE_STEP_SPECTRAL, "noise_multiplier": sigma, "participations": once}
        found = []
        for read_out in READ_OUTS:
            attack = Denoised(prior=prior, read_out=read_out, clipping_norm=0.7)
            beaten = calibrate_with_guesses(
                attack,
                similarity=Similarity(),
                strangers=strangers,
                audited=data.train,
                units=np.arange(data.train.units)[:1000],
                confidence=0.95,
                rng=np.random.default_rng(1),
                **one,
            )
            rng = np.random.default_rng(2)
            control = guessing_control(attack, halves=both, null=beaten, units=1000, rng=rng, **one)
            found.append(
                (share(reached(attack, data.train, sigma=sigma), beaten.threshold), control.lower(confidence=0.95))
            )
        return max(found)

    of_a = np.array([share_of_a(sigma) for sigma in SIGMAS])
    of_e = np.array([share_of_e(sigma) for sigma in SIGMAS])
    assert falls(of_a, to=0.0, luck=0.02)
    # A threshold is a lower limit of a quantile: of a few hundred units it leaves some three in a hundred to guesses.
    assert falls(of_e[:, 0], to=0.03, luck=0.06)
    assert np.all(of_e[:, 1] <= 0.05), "who guesses beats its own threshold no more often than it may"
    assert not falls(np.array([share_of_a(sigma, audible=1e-6) for sigma in SIGMAS]), to=0.0, luck=0.02)
    assert np.argmax(of_e[:, 0] < 0.5) > np.argmax(of_a < 0.5) > 0


SEARCH = Search(iterations=300, starts=1)


@pytest.mark.parametrize(
    ("network", "width", "units"), [("mlp", 64, 20), pytest.param("lenet", 16, 15, marks=pytest.mark.slow)]
)
def test_without_noise_attack_b_recovers_digits_and_from_others_gradients_none(
    network: Literal["mlp", "lenet"], width: int, units: int
) -> None:
    """One unit in the batch, at the initial weights; of narrower LeNets the search recovers fewer."""
    data = dataset("digits")
    chosen, mean = sampled(data.train, units), mean_image(data.test.images)
    images = torch.from_numpy(data.train.images[chosen] / 255).float()
    labels = torch.from_numpy(data.train.labels[chosen])
    model = build(ModelSpec(network=network, width=width), image_shape=(1, 8, 8), classes=10, seed=0)
    gradients = torch.stack([slow.gradient(model, cross_entropy, *pair) for pair in zip(images, labels, strict=True)])
    found = invert(
        model,
        loss=cross_entropy,
        gradients=gradients,
        targets=labels,
        image_shape=(1, 8, 8),
        search=SEARCH,
        generator=torch.Generator().manual_seed(0),
    )
    guesses = (found.double().numpy() - mean).reshape(units, -1)
    truth = centred(data.train.images[chosen], mean=mean)
    assert share(ncc(truth, guesses)) >= 0.8
    # What was found shows its own unit, and not the kind: beside the next unit's image it is a stranger's.
    assert share(ncc(truth, np.roll(guesses, 1, axis=0))) <= 0.2


@pytest.mark.parametrize("network", ["mlp", "lenet"])
def test_without_noise_attack_d_picks_every_candidate(network: Literal["mlp", "lenet"]) -> None:
    """Each attacker's positive control, on the code that trains."""
    data = dataset("digits")
    for found in match_candidates(
        candidate=_recipe(network), plan=tiny_plan(), card=data.card(salt=SALT), data=data.train, trials=16
    ):
        assert (found.positive_control.successes, found.positive_control.trials) == (16, 16)


def _recipe(network: Literal["mlp", "lenet"]) -> Candidate:
    return dataclasses.replace(tiny_candidate(), model=ModelSpec(network=network, width=8))
