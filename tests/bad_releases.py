"""Releases that must not verify, each made from the golden one, and which other verifiers can know it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.signed_releases import OTHER_KEY
from tests.spoiling import (
    BOM,
    CERTIFICATE,
    CLAIMS,
    GUIDE,
    MLBOM,
    MODEL,
    POLICY,
    PROVENANCE,
    REPORT,
    SHELL,
    SIGNATURE,
    SIGNER,
    SVR,
    TESTED,
    VSA,
    Break,
    anew_with_another_key,
    another_key,
    bound_besides,
    bound_instead,
    bundle,
    claims,
    exchange,
    facts,
    flip,
    link,
    linked_attestations,
    other_release,
    payload,
    pipe,
    predicate,
    remove,
    rename,
    rewrite,
    signature_of_another_model,
    statement,
    text_of_bundle,
    write,
)

SCRIPT, MODEL_SIGNING, SIGSTORE_JS, SECURESYSTEMSLIB, IN_TOTO = (
    "verify.sh",
    "model_signing",
    "sigstore-js",
    "securesystemslib",
    "in-toto",
)


@dataclass(frozen=True, slots=True)
class Bad:
    """One bad release.

    Attributes:
        name: what is wrong with it.
        file: the file that the error must name.
        cause: what the error must say, as a regular expression.
        spoil: breaks a good release in place.
        seen_by: the other verifiers that can know.
    """

    name: str
    file: str
    cause: str
    spoil: Break
    seen_by: tuple[str, ...] = (SCRIPT,)


LAX = "f" * 64
SMALL = {"low": 0.5, "estimate": 1.0, "high": 1.0}
BUNDLE_READERS = (SCRIPT, SIGSTORE_JS, SECURESYSTEMSLIB)
MODEL_READERS = (SCRIPT, MODEL_SIGNING)
STATEMENT_READERS = (SCRIPT, IN_TOTO)
EVERYBODY = (*BUNDLE_READERS, MODEL_SIGNING)

BY_A_STRANGER = (
    Bad("a flipped bit in the model", MODEL, "has SHA-256", flip(MODEL), MODEL_READERS),
    Bad("a lengthened model", MODEL, "has SHA-256", rewrite(MODEL, lambda c: c + b"\0"), MODEL_READERS),
    Bad("an emptied model", MODEL, "has SHA-256", write(MODEL, b""), MODEL_READERS),
    Bad("no model", MODEL, "is missing", remove(MODEL), MODEL_READERS),
    Bad("a renamed model", MODEL, "is missing", rename(MODEL, "Model.onnx"), MODEL_READERS),
    Bad("an external data file", "model.onnx.data", "does not belong", write("model.onnx.data", b"0"), MODEL_READERS),
    Bad("a second model", "model2.onnx", "does not belong", write("model2.onnx", b"0"), MODEL_READERS),
    Bad("a hidden file", ".hidden", "does not belong", write(".hidden", b"0"), MODEL_READERS),
    Bad(
        "a model among the attestations",
        "attestations/model.onnx",
        "was added",
        write("attestations/model.onnx", b"0"),
    ),
    Bad(
        "a hidden file among the attestations",
        "attestations/.hidden",
        "was added",
        write("attestations/.hidden", b"0"),
    ),
    Bad(
        "another folder",
        "attestations/more",
        "does not belong",
        lambda release: (release / "attestations/more").mkdir(),
    ),
    Bad("no verification result", SVR, "is missing", remove(SVR), BUNDLE_READERS),
    Bad("no claims", CLAIMS, "is missing", remove(CLAIMS)),
    Bad("no signature", SIGNATURE, "is missing", remove(SIGNATURE), MODEL_READERS),
    Bad("no report", REPORT, "is missing, but the certificate", remove(REPORT)),
    Bad("a renamed report", REPORT, "is missing", rename(REPORT, "attestations/report.md")),
    Bad("a symbolic link to the model", MODEL, "symbolic link", link(MODEL, symbolic=True), MODEL_READERS),
    Bad("a symbolic link to a report", REPORT, "symbolic link", link(REPORT, symbolic=True)),
    Bad("linked attestations", "attestations", "", linked_attestations),
    Bad("a hard link to the model", MODEL, "hard link", link(MODEL, symbolic=False)),
    Bad("a pipe", REPORT, "not a regular file", pipe),
    Bad(
        "another policy file",
        POLICY,
        "the certificate binds",
        text_of_bundle(POLICY, b'"minimum":0.1', b'"minimum":0.0'),
    ),
    Bad("another report", REPORT, "the certificate binds", text_of_bundle(REPORT, b"approved", b"refusedd")),
    Bad("another bill of materials", BOM, "the certificate binds", text_of_bundle(BOM, b"supervised", b"unsupervis")),
    Bad("another script", SHELL, "the certificate binds", write(SHELL, b"#!/bin/sh\necho VERIFIED\n")),
    Bad("another guide", GUIDE, "the certificate binds", write(GUIDE, b"Trust signer.pub.\n")),
    Bad("another signer's key beside it", SIGNER, "is not the key that signed", write(SIGNER, OTHER_KEY.public.pem)),
    Bad("a truncated bundle", SVR, "is not strict JSON", rewrite(SVR, lambda c: c[: len(c) // 2]), BUNDLE_READERS),
    Bad("an emptied bundle", VSA, "is not strict JSON", write(VSA, b""), BUNDLE_READERS),
    Bad(
        "two signatures",
        SVR,
        "2 signatures",
        bundle(SVR, lambda p: p["dsseEnvelope"].update(signatures=p["dsseEnvelope"]["signatures"] * 2)),
    ),
    Bad(
        "no signature in a bundle",
        CERTIFICATE,
        "0 signatures",
        bundle(CERTIFICATE, lambda p: p["dsseEnvelope"].update(signatures=[])),
        BUNDLE_READERS,
    ),
    Bad(
        "another payload type",
        SVR,
        "payload type",
        bundle(SVR, lambda p: p["dsseEnvelope"].update(payloadType="application/json")),
        BUNDLE_READERS,
    ),
    Bad(
        "another media type",
        SVR,
        "media type",
        bundle(SVR, lambda p: p.update(mediaType="application/json")),
        (SCRIPT, SIGSTORE_JS),
    ),
    Bad("text around a signature", SVR, "not in the form", bundle(SVR, lambda p: p.update(note="reviewed")), ()),
    Bad("a changed payload", CERTIFICATE, "changed after signing", flip(CERTIFICATE, position=0.3), BUNDLE_READERS),
    Bad("a bundle signed with another key", PROVENANCE, "another key", another_key(PROVENANCE), BUNDLE_READERS),
    Bad("a model signed with another key", SIGNATURE, "another key", another_key(SIGNATURE), MODEL_READERS),
    Bad("a release signed with another key", SIGNATURE, "another key", anew_with_another_key, EVERYBODY),
    Bad("attestations exchanged", SVR, "predicate type", exchange(SVR, VSA)),
    Bad("claims in another order", CLAIMS, "one a line, in their order", claims(lambda lines: lines[::-1])),
    Bad("claims with one left out", CLAIMS, "one a line", claims(lambda lines: lines[:-1])),
    Bad("claims with one twice", CLAIMS, "one a line", claims(lambda lines: [*lines, lines[0]])),
    Bad("a verification result of another release", SVR, "timeCreated is '2020", other_release(SVR), ()),
    Bad("a summary of another release", VSA, r"inputAttestations\[0\]", other_release(VSA)),
    Bad("a certificate of another release", BOM, "the certificate binds", other_release(CERTIFICATE)),
    Bad(
        "an approval with another name",
        "attestations/approvals/run.sh",
        "not called as an addition",
        write("attestations/approvals/run.sh", b""),
    ),
    Bad(
        "a timestamp that is none by name",
        "attestations/timestamps/model.onnx",
        "not called as an addition",
        write("attestations/timestamps/model.onnx", b""),
    ),
    Bad(
        "a folder of approvals in itself",
        "attestations/approvals/more",
        "does not belong",
        lambda release: (release / "attestations/approvals/more").mkdir(parents=True),
    ),
)

WITH_THE_KEY = (
    Bad(
        "a script of the signer's own",
        SHELL,
        "is not the one that gatekeeper",
        bound_instead(SHELL, b"echo VERIFIED"),
        (),
    ),
    Bad("a guide of the signer's own", GUIDE, "is not the one that gatekeeper", bound_instead(GUIDE, b"Trust me."), ()),
    Bad("a bound text", "attestations", "a release has", bound_besides(), ()),
    Bad("a bound policy that was not judged by", POLICY, "is not the policy", bound_instead(POLICY, b"{}")),
    Bad("a bound bill of something else", BOM, "is not the bill of materials", bound_instead(BOM, b"{}")),
    Bad(
        "a manifest that leaves the directory",
        SIGNATURE,
        "no plain path",
        predicate(SIGNATURE, "resources", 0, "name", value="../outside.onnx"),
        MODEL_READERS,
    ),
    Bad(
        "a manifest of another file",
        MODEL,
        "not among the files",
        predicate(SIGNATURE, "resources", 0, "name", value="other.onnx"),
        MODEL_READERS,
    ),
    Bad("a manifest of another model", SIGNATURE, "root digest", signature_of_another_model, MODEL_READERS),
    Bad(
        "a root digest of nothing",
        SIGNATURE,
        "root digest",
        statement(SIGNATURE, lambda p: p["subject"][0]["digest"].update(sha256="0" * 64)),
        MODEL_READERS,
    ),
    Bad(
        "a manifest that allows links",
        SIGNATURE,
        "is not signed by file",
        predicate(SIGNATURE, "serialization", "allow_symlinks", value=True),
        (),
    ),
    Bad(
        "a statement about nothing",
        SVR,
        "names no subject",
        statement(SVR, lambda p: p.update(subject=[])),
        STATEMENT_READERS,
    ),
    Bad(
        "a statement about more than the model",
        SVR,
        "is about",
        statement(SVR, lambda p: p["subject"].append({"name": "x", "digest": {"sha256": LAX}})),
    ),
    Bad(
        "a statement about another model",
        VSA,
        "is about",
        statement(VSA, lambda p: p["subject"][0]["digest"].update(sha256=LAX)),
    ),
    Bad(
        "a statement without a digest",
        TESTED,
        "needs a member sha256",
        statement(TESTED, lambda p: p["subject"][0].update(digest={})),
        STATEMENT_READERS,
    ),
    Bad(
        "a statement of an earlier kind",
        SVR,
        "in-toto statement",
        statement(SVR, lambda p: p.update(_type="https://in-toto.io/Statement/v0.1")),
        STATEMENT_READERS,
    ),
    Bad(
        "a predicate of another type",
        TESTED,
        "predicate type",
        statement(TESTED, lambda p: p.update(predicateType="https://example.org/x")),
    ),
    Bad(
        "a verification result of a laxer policy",
        SVR,
        r"policies\[0\].digest.sha256 is 'f",
        predicate(SVR, "verifier", "policies", 0, "digest", "sha256", value=LAX),
    ),
    Bad(
        "a verification result without a pass",
        SVR,
        r"properties\[0\]",
        statement(SVR, lambda p: p["predicate"]["properties"].remove("GATEKEEPER_POLICY_PASSED")),
    ),
    Bad(
        "a verification result that says more",
        SVR,
        "GATEKEEPER_WORST_CASE",
        statement(SVR, lambda p: p["predicate"]["properties"].append("GATEKEEPER_WORST_CASE")),
        (),
    ),
    Bad(
        "a failed summary", VSA, "verificationResult is 'FAILED'", predicate(VSA, "verificationResult", value="FAILED")
    ),
    Bad(
        "a summary of a laxer policy",
        VSA,
        "policy.digest.sha256",
        predicate(VSA, "policy", "digest", "sha256", value=LAX),
    ),
    Bad(
        "a summary that rests on another certificate",
        VSA,
        "inputAttestations",
        predicate(VSA, "inputAttestations", 0, "digest", "sha256", value=LAX),
    ),
    Bad("a younger summary", VSA, "timeVerified", predicate(VSA, "timeVerified", value="2099-01-01T00:00:00Z"), ()),
    Bad("a failed test result", TESTED, "result is 'FAILED'", predicate(TESTED, "result", value="FAILED")),
    Bad(
        "a failed test result, re-labelled",
        TESTED,
        r"failedTests\[0\] is 'accuracy'",
        predicate(TESTED, "failedTests", value=["accuracy"]),
    ),
    Bad(
        "provenance of more noise",
        PROVENANCE,
        "noise_multiplier",
        predicate(PROVENANCE, "buildDefinition", "internalParameters", "mechanism", "noise_multiplier", value=1e3),
        (),
    ),
    Bad(
        "provenance with a seed",
        PROVENANCE,
        "seed is 7",
        predicate(PROVENANCE, "buildDefinition", "internalParameters", "seed", value=7),
        (),
    ),
    Bad(
        "a signed bill of materials that differs",
        MLBOM,
        "metadata.component.name",
        predicate(MLBOM, "metadata", "component", "name", value="other"),
    ),
    Bad(
        "a certificate that approves another model",
        CERTIFICATE,
        "approves the model",
        predicate(CERTIFICATE, "approval", "model_digest", value=LAX),
    ),
    Bad(
        "a certificate under another policy",
        CERTIFICATE,
        "approves under the policy",
        predicate(CERTIFICATE, "approval", "policy_digest", value=LAX),
    ),
    Bad(
        "a certificate of a refusal",
        CERTIFICATE,
        "is no certificate",
        predicate(CERTIFICATE, "approval", "kind", value="Refusal"),
        (),
    ),
    Bad(
        "a certificate with a failed finding",
        CERTIFICATE,
        "did not pass",
        predicate(CERTIFICATE, "approval", "findings", 0, "status", value="failed"),
        (),
    ),
    Bad(
        "a certificate without findings",
        CERTIFICATE,
        "vacuous",
        predicate(CERTIFICATE, "approval", "findings", value=[]),
        (),
    ),
    Bad(
        "a certificate with a fact too many",
        CERTIFICATE,
        "unknown fields",
        predicate(CERTIFICATE, "facts", "seed", value=1),
        (),
    ),
    Bad("a certificate that binds nothing", GUIDE, "was added", predicate(CERTIFICATE, "files", value=[])),
    Bad(
        "a certificate that binds a file elsewhere",
        "../outside",
        "is missing, but the certificate",
        statement(
            CERTIFICATE, lambda p: p["predicate"]["files"].insert(0, {"name": "../outside", "sha256": LAX, "size": 1})
        ),
    ),
    Bad(
        "a duplicate member in a payload",
        SVR,
        "duplicate keys",
        payload(SVR, lambda c: c.replace(b'{"_type"', b'{"_type":"x","_type"', 1)),
        (),
    ),
    Bad(
        "a number that is none",
        CERTIFICATE,
        "is not strict JSON",
        payload(CERTIFICATE, lambda c: c.replace(b'"parity":', b'"parity":NaN,"x":', 1)),
        (),
    ),
    Bad(
        "measurements of another file",
        MODEL,
        "measured was",
        predicate(CERTIFICATE, "facts", "evidence", "model", "size", value=1),
        (),
    ),
    Bad(
        "a smaller ε",
        CERTIFICATE,
        r"guarantee\.epsilon\.high",
        facts("facts", "guarantee", "epsilon", value=SMALL),
        (),
    ),
    Bad(
        "more noise than was planned",
        CERTIFICATE,
        "record and plan",
        facts("facts", "evidence", "record", "mechanism", "noise_multiplier", value=1e3),
        (),
    ),
    Bad("a smaller bound", CERTIFICATE, r"bounds\[0\]\.value", facts("facts", "bounds", 0, "value", value=0.001), ()),
    Bad(
        "a laxer rule",
        CERTIFICATE,
        r"not the policy with digest|findings",
        facts("policy", "rules", 0, "minimum", value=0.01),
    ),
    Bad(
        "an invented measurement",
        CERTIFICATE,
        r"findings\[0\]\.measured",
        facts("approval", "findings", 0, "measured", value=1.0),
        (),
    ),
    Bad("a smaller δ", CERTIFICATE, r"guarantee\.delta", facts("facts", "guarantee", "delta", value=1e-9), ()),
    Bad(
        "another accountant",
        CERTIFICATE,
        r"guarantee\.accountant",
        facts("facts", "guarantee", "accountant", value="hope"),
        (),
    ),
    Bad(
        "a better metric",
        CERTIFICATE,
        r"findings\[\d\]\.measured",
        facts("facts", "evidence", "utility", "measurements", 0, "low", value=0.15),
        (),
    ),
    Bad(
        "an attack beyond its bound",
        CERTIFICATE,
        "its bound allows",
        facts("facts", "evidence", "attacks", "outcomes", 0, "sample", "successes", value=40),
        (),
    ),
    Bad("a smaller total", CERTIFICATE, r"total\.epsilon\.high", facts("facts", "total", "epsilon", value=SMALL), ()),
)

CORPUS = (*BY_A_STRANGER, *WITH_THE_KEY)
