"""Certificates and a timestamp authority for tests: made here, answered by `openssl ts`."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
STAMPING = (ExtendedKeyUsageOID.TIME_STAMPING,)

_CONFIG = """\
[tsa]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1, millisecs:500
ess_cert_id_alg = sha256
"""


def certificate(
    key: ec.EllipticCurvePrivateKey,
    name: str = "tsa.example",
    *,
    begins: datetime.datetime = NOW - DAY,
    ends: datetime.datetime = NOW + 30 * DAY,
    uses: tuple[ObjectIdentifier, ...] = STAMPING,
    critical: bool = True,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
    authority: bool = False,
) -> x509.Certificate:
    """A certificate of `key`, by `issuer` or by itself."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    parent, signer = issuer or (None, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if parent is None else parent.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False), True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if uses:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(uses)), critical=critical)
    return builder.sign(signer, SHA256())


def pem(*certificates: x509.Certificate) -> str:
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


class Authority:
    """A timestamp authority in a folder of its own."""

    def __init__(self, folder: Path, **changes: object) -> None:
        """Make its key and certificate; `changes` are those of `certificate`."""
        folder.mkdir()
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = certificate(self.key, **changes)  # type: ignore[arg-type]
        (folder / "tsa.key").write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / "tsa.pem").write_text(pem(self.certificate))
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder))

    def answer(self, query: bytes, *, digest: str = "sha256") -> bytes:
        """The response to a query, in DER."""
        (self.folder / "query.tsq").write_bytes(query)
        command = ["openssl", "ts", "-reply", "-config", "tsa.cnf", "-section", "tsa", "-queryfile", "query.tsq"]
        command += ["-signer", "tsa.pem", "-inkey", "tsa.key", f"-{digest}", "-out", "answer.tsr"]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)
        return (self.folder / "answer.tsr").read_bytes()
