"""Whose signature a release must carry: of one public key, or of a key that a trust file lets sign releases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.trust import RELEASE, Distrust, TrustFile
from gatekeeper.errors import VerificationError
from gatekeeper.pipeline.trust import read_trust, utc_now

if TYPE_CHECKING:
    from gatekeeper.signing.keys import PublicKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Signer:
    """The key that must have signed, and why it is trusted.

    Attributes:
        key: the public key.
        trust: the trust file that it comes from, or None where the key itself was given.
        where: the file that it comes from.
    """

    key: PublicKey
    trust: TrustFile | None
    where: str

    def check(self, *, claimed: str, proven: str | None) -> str:
        """Whether the key may sign releases at the time in question, and what is known of it.

        Args:
            claimed: UTC time at which the signer says that it signed.
            proven: UTC time at which a trusted timestamp proves that all signatures of the release existed.

        Raises:
            VerificationError: the trust file says why not.
        """
        if self.trust is None:
            return f"{self.key.fingerprint}, as given; no trust file says until when"
        answer = self.trust.judge(self.key.fingerprint, role=RELEASE, now=utc_now(), claimed=claimed, proven=proven)
        if isinstance(answer, Distrust):
            raise _refusal(answer, where=self.where)
        time = "now" if proven is None else f"at {proven}, which a timestamp proves"
        return f"{answer.fingerprint} ({answer.owner}) may sign releases, judged {time}"


def _refusal(answer: Distrust, *, where: str) -> VerificationError:
    hint = "do not use the release; ask whoever keeps the trust file"
    return VerificationError(answer.explanation, where=where, hint=hint)


def find_signer(directory: Path, *, public_key: Path | None, trust: Path | None) -> Signer:
    """The key that must have signed a release; nothing of the release is verified yet.

    Args:
        directory: the release.
        public_key: a PEM file, or None.
        trust: a trust file, or None: exactly one of the two is given. It is asked for the key that the release names.

    Raises:
        ConfigError: the trust file has mistakes.
        VerificationError: the file lies inside the release, is no public key, or does not let the key that the
            release names sign releases.
    """
    from gatekeeper.signing.keys import load_public, parse_public
    from gatekeeper.signing.verification import check_trust_root

    given = [path for path in (public_key, trust) if path is not None]
    if len(given) != 1:
        raise ValueError("give a public key or a trust file")
    check_trust_root(given[0], directory=directory)
    where = str(given[0])
    if trust is None:
        return Signer(key=load_public(given[0]), trust=None, where=where)
    trusted, fingerprint = read_trust(trust), _named_by(directory)
    entry = trusted.find(fingerprint)
    answer = trusted.judge(fingerprint, role=RELEASE, now=utc_now())
    # Time may still speak for a key that was revoked or has expired; nothing speaks for the others.
    if isinstance(answer, Distrust) and (entry is None or answer.reason == "wrong-role"):
        raise _refusal(answer, where=where)
    assert entry is not None
    return Signer(key=parse_public(entry.public_key.encode(), where=where), trust=trusted, where=where)


def _named_by(directory: Path) -> str:
    """The fingerprint of the key that the release says it was signed with."""
    from gatekeeper.signing.dsse import named_key
    from gatekeeper.signing.files import place, read_file
    from gatekeeper.signing.model_signature import SIGNATURE_FILE

    return named_key(read_file(directory, SIGNATURE_FILE), where=place(directory, SIGNATURE_FILE))
