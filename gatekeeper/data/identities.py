"""By what names the ledger knows the units of a data set.

A unit is known by its name in the data set, by its name in the population where the candidate says which, and by the
pixels of each of its images: so a copy under another name is recognised, and so is the same patient with a new image.
Pixels are those that the network sees: an image that is resized otherwise is known by its names alone.
"""

from __future__ import annotations

import hashlib

from gatekeeper.core.ledger import Identities
from gatekeeper.data.dataset import Dataset


def identities(dataset: Dataset, *, population: str | None) -> Identities:
    """The identities of every training unit, in the order of the units. Private.

    Args:
        dataset: its training side.
        population: whose names they are besides being the data set's own (by its format and name), or None.
    """
    train = dataset.train
    # A population adds a name and takes none away: no key of the candidate may make the ledger forget.
    namespaces = [f"{dataset.format} {dataset.name}", *([] if population is None else [f"population {population}"])]
    known: list[list[str]] = [
        [f"name\n{namespace}\n{dataset.unit}\n{name}" for namespace in namespaces] for name in train.names
    ]
    for pixels, unit in zip(train.images, train.unit_of.tolist(), strict=True):
        digest = hashlib.sha256(f"{pixels.shape}\n".encode() + pixels.tobytes()).hexdigest()
        known[unit].append(f"pixels\n{digest}")
    return Identities(units=tuple(tuple(dict.fromkeys(own)) for own in known))
