"""Sets of units under pseudonyms: their digest, and which units of one set are units of another."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gatekeeper.core.framing import framed
from gatekeeper.core.ledger import Identities
from gatekeeper.errors import LedgerError
from gatekeeper.ledger.keys import LedgerKey

_DOMAIN = b"gatekeeper ledger units v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitSet:
    """The units of a training set under their pseudonyms.

    Attributes:
        units: for each unit its pseudonyms, sorted, without repetition; the units sorted too.
        digest: hex SHA-256 of the set: the same whatever the order of units and identities was.
    """

    units: tuple[tuple[str, ...], ...]
    digest: str

    @property
    def places(self) -> dict[str, int]:
        """Which unit each pseudonym names, by its place in the set."""
        return {pseudonym: place for place, unit in enumerate(self.units) for pseudonym in unit}


def unit_set(units: Iterable[Iterable[str]]) -> UnitSet:
    """A set from pseudonyms in any order."""
    members = tuple(sorted(tuple(sorted(set(unit))) for unit in units))
    # JSON can be read in one way only, and is written much faster than anything of our own.
    digest = hashlib.sha256(framed(_DOMAIN, json.dumps(members).encode())).hexdigest()
    return UnitSet(units=members, digest=digest)


def disguise(identities: Identities, *, key: LedgerKey) -> UnitSet:
    """The units under their pseudonyms.

    Raises:
        LedgerError: two units share an identity, so they are one, and a step could use that one twice.
    """
    asked = unit_set(map(key.pseudonym, unit) for unit in identities.units)
    if len(asked.places) != sum(map(len, asked.units)):
        raise LedgerError(
            "two units of the training set share an identity: they are one unit, and the noise covers one only",
            hint="make them one unit, or leave one of them out",
        )
    return asked


def overlaps(places: dict[str, int], stored: UnitSet) -> Counter[int]:
    """How many units of `stored` each of the units at `places` is: where any pseudonym agrees.

    Args:
        places: which unit of the asked set each pseudonym names.
        stored: another set.

    Returns:
        For each place with a match, the number of matching units of `stored`.
    """
    return Counter(
        place for unit in stored.units for place in {places[pseudonym] for pseudonym in unit if pseudonym in places}
    )
