"""The reports that travel with a release: made from its certificate, and compared with it when it is verified."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatekeeper.core.certificate import Certificate
from gatekeeper.core.codec import parse
from gatekeeper.errors import VerificationError
from gatekeeper.pipeline.steps import VerifiedStep
from gatekeeper.version import __version__

if TYPE_CHECKING:
    from gatekeeper.signing.layout import SideFile

_MACHINE_REPORT = "attestations/report.json"

# The members of the report for machines that are words for people: they may change from version to version.
_PROSE = ("non_claims", "recomputed_by_verify", "trusted")


def by_this_version(certificate: Certificate) -> bool:
    """Whether this very version of gatekeeper issued a certificate, so that words must agree, too."""
    return certificate.gatekeeper_version == __version__


def without(members: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The members of an object but those with these names."""
    return {name: value for name, value in members.items() if name not in names}


def report_files(certificate: Certificate) -> tuple[SideFile, ...]:
    """The reports that travel with a release; the certificate's `files` are not read."""
    from gatekeeper.report import render
    from gatekeeper.report.content import verified_report
    from gatekeeper.signing.layout import SideFile

    report = verified_report(certificate)
    return (SideFile(name="report.json", content=render(report, "json").encode()),)


def check_report(directory: Path, certificate: Certificate) -> VerifiedStep:
    """The reports are those that the certificate's facts give: whoever reads only a report is not misled.

    Of a release by another version the report for machines must have the certificate's facts, findings and verdict;
    its explanations, and other reports, are that version's words.

    Raises:
        VerificationError: a report is missing, was added, or says something else.
    """
    reports = report_files(certificate)
    bound = _bound_reports(certificate)
    if by_this_version(certificate):
        _check_names(directory, bound, expected={report.path for report in reports})
        for report in reports:
            if (directory / report.path).read_bytes() != report.content:
                raise VerificationError("is not what the certificate's facts give", where=report.path)
        return VerifiedStep(title="report", detail="is what the certificate's facts give")
    _check_names(directory, bound & {_MACHINE_REPORT}, expected={_MACHINE_REPORT})
    (machine,) = (report for report in reports if report.path == _MACHINE_REPORT)
    if not _same_facts((directory / machine.path).read_bytes(), machine.content):
        raise VerificationError("is not what the certificate's facts give", where=machine.path)
    return VerifiedStep(
        title="report",
        detail=f"facts, findings and verdict are the certificate's; other words are gatekeeper "
        f"{certificate.gatekeeper_version}'s",
    )


def _bound_reports(certificate: Certificate) -> set[str]:
    """The side files that nothing else looks at."""
    from gatekeeper.signing.layout import LOCK_FILE
    from gatekeeper.signing.side_files import REQUIRED

    return {file.name for file in certificate.files} - {*REQUIRED, LOCK_FILE}


def _check_names(directory: Path, bound: set[str], *, expected: set[str]) -> None:
    if bound != expected:
        raise VerificationError(
            f"the certificate binds {sorted(bound)}, a release has {sorted(expected)}",
            where=str(directory / "attestations"),
        )


def _same_facts(found: bytes, expected: bytes) -> bool:
    """Whether two reports for machines differ in nothing but words."""
    try:
        one, other = parse(found.decode()), parse(expected.decode())
    except ValueError:
        return False
    return isinstance(one, dict) and without(one, _PROSE) == without(other, _PROSE)
