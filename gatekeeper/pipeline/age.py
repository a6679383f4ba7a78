"""How long ago a release was judged: by the signer's word, which a timestamp can only make older."""

from __future__ import annotations

import datetime

from gatekeeper.core.certificate import Certificate
from gatekeeper.errors import VerificationError
from gatekeeper.pipeline.steps import VerifiedStep

# Clocks differ; a release from further in the future has a date that was made up.
_TOLERANCE = datetime.timedelta(minutes=10)


def check_age(certificate: Certificate, *, max_days: float | None, proven: str | None, now: str) -> VerifiedStep:
    """The age of a release.

    Args:
        certificate: says when it was judged.
        max_days: how many days ago at most, or None where any age will do.
        proven: UTC time at which a timestamp proves that its signatures existed, or None.
        now: UTC time of the verification.

    Raises:
        VerificationError: it is older, or its date is later than a timestamp of it, or than now.
    """
    where = "attestations/certificate.sigstore.json"
    created, present = _time(certificate.created), _time(now)
    if proven is not None and created > _time(proven) + _TOLERANCE:
        raise VerificationError(
            f"says that it was made at {certificate.created}, and a timestamp proves that it was there at {proven}",
            where=where,
        )
    if created > present + _TOLERANCE:
        raise VerificationError(
            f"says that it was made at {certificate.created}, and it is {now}", where=where, hint="set the clock"
        )
    age = present - created
    if max_days is not None and age > datetime.timedelta(days=max_days):
        raise VerificationError(
            f"was judged at {certificate.created}, {age.days} days ago; allowed are {max_days:g}",
            where=where,
            hint="have the model certified anew",
        )
    limit = "" if max_days is None else f", at most {max_days:g} days ago"
    return VerifiedStep(title="age", detail=f"judged at {certificate.created} by the signer's clock{limit}")


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)
