"""Names for messages where the real ones are secret: a patient's identifier is shown to nobody.

A pseudonym is a keyed digest (HMAC-SHA256, RFC 2104) under a salt that this process draws and keeps: within one
message it tells two patients apart, it can't be looked up in a list of all identifiers, and another run's differs.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

_DIGITS = 8
_salt = secrets.token_bytes(32)


def pseudonym(name: str) -> str:
    """What is shown instead of `name`, such as `#1f5a90c3`."""
    return "#" + hmac.new(_salt, name.encode(), hashlib.sha256).hexdigest()[:_DIGITS]


def masked(text: str, *, secret: str) -> str:
    """`text`, usually a path, with every occurrence of `secret` that stands alone replaced by its pseudonym.

    Alone is what has no letter or digit beside it, so that a patient `1` doesn't spoil every number.
    """
    if not secret:
        return text
    return re.sub(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])", pseudonym(secret), text, flags=re.IGNORECASE)
