"""Keys that never leave their device or service: HSMs by PKCS #11, and key management services.

The signers are securesystemslib's, and so are the URIs:

    hsm:KEYID?label=TOKEN                                  the environment variable PYKCS11LIB names the module
    awskms:KEY
    azurekms://VAULT.vault.azure.net/keys/KEY/VERSION
    gcpkms:projects/…/cryptoKeyVersions/N

None of them is believed: each signature is verified with the public key that was given before it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlparse

from gatekeeper.core.key_uri import EXTRAS, scheme_of
from gatekeeper.core.trust_checks import canonical_pem
from gatekeeper.errors import InvalidValueError, SigningError
from gatekeeper.signing.extras import missing
from gatekeeper.signing.keys import PublicKey, parse_public

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

# "Signer implementations may raise errors that are not documented", says securesystemslib.
_ANY = Exception


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteKey:
    """A P-256 key that signs elsewhere.

    Attributes:
        uri: where.
        public: the public key that its signatures must fit.
        signer: securesystemslib's; it may hold a PIN, and is never printed.
    """

    uri: str
    public: PublicKey
    signer: Signer = field(repr=False, compare=False)

    def sign(self, message: bytes) -> bytes:
        """The DER-encoded ECDSA signature with SHA-256 of `message`, verified.

        Raises:
            SigningError: the device or service refuses or can't be reached, or it signed with another key.
        """
        try:
            signature = bytes.fromhex(self.signer.sign(message).signature)
        except _ANY as error:
            raise _failed(self.uri, "did not sign", error) from error
        if not self.public.accepts(message, signature=signature):
            raise SigningError(
                f"signed with another key than {self.public.fingerprint}",
                where=self.uri,
                hint="give the public key that belongs to this key",
            )
        return signature


def load_remote(uri: str, *, public_key: PublicKey, pin: bytes | None) -> RemoteKey:
    """A key by its URI; nothing is signed and no PIN is used yet.

    Args:
        uri: of a scheme in `core.key_uri`.
        public_key: what its signatures must fit.
        pin: opens an HSM's token; a service takes its own credentials from the environment.

    Raises:
        SigningError: the URI is malformed, or the extra for its scheme is not installed.
    """
    extra = _extra_for(uri)
    try:
        from securesystemslib.exceptions import UnsupportedLibraryError
        from securesystemslib.signer import ECDSA_SHA2_NISTP256, Signer, SSlibKey
    except ImportError as error:
        raise missing(extra, what=f"keys such as {uri}") from error
    try:
        key = SSlibKey.from_crypto(public_key.key, scheme=ECDSA_SHA2_NISTP256)
        signer = Signer.from_priv_key_uri(uri, key, _handler(lambda: pin))
    except UnsupportedLibraryError as error:
        raise missing(extra, what=f"keys such as {uri}") from error
    except _ANY as error:
        raise _failed(uri, "can't be used", error) from error
    return RemoteKey(uri=uri, public=public_key, signer=signer)


def read_public(uri: str, *, pin: Callable[[], bytes | None]) -> PublicKey:
    """The public key that an HSM holds for a key; to be compared with what the key's owner says.

    Args:
        uri: `hsm:KEYID?label=TOKEN`.
        pin: asked for the PIN where the token hides its public keys.

    Raises:
        SigningError: it is no such URI, the extra `hsm` is not installed, or there is no such P-256 key.
    """
    if _extra_for(uri) != "hsm":
        raise SigningError("only an HSM's public key can be read", where=uri, hint="get it from the service as PEM")
    try:
        from securesystemslib.exceptions import UnsupportedLibraryError
        from securesystemslib.signer import HSMSigner
    except ImportError as error:
        raise missing("hsm", what=f"keys such as {uri}") from error
    parsed = urlparse(uri)
    try:
        label = dict(parse_qsl(parsed.query)).get("label")
        _, key = HSMSigner.import_(int(parsed.path) if parsed.path else None, label, _handler(pin))
    except UnsupportedLibraryError as error:
        raise missing("hsm", what=f"keys such as {uri}") from error
    except _ANY as error:
        raise _failed(uri, "can't be read", error) from error
    try:
        return parse_public(canonical_pem(key.keyval["public"]).encode(), where=uri)
    except InvalidValueError as error:
        raise SigningError("is not a P-256 key", where=uri, hint="releases are signed with P-256 keys") from error


def _extra_for(uri: str) -> str:
    scheme = scheme_of(uri)
    if scheme is None:
        raise SigningError("is no key's URI", where=uri)
    return EXTRAS[scheme]


def _handler(pin: Callable[[], bytes | None]) -> Callable[[str], str]:
    """A PIN in the form in which signers ask for it."""

    def handler(_: str) -> str:
        given = pin()
        if given is None:
            raise SigningError("needs a PIN, and none was given")
        return given.decode()

    return handler


def _failed(uri: str, what: str, error: Exception) -> SigningError:
    # Errors of PKCS #11 have a name and no text.
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return SigningError(f"{what}: {reason}", where=uri, hint="check the URI, the PIN or credentials, and PYKCS11LIB")
