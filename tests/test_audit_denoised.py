from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, kstest

from gatekeeper.audit import spectral
from gatekeeper.audit.attacks import analytic
from gatekeeper.audit.attacks.denoised import observe, reconstruct
from gatekeeper.audit.prior import LinearPrior, linear_prior
from gatekeeper.audit.rows import rows_of
from gatekeeper.audit.shaping import READ_OUTS, gains
from gatekeeper.audit.similarity import centred, ncc
from gatekeeper.data import load
from gatekeeper.errors import InvalidValueError
from tests.data_layouts import spec
from tests.gaussian_units import PIXELS, gaussian_units, known_prior
from tests.tiny import TinyUnits, tiny_units

REPOSITORY = Path(__file__).parent.parent
BCCD = Path(os.environ.get("GATEKEEPER_BCCD", REPOSITORY.parent / "shared" / "data" / "bccd"))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def attacked(
    data: TinyUnits,
    prior: LinearPrior,
    *,
    read_out: str,
    sigma: float,
    count: int = 1,
    measure: str = "ncc",
    clipping_norm: float = 0.7,
    seed: int = 0,
) -> np.ndarray:
    return reconstruct(
        data,
        rows=rows_of(data, units=np.arange(data.units)),
        prior=prior,
        read_out=read_out,
        measure=measure,
        clipping_norm=clipping_norm,
        noise_multiplier=sigma,
        participations=np.full(data.units, count),
        generator=generator(seed),
    )


@pytest.mark.parametrize("read_out", READ_OUTS)
@pytest.mark.parametrize(("sigma", "count", "threshold"), [(0.05, 1, 0.95), (0.9, 9, 0.75), (1.0, 1, 0.7)])
def test_gaussian_images_are_read_as_the_closed_form_says(
    read_out: str, sigma: float, count: int, threshold: float
) -> None:
    """The law is that of the closed form at σ, and not that at 0.8σ; its rate is an upper limit."""
    prior, data = known_prior(), gaussian_units(units=2500, seed=3)
    found = attacked(data, prior, read_out=read_out, sigma=sigma, count=count)
    noise = sigma / math.sqrt(count)
    law, less = spectral._similarities(read_out, spectrum=prior.spectrum, noises=[noise, 0.8 * noise]).T
    assert kstest(found, law).pvalue > 0.01
    assert kstest(found, less).pvalue < 1e-6
    reached = int(np.sum(found >= threshold))
    limit = spectral.one_step(threshold=threshold, noise_multiplier=noise, spectrum=prior.spectrum)
    assert reached > 0
    assert binomtest(reached, data.units, limit, alternative="greater").pvalue > 0.001


def test_the_attack_is_what_the_three_lines_of_theory_say() -> None:
    """Against the same noise: clip A(x − m) to C, add it, and take the expectation, with matrices."""
    prior, data, sigma, clipping_norm = known_prior(), gaussian_units(units=20, seed=4), 0.3, 2.0
    chosen = gains("shaped", variances=prior.all_variances, counts=prior.counts, noise=sigma)

    def matrix(diagonal: np.ndarray) -> np.ndarray:
        along = prior.basis.T @ np.diag(diagonal[:-1]) @ prior.basis
        return along + diagonal[-1] * (np.eye(PIXELS) - prior.basis.T @ prior.basis)

    images = centred(data.images, mean=prior.mean)
    layer, read = matrix(chosen.planted), matrix(chosen.read)
    noise = torch.randn((20, PIXELS), generator=generator(0), dtype=torch.float64).numpy()
    expected = []
    for image, z in zip(images, noise, strict=True):
        gradient = layer @ image
        received = clipping_norm * gradient / np.linalg.norm(gradient) + sigma * clipping_norm * z
        expected.append(ncc(image[None], (read @ received)[None])[0])
    found = attacked(data, prior, read_out="shaped", sigma=sigma, clipping_norm=clipping_norm)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_the_wiener_read_out_filters_what_attack_a_observes() -> None:
    prior, data, sigma = known_prior(), gaussian_units(units=20, seed=4), 0.3
    row = analytic.PlantedRow(prior.mean, loss_scale=1e6)
    readouts = analytic.observe(
        data.images, row=row, clipping_norm=1.0, noise_std=np.full(20, sigma), generator=generator(0)
    )
    energy = prior.counts @ prior.all_variances
    filtered = prior.denoise(readouts * math.sqrt(energy), noise_variance=sigma**2 * energy)
    found = attacked(data, prior, read_out="wiener", sigma=sigma)
    np.testing.assert_allclose(found, ncc(centred(data.images, mean=prior.mean), filtered), rtol=1e-9)


def test_the_clip_binds_whatever_is_planted() -> None:
    prior, data = known_prior(), gaussian_units(units=20, seed=4)
    planted = gains("shaped", variances=prior.all_variances, counts=prior.counts, noise=0.1).planted
    received = observe(
        centred(data.images, mean=prior.mean),
        prior=prior,
        planted=np.tile(planted, (20, 1)),
        clipping_norm=0.7,
        noise_std=np.zeros(20),
        generator=generator(0),
    )
    np.testing.assert_allclose(np.linalg.norm(received, axis=1), 0.7)


