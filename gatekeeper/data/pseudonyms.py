"""Names for units that tell nothing without the salt, and a private legend for whoever has to find them."""

from __future__ import annotations

import hmac

from gatekeeper.core.description import Legend, LegendEntry
from gatekeeper.data.records import ImageTable

# 48 bits: among 100,000 units two would be called alike once in 50,000 times.
_DIGITS = 12


class Pseudonyms:
    """Units under HMAC-SHA256 of their names; it remembers whom it was asked for.

    Args:
        salt: secret random bytes. Without them nobody can test a guess of who is in the data.
    """

    def __init__(self, salt: bytes) -> None:
        self._salt = salt
        self._mentioned: dict[str, tuple[str, dict[str, None]]] = {}

    def mention(self, table: ImageTable, row: int) -> str:
        """The pseudonym of the unit that holds the image of a row."""
        unit = table.units[row]
        pseudonym = "unit-" + hmac.digest(self._salt, unit.encode("utf-8", "surrogatepass"), "sha256").hex()[:_DIGITS]
        self._mentioned.setdefault(pseudonym, (unit, {}))[1][table.image_names[row]] = None
        return pseudonym

    def legend(self) -> Legend:
        """Whom the pseudonyms that were handed out stand for, in their order. Private."""
        return Legend(
            entries=tuple(
                LegendEntry(pseudonym=pseudonym, unit=unit, images=tuple(images))
                for pseudonym, (unit, images) in sorted(self._mentioned.items())
            )
        )
