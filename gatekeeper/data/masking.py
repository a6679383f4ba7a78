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
_LONG = 5  # letters and digits
_salt = secrets.token_bytes(32)


def pseudonym(name: str) -> str:
    """What is shown instead of `name`, such as `#1f5a90c3`."""
    return "#" + hmac.new(_salt, name.encode(), hashlib.sha256).hexdigest()[:_DIGITS]


def masked(text: str, *, secret: str) -> str:
    """`text`, usually a path, with every occurrence of `secret` replaced by its pseudonym.

    Letters and digits count, whatever the case and whatever is between them: `KH-40^A` is found in `kh_40a`. Short
    identifiers must stand alone, with no letter or digit beside them, so that a patient `1` doesn't spoil every number.
    """
    words = re.findall(r"[^\W_]+", secret)
    if not secret:
        return text
    pattern = r"[\W_]*".join(map(re.escape, words)) or re.escape(secret)
    if sum(map(len, words)) < _LONG:
        pattern = rf"(?<![^\W_]){pattern}(?![^\W_])"
    return re.sub(pattern, pseudonym(secret), text, flags=re.IGNORECASE)
