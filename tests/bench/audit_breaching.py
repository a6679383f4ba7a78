"""Attacks A and B beside those of breaching, the library of gradient inversion, where its environment is installed.

It needs torchvision, hydra and lpips, so it has an environment of its own: `make build/breaching/installed`. Its
attacks run there in a second process with as many threads, in turn with the product's and on the same images, one
image after the other, for its interface takes no batch of users who are attacked each for himself.

Attack B is its `invertinggradients` with the same weights, gradients, starts, number of steps, learning rate and weight
of the total variation. That it defines for three channels only, and at two of the borders against 0, so the two don't
end in the same pixels. Attack A is its user, who clips and adds noise, and its `imprint` read-out, of a single row and
in the same arithmetic; it reads x by a division where the product reads x − m. Attack E has no equivalent in it.

A ratio of times means something only where both do the same: so the table has what either reaches without noise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from gatekeeper.audit.attacks.inversion import Search
from gatekeeper.audit.similarity import mean_image
from tests.bench import audit_loops as loops
from tests.bench.audit_results import BreachingRow, Reached
from tests.bench.audit_speed import QUICK_SHAPES, SHAPES, SIGMA, attacked, inverting, simulated, strangers, victims
from tests.bench.breaching_attacks import Centred, Inversion, Row, similarities
from tests.bench.breaching_process import ROOT, Breaching, BreachingError
from tests.bench.rounds import Clock, Run, interleaved, timed
from tests.bench.training_results import spread

ENVIRONMENT = ROOT / "build/breaching"

# An image counts as recovered from this NCC on.
RECOVERED = 0.9

# Of attack B: images of a round, and network, width, channels and side of an image. So many steps find the image behind
# a perceptron's gradient; behind one of convolutions and pooling both come near, no more.
_INVERTED, _SEARCH = 8, Search(iterations=200, starts=1)
_NETWORKS = (("mlp", 64, 3, 16), ("lenet", 8, 3, 8))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What both attack.

    Attributes:
        attack: A or B.
        title: image shape, and for attack B the network.
        iterations: of attack B's searches.
        work: for the library.
        silent: the same without noise.
        ours: the product's attack.
        ours_silent: what it reaches without noise, shape (images,).
    """

    attack: str
    title: str
    iterations: int | None
    work: Inversion | Row
    silent: Inversion | Row
    ours: Run
    ours_silent: Callable[[], NDArray[np.float64]]


def beside_breaching(
    environment: Path, *, rounds: int, quick: bool, clock: Clock, cpu_time: bool
) -> Iterator[BreachingRow]:
    """A row for each setting; without the library they say so."""
    for setting in _settings(quick=quick):
        if (environment / "installed").exists():
            yield _row(setting, environment, rounds=rounds, clock=clock, cpu_time=cpu_time)
        else:
            yield _failed(setting, "not installed")


def _settings(*, quick: bool) -> Iterator[Setting]:
    for channels, side, images in QUICK_SHAPES[:1] if quick else SHAPES:
        yield planted(channels=channels, side=side, images=images)
    search = dataclasses.replace(_SEARCH, iterations=2) if quick else _SEARCH
    for name, width, channels, side in _NETWORKS[:1] if quick else _NETWORKS:
        yield inverted(name, width=width, channels=channels, side=side, images=2 if quick else _INVERTED, search=search)


def planted(*, channels: int, side: int, images: int) -> Setting:
    """Attack A on as many images."""
    mean = mean_image(strangers(channels=channels, side=side).images)
    data = attacked(channels=channels, side=side, images=images)
    work = Row(images=data.images, mean=mean, clipping_norm=loops.CLIPPING_NORM, noise_multiplier=SIGMA)
    ours, silent = (
        simulated(channels=channels, side=side, images=images, sigma=sigma)["A"]["ours"] for sigma in (SIGMA, 0.0)
    )
    return Setting(
        attack="A",
        title=f"{channels}×{side}×{side}",
        iterations=None,
        work=work,
        silent=dataclasses.replace(work, noise_multiplier=0.0),
        ours=ours,
        ours_silent=silent,
    )


def inverted(name: Any, *, width: int, channels: int, side: int, images: int, search: Search) -> Setting:
    """Attack B on a perceptron or a network like LeNet, whose layers are all torch's own."""
    given = victims(name, width=width, channels=channels, side=side, images=images)
    outer, inner = given.network, given.network.network
    work = Inversion(
        images=given.images,
        mean=mean_image(strangers(channels=channels, side=side).images),
        network=nn.Sequential(Centred(centre=outer.centre, spread=outer.spread), *inner.features, inner.head),
        gradients=given.gradients,
        targets=given.targets,
        starts=given.starts,
        iterations=search.iterations,
        learning_rate=search.learning_rate,
        total_variation=search.total_variation,
    )
    ours = inverting(given, search=search)["ours"]
    return Setting(
        attack="B",
        title=f"{name} of width {width}, {channels}×{side}×{side}",
        iterations=search.iterations,
        work=work,
        silent=work,  # its gradients have none
        ours=ours,
        ours_silent=lambda: similarities(ours().double().numpy(), work),
    )


def _row(setting: Setting, environment: Path, *, rounds: int, clock: Clock, cpu_time: bool) -> BreachingRow:
    try:
        with Breaching(environment, cpu_time=cpu_time) as breaching:
            breaching.prepare(setting.silent)
            theirs = breaching.run().similarities
            breaching.prepare(setting.work)
            arms = {"ours": timed(setting.ours, clock), "theirs": lambda: breaching.run().seconds}
            took = interleaved(arms, rounds=rounds)
    except BreachingError as error:
        return _failed(setting, f"fails: {error}")
    images = len(setting.work.images)
    return BreachingRow(
        attack=setting.attack,
        setting=setting.title,
        images=images,
        iterations=setting.iterations,
        rounds=rounds,
        images_per_second=spread([images / own for own in took["ours"]]),
        over_breaching=spread([other / own for other, own in zip(took["theirs"], took["ours"], strict=True)]),
        ours=_reached(setting.ours_silent()),
        theirs=_reached(theirs),
    )


def _failed(setting: Setting, failure: str) -> BreachingRow:
    images = len(setting.work.images)
    return BreachingRow(
        attack=setting.attack, setting=setting.title, images=images, iterations=setting.iterations, failure=failure
    )


def _reached(found: NDArray[np.float64]) -> Reached:
    return Reached(recovered=int((found >= RECOVERED).sum()), median_similarity=float(np.median(found)))