@pytest.mark.parametrize("measure", ["ncc", "ssim"])
@pytest.mark.parametrize("read_out", READ_OUTS)
def test_without_noise_everything_is_read(read_out: str, measure: str) -> None:
    data = tiny_units(units=30, most_images=2, channels=3)
    prior = linear_prior(tiny_units(units=40, seed=1, channels=3))
    assert np.all(attacked(data, prior, read_out=read_out, sigma=0.0, measure=measure) > 1 - 1e-9)
    assert np.all(attacked(data, prior, read_out=read_out, sigma=1e9, measure=measure) < 0.9)


def test_the_prior_and_the_shaping_help() -> None:
    data, prior = gaussian_units(units=400, seed=5), linear_prior(gaussian_units(units=300, seed=6))
    raw = analytic.reconstruct(
        data,
        rows=rows_of(data, units=np.arange(400)),
        row=analytic.PlantedRow(prior.mean, loss_scale=1e6),
        measure="ncc",
        clipping_norm=0.7,
        noise_multiplier=0.3,
        participations=np.ones(400, dtype=np.int64),
        generator=generator(0),
    )
    wiener = attacked(data, prior, read_out="wiener", sigma=0.3)
    shaped = attacked(data, prior, read_out="shaped", sigma=0.3)
    assert raw.mean() + 0.1 < wiener.mean() < shaped.mean() - 0.02


def test_each_unit_has_its_own_participations_and_its_best_image() -> None:
    data, prior = gaussian_units(units=300, seed=5, images_per_unit=2), known_prior()
    counts = np.tile([0, 1, 100], 100)

    def run(read_out: str) -> np.ndarray:
        return reconstruct(
            data,
            rows=rows_of(data, units=np.arange(300)),
            prior=prior,
            read_out=read_out,
            measure="ncc",
            clipping_norm=1.0,
            noise_multiplier=1.0,
            participations=counts,
            generator=generator(0),
        ).reshape(100, 3)

    for read_out in READ_OUTS:
        never, once, often = run(read_out).T
        assert np.all(never == 0)
        single = spectral._similarities(read_out, spectrum=prior.spectrum, noises=[1.0, 0.1])
        best = np.maximum(single[::2], single[1::2])
        assert kstest(once, best[:, 0]).pvalue > 0.001
        assert kstest(often, best[:, 1]).pvalue > 0.001


def test_nonsense_is_refused() -> None:
    data, prior = gaussian_units(units=2, seed=0), known_prior()
    with pytest.raises(InvalidValueError, match="noise_multiplier"):
        attacked(data, prior, read_out="wiener", sigma=-1.0)
    with pytest.raises(InvalidValueError, match="clipping_norm"):
        attacked(data, prior, read_out="wiener", sigma=1.0, clipping_norm=0.0)
    with pytest.raises(InvalidValueError, match="read_out"):
        attacked(data, prior, read_out="diffusion", sigma=1.0)


# σ of one step; mean NCC of attack A, and of attack E with the Wiener filter at least: a covariance without variance
# outside the span of few held-out images can't do better than this at small σ.
BLOOD_CELLS = [
    (0.001, 0.993, 0.940),
    (0.003, 0.945, 0.939),
    (0.01, 0.651, 0.932),
    (0.03, 0.274, 0.881),
    (0.1, 0.086, 0.751),
    (0.3, 0.027, 0.536),
]


@pytest.mark.slow
@pytest.mark.bccd
@pytest.mark.skipif(not BCCD.is_dir(), reason="the blood-cell set (GATEKEEPER_BCCD) is not there")
def test_blood_cells_are_read_as_tabulated() -> None:
    """A random half of the cells gives mean and covariance; cells of the other half are attacked."""
    dataset = load(spec("ham10000", BCCD, unit="lesion_id", test=0.5))
    images = np.concatenate([dataset.train.images, dataset.test.images])
    order = np.random.default_rng(0).permutation(len(images))

    def cells(chosen: np.ndarray) -> TinyUnits:
        own = np.arange(len(chosen))
        return TinyUnits(images=images[chosen], labels=np.zeros_like(own), unit_of=own, units=len(own))

    held_out, data = cells(order[len(order) // 2 :]), cells(order[:256])
    prior, row = linear_prior(held_out), analytic.plant(held_out, clipping_norm=0.7)
    for sigma, raw, filtered in BLOOD_CELLS:
        plain = analytic.reconstruct(
            data,
            rows=rows_of(data, units=np.arange(256)),
            row=row,
            measure="ncc",
            clipping_norm=0.7,
            noise_multiplier=sigma,
            participations=np.ones(256, dtype=np.int64),
            generator=generator(0),
        )
        wiener, shaped = (attacked(data, prior, read_out=name, sigma=sigma) for name in ("wiener", "shaped"))
        assert plain.mean() == pytest.approx(raw, abs=0.03)
        assert wiener.mean() > filtered - 0.03
        assert shaped.mean() > wiener.mean()
        options = {"spectrum": prior.spectrum, "noise_multiplier": sigma, "participations": 1}
        assert wiener.mean() == pytest.approx(spectral.wiener_ncc(**options), abs=0.03)
        assert shaped.mean() == pytest.approx(spectral.shaped_ncc(**options), abs=0.03)
    # At σ 0.3, the last: what the shaping is worth.
    assert wiener.mean() == pytest.approx(0.61, abs=0.03)
    assert shaped.mean() >= 0.64
