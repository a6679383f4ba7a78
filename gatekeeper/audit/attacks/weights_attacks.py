"""The two attacks on a released model as `weights_audit` asks for them, each with its positive control."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatekeeper.audit.attacks.class_inversion import invert_classes
from gatekeeper.audit.attacks.stationarity import explain
from gatekeeper.audit.attacks.weights_audit import Floats, resemblance, successes
from gatekeeper.audit.directions import directions
from gatekeeper.audit.similarity import centred
from gatekeeper.core.adversary import AttackName
from gatekeeper.core.risk import Count, NullCalibration
from gatekeeper.core.units import UnitImages
from gatekeeper.core.weights_only import CONTROL_IMAGES, CONTROL_UNITS, WeightsSearch

# The positive control hands in so many images for each of its units, as the search does in the papers.


class NoiselessTraining(Protocol):
    """Trains the run's network by its recipe, on chosen held-out units alone and without noise."""

    def network(self, units: NDArray[np.int64], progress: Callable[[int], None]) -> nn.Module:
        """On the CPU, in evaluation mode, from the run's own initial weights."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Released:
    """What the attacker has.

    Attributes:
        network: as released, on the CPU, in evaluation mode.
        initial: the same before its first step: the recipe names its seed.
        image_shape: (channels, *spatial).
        classes: outputs of the network.
    """

    network: nn.Module
    initial: nn.Module
    image_shape: tuple[int, ...]
    classes: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stationarity:
    """Images that explain the weights; controlled on a network that can hold all its units.

    Attributes:
        released: the model.
        search: how hard to look.
        held_out: units of other people, for the control: no training unit is shown to a network without noise.
        noiseless: trains the control's network.
        generator: draws starts.
    """

    released: Released
    search: WeightsSearch
    held_out: UnitImages
    noiseless: NoiselessTraining
    generator: torch.Generator
    name: AttackName = "stationarity"

    def images(self, progress: Callable[[int], None]) -> Floats:
        """See `WeightsAttack`."""
        return self._explained(self.released.network, self.search, progress)

    def control(self, images: Floats, *, rng: np.random.Generator, progress: Callable[[int], None]) -> NoiselessControl:
        """The same search on a network that the recipe trained on a few units alone, without noise.

        It hands in two images for each of them, and is judged by the threshold of all that the attack hands in.
        """
        del images
        size = min(CONTROL_UNITS, self.held_out.units)
        units = rng.choice(self.held_out.units, size=size, replace=False).astype(np.int64)
        network = self.noiseless.network(units, progress)
        search = WeightsSearch(
            candidates=max(CONTROL_IMAGES * len(units), self.released.classes),
            starts=self.search.starts,
            iterations=self.search.iterations,
        )
        return NoiselessControl(data=self.held_out, units=units, images=self._explained(network, search, progress))

    def steps(self) -> int:
        """How many iterations it will report, the control's training apart."""
        return 2 * self.search.starts * self.search.iterations

    def _explained(self, network: nn.Module, search: WeightsSearch, progress: Callable[[int], None]) -> Floats:
        found = explain(
            network,
            initial=self.released.initial,
            image_shape=self.released.image_shape,
            classes=self.released.classes,
            search=search,
            generator=self.generator,
            progress=progress,
        )
        return _floats(found.images)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NoiselessControl:
    """Units of a network that was trained on them alone, and what was found in it."""

    data: UnitImages
    units: NDArray[np.int64]
    images: Floats

    def count(self, null: NullCalibration, *, mean: Floats) -> Count:
        """Units that are reconstructed."""
        return successes(resemblance(self.images, data=self.data, units=self.units, mean=mean, null=null), null)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassInversion:
    """Images of a class; controlled on the released network itself.

    Attributes:
        released: the model.
        search: how hard to look.
        held_out: units of other people, for the control.
        generator: draws starts.
    """

    released: Released
    search: WeightsSearch
    held_out: UnitImages
    generator: torch.Generator
    name: AttackName = "class-inversion"

    def images(self, progress: Callable[[int], None]) -> Floats:
        """See `WeightsAttack`."""
        return _floats(
            invert_classes(
                self.released.network,
                image_shape=self.released.image_shape,
                classes=self.released.classes,
                search=self.search,
                generator=self.generator,
                progress=progress,
            )
        )

    def control(self, images: Floats, *, rng: np.random.Generator, progress: Callable[[int], None]) -> ClassControl:
        """Whether each image is of its class, to the network and to the eye."""
        del rng, progress
        owners = np.arange(len(images)) % self.released.classes
        with torch.no_grad():
            taken_for = self.released.network(torch.from_numpy(images).float()).argmax(1).numpy()
        return ClassControl(images=images, owners=owners, taken=taken_for == owners, held_out=self.held_out)

    def steps(self) -> int:
        """How many images it will report."""
        return self.search.candidates


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassControl:
    """Images, their classes, and whether the network takes them for these.

    It can fail: an image that fools the network and looks like nothing resembles each class's mean by chance alone. It
    says that the search sees what the network holds of a class, and nothing about single units.
    """

    images: Floats
    owners: NDArray[np.int64]
    taken: NDArray[np.bool_]
    held_out: UnitImages

    def count(self, null: NullCalibration, *, mean: Floats) -> Count:
        """Images that the network takes for their class and that resemble its held-out mean more than any other's."""
        del null
        present = np.unique(self.held_out.labels)
        means = np.stack(
            [centred(self.held_out.images[self.held_out.labels == each], mean=mean).mean(0) for each in present]
        )
        rows = directions((self.images - mean).reshape(len(self.images), -1))
        resembled = present[(rows @ directions(means).T).argmax(1)]
        return Count(successes=int((self.taken & (resembled == self.owners)).sum()), trials=len(self.images))


def _floats(images: Tensor) -> Floats:
    return np.asarray(images.double().numpy())
