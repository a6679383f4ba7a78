"""Evidence of earlier runs, kept where others may read and write: encrypted and authenticated by a runner's own key.

An entry is read once, authenticated as a whole, and only then parsed; what is used is what was read. So whoever writes
to the folder can take entries away or spoil them, and nothing else.
"""

from gatekeeper.cache.folder import CacheFolder
from gatekeeper.cache.keys import CacheKey, load_key, load_or_create_key
from gatekeeper.cache.parcel import Parcel
from gatekeeper.cache.seal import seal_of, sealed
from gatekeeper.cache.surroundings import describe_surroundings

__all__ = [
    "CacheFolder",
    "CacheKey",
    "Parcel",
    "describe_surroundings",
    "load_key",
    "load_or_create_key",
    "seal_of",
    "sealed",
]
