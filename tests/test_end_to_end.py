"""The whole argument on a tiny data set, through the command line, in seconds."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from gatekeeper.core.certificate import CERTIFICATE_TYPE, Certificate
from gatekeeper.core.codec import canonical, digest, from_plain, parse, plain
from gatekeeper.core.policy import Policy
from gatekeeper.rundir import RunDirectory
from gatekeeper.signing.dsse import verify_bundle
from gatekeeper.signing.keys import load_private, load_public
from gatekeeper.signing.layout import SideFile, digests_of
from gatekeeper.signing.refusals import REFUSAL_TYPE
from gatekeeper.signing.release import standard_side_files, write_release
from gatekeeper.signing.verification import read_release
from tests.command_line import gatekeeper
from tests.once import once

PASSPHRASE = "correct horse"
ENVIRONMENT = {"GATEKEEPER_KEY_PASSPHRASE": PASSPHRASE, "COLUMNS": "200"}
PATIENCE = 900.0  # seconds: only what hangs takes so long, also on a busy machine
CANDIDATE = """\
apiVersion: gatekeeper/v1
kind: ReleaseCandidate
metadata: {{name: tiny}}
spec:
  data:
    format: phantom-lesions
    unit: lesion
    image_size: 16
    split: {{test: 0.3, seed: 1, by: patient}}
    phantom: {{patients: 110, seed: 3}}
  model: {{network: mlp, width: 8}}
  training:
    epochs: 6
    expected_batch: 24
    clipping_norm: 1.0
    optimizer: {{name: nadam, lr: 5.0e-3}}
    epsilon: {epsilon}
    delta: 1.0e-4
"""
POLICY = """\
apiVersion: gatekeeper/v1
kind: ReleasePolicy
metadata: {{name: tiny, version: 1, owner: tests}}
spec:
  max_attempts: {attempts}
  privacy: {{unit: lesion, epsilon: {{max: 1.0e+12}}, delta: {{max: 1.0e-4}}{total}}}
  rules:
    - {{id: accuracy, metric: accuracy, min: {minimum}, min_units: 20}}
    - id: drop
      metric: accuracy
      max_drop: 0.9
      baseline: non-private
      min_units: 20
    - id: reconstruction
      risk: reconstruction
      adversary: {{observes: one-step}}
      similarity: {{measure: ncc, above_null: 0.99}}
      max: 0.05
      worst: {{max: 0.1}}
  audit: {{units: 80, worst_units: 10, noise_draws: 2, positive_control: {{min: 0.9}}, negative_control: {{max: 0.1}}}}
"""

TWIN_RULE = """\
    - id: drop
      metric: accuracy
      max_drop: 0.9
      baseline: non-private
      min_units: 20
"""


class Bench:
    """A working directory with a key, a policy, a candidate and a ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if (path / "release.key").exists():  # a bench that was made before
            return
        self.write()
        for command in (("keys", "generate", "release"), ("ledger", "init")):
            made = self.here(*command)
            assert made.returncode == 0, made.stderr

    def write(self, *, epsilon: str = "1.0e+3", minimum: str = "0.1", attempts: int = 1, total: str = "") -> None:
        (self.path / "candidate.yaml").write_text(CANDIDATE.format(epsilon=epsilon))
        (self.path / "policy.yaml").write_text(POLICY.format(minimum=minimum, attempts=attempts, total=total))

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace what a file holds exactly once."""
        text = (self.path / name).read_text()
        assert text.count(old) == 1
        (self.path / name).write_text(text.replace(old, new))

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run gatekeeper here; the passphrase is in the environment."""
        return subprocess.run(
            [sys.executable, "-m", "gatekeeper", *arguments],
            cwd=self.path,
            env={**os.environ, **ENVIRONMENT, **environment},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )

    def here(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """As `run`, but in this process: for commands that train nothing, and without the second that a start takes."""
        with contextlib.chdir(self.path), mock.patch.dict(os.environ, ENVIRONMENT):
            ran = gatekeeper(*arguments)
        return subprocess.CompletedProcess(arguments, ran.code, ran.stdout, ran.stderr)

    def certify(self, *extra: str, out: str = "out") -> subprocess.CompletedProcess[str]:
        """Certify the candidate here."""
        arguments = ("candidate.yaml", "--policy", "policy.yaml", "--key", "release.key", "--out", out)
        return self.run("certify", *arguments, *extra)

    def verify(self, out: str = "out") -> subprocess.CompletedProcess[str]:
        """Verify the release here against the key and the policy."""
        return self.here("verify", out, "--public-key", "release.pub", "--policy", "policy.yaml")

    def models(self) -> list[Path]:
        """Every ONNX file outside the private run directories."""
        return [p for p in self.path.rglob("*.onnx*") if ".gatekeeper" not in p.parts]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _release(path: Path) -> None:
    bench = Bench(path)
    bench.write(total=", total_epsilon: {max: 1.0e+3}")
    bench.edit("policy.yaml", "max: 1.0e+12", "max: 1.0e+3")
    result = bench.certify("-o", "json:report.json", "-o", "text:report.txt", "--format", "json")
    assert result.returncode == 0, result.stderr
    (path / "stdout").write_text(result.stdout)


def released_bench(factory: pytest.TempPathFactory) -> Bench:
    """A bench with a good release in `out`, whose ε is all that its policy allows in total. Never to be changed."""
    return Bench(once(factory, "released", _release))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench with a good release in `out`."""
    return released_bench(tmp_path_factory)


def test_a_good_candidate_is_released_and_verifies(released: Bench) -> None:
    root = released.path / "out"
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert files == {
        "model.onnx",
        "model.sig",
        "attestations/certificate.sigstore.json",
        *(f"attestations/{name}.sigstore.json" for name in ("svr", "vsa", "test-result", "provenance", "mlbom")),
        "attestations/claims.jsonl",
        "attestations/signer.pub",
        "attestations/policy.json",
        "attestations/bom.cdx.json",
        "attestations/report.json",
        "attestations/VERIFY.md",
        "attestations/verify.sh",
    }
    result = released.run("verify", "out", "--public-key", "release.pub", "--policy", "policy.yaml")
    assert result.returncode == 0, result.stderr
    assert "VERIFIED" in result.stdout
    assert "recomputed" in result.stdout


def test_stdout_and_files_hold_the_same_report(released: Bench) -> None:
    written = (released.path / "report.json").read_text()
    assert (released.path / "stdout").read_text() == written
    assert json.loads(written)["verdict"] == "approved"
    assert (released.path / "report.txt").read_text().startswith("APPROVED")
    shipped = json.loads((released.path / "out/attestations/report.json").read_text())
    assert shipped["facts"]["evidence"] == json.loads(written)["facts"]["evidence"]


def test_the_twin_was_measured_but_its_weights_are_gone(released: Bench) -> None:
    report = json.loads((released.path / "report.json").read_text())
    assert report["facts"]["evidence"]["utility"]["baseline"]
    assert not list(released.path.rglob("twin*"))


def test_the_release_names_neither_machine_nor_user(released: Bench) -> None:
    for path in (released.path / "out").rglob("*"):
        if path.is_file():
            assert str(released.path).encode() not in path.read_bytes(), path


def test_a_release_is_never_overwritten(released: Bench) -> None:
    result = released.certify()
    assert result.returncode == 4
    assert "never overwritten" in result.stderr


def test_an_approved_run_is_not_signed_as_refused(released: Bench) -> None:
    run = released.run("runs", "list").stdout.split()[0]
    result = released.run("refuse", run, "--policy", "policy.yaml", "--key", "release.key", "--out", "refusal.json")
    assert result.returncode == 4
    assert "no refusal to sign" in result.stderr
    assert not (released.path / "refusal.json").exists()


def test_the_policy_must_be_named(released: Bench) -> None:
    assert released.here("verify", "out", "--public-key", "release.pub").returncode == 2
    assert released.here("verify", "out", "--public-key", "release.pub", "--any-policy").returncode == 0
    wrong = released.here("verify", "out", "--public-key", "release.pub", "--policy-digest", "0" * 64)
    assert wrong.returncode == 4
    assert "not the policy" in wrong.stderr


def test_the_releases_own_key_is_no_trust_root(released: Bench) -> None:
    result = released.here("verify", "out", "--public-key", "out/attestations/signer.pub", "--any-policy")
    assert result.returncode == 4


@pytest.mark.slow
def test_a_trust_file_takes_the_place_of_the_key(released: Bench) -> None:
    fingerprint = released.run("keys", "fingerprint", "release.pub").stdout.strip()
    entry = f"{{fingerprint: {fingerprint}, owner: the gate, roles: [release], public_key: release.pub}}"
    head = "apiVersion: gatekeeper/v1\nkind: TrustFile\nmetadata: {name: hospital}\nspec:\n  keys:\n"
    (released.path / "trust.yaml").write_text(f"{head}    - {entry}\n")
    result = released.run("verify", "out", "--trust", "trust.yaml", "--policy", "policy.yaml")
    assert result.returncode == 0, result.stderr
    assert f"signer: {fingerprint} (the gate) may sign releases" in result.stdout


def test_one_flipped_byte_is_found_and_the_file_named(released: Bench, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(released.path / "out", copy)
    content = bytearray((copy / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "model.onnx").write_bytes(content)
    result = released.verify(str(copy))
    assert result.returncode == 4
    assert "model.onnx" in result.stderr


def _resign(bench: Bench, directory: Path, edit: Callable[[dict], None]) -> Path:
    """The release with edited facts, every statement signed again with the very same key."""
    certificate = read_release(bench.path / "out", public_key=load_public(bench.path / "release.pub")).certificate
    facts = plain(certificate)
    edit(facts)
    edited = from_plain(facts, Certificate)
    report = json.loads((bench.path / "out/attestations/report.json").read_text())
    report["facts"], report["findings"] = plain(edited.facts), [plain(f) for f in edited.approval.findings]
    side_files = (*standard_side_files(edited), SideFile(name="report.json", content=canonical(report).encode()))
    edited = dataclasses.replace(edited, files=digests_of(side_files))
    assert digest(edited.policy) == edited.approval.policy_digest
    key = load_private(bench.path / "release.key", passphrase=PASSPHRASE.encode())
    out = directory / "resigned"
    write_release(
        out=out,
        staging=directory / "staging",
        model=bench.path / "out/model.onnx",
        certificate=edited,
        side_files=side_files,
        key=key,
        check=lambda _: None,
    )
    return out


def _set(*path: str | int, value: object) -> Callable[[dict], None]:
    def edit(tree: dict) -> None:
        node: object = tree
        for key in path[:-1]:
            node = node[key]  # type: ignore[index]
        node[path[-1]] = value  # type: ignore[index]

    return edit


def test_an_unedited_release_signs_again_and_verifies(released: Bench, tmp_path: Path) -> None:
    assert released.verify(str(_resign(released, tmp_path, lambda _: None))).returncode == 0


SMALL_EPSILON = {"low": 0.5, "estimate": 1.0, "high": 1.0}


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (_set("facts", "guarantee", "epsilon", value=SMALL_EPSILON), "guarantee.epsilon.high"),
        (_set("policy", "rules", 0, "minimum", value=0.95), "verdict"),
    ],
)
def test_edited_facts_signed_with_the_same_key_are_refused_and_the_number_named(
    released: Bench, tmp_path: Path, edit: Callable[[dict], None], named: str
) -> None:
    """Through the command line; many more edits are in the corpus of bad releases."""

    def edit_and_rename(tree: dict) -> None:
        edit(tree)
        tree["approval"]["policy_digest"] = digest(from_plain(tree["policy"], Policy))

    out = _resign(released, tmp_path, edit_and_rename)
    result = released.here("verify", str(out), "--public-key", "release.pub", "--any-policy")
    assert result.returncode == 4
    assert named in result.stderr, result.stderr


@pytest.mark.slow
def test_a_refusal_exits_1_prints_every_reason_and_leaves_no_model(bench: Bench) -> None:
    bench.write(epsilon="1.0e+12", minimum="0.99")
    bench.edit("policy.yaml", TWIN_RULE, "")  # a twin takes as long as the model
    result = bench.certify()
    assert result.returncode == 1, result.stderr
    assert "REFUSED" in result.stdout
    for rule in ("accuracy", "reconstruction", "privacy-epsilon", "privacy-delta"):
        assert rule in result.stdout
    assert result.stdout.count("FAIL") >= 2
    assert not bench.models()
    assert not (bench.path / "out").exists()
    run = bench.run("runs", "list").stdout.split()[0]
    command = ("refuse", run, "--policy", "policy.yaml", "--key", "release.key", "--out", "refusal.sigstore.json")
    signed = bench.run(*command)
    assert signed.returncode == 0, signed.stderr
    public_key = load_public(bench.path / "release.pub")
    refusal = (bench.path / "refusal.sigstore.json").read_bytes()
    payload = verify_bundle(refusal, public_key=public_key, where="refusal.sigstore.json")
    assert json.loads(payload)["predicateType"] == REFUSAL_TYPE
    assert RunDirectory(bench.path / run).model_sha256().encode() not in payload
    assert "never overwritten" in bench.run(*command).stderr


@pytest.mark.slow
def test_training_and_signing_can_be_apart(bench: Bench) -> None:
    first = bench.run("certify", "candidate.yaml", "--policy", "policy.yaml", "--no-sign", "-q")
    assert first.returncode == 0, first.stderr
    assert not bench.models()
    listed = bench.run("runs", "list").stdout.split()
    assert listed[1] == "approved"
    run = listed[0]
    wrong = bench.run(
        "sign",
        run,
        "--policy",
        "policy.yaml",
        "--key",
        "release.key",
        "--out",
        "out",
        GATEKEEPER_KEY_PASSPHRASE="wrong",
    )
    assert wrong.returncode == 4
    assert not bench.models()
    assert bench.run("sign", run, "--policy", "policy.yaml", "--key", "release.key", "--out", "out").returncode == 0
    assert bench.verify().returncode == 0
    assert "APPROVED" in bench.run("report", run).stdout
    assert bench.run("runs", "prune", "--keep", "0", "--yes").returncode == 0
    assert bench.run("runs", "list").stdout == ""


@pytest.mark.slow
def test_an_approved_run_whose_model_was_swapped_is_not_signed(bench: Bench) -> None:
    assert bench.run("certify", "candidate.yaml", "--policy", "policy.yaml", "--no-sign", "-q").returncode == 0
    run = bench.run("runs", "list").stdout.split()[0]
    model = bench.path / run / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")
    result = bench.run("sign", run, "--policy", "policy.yaml", "--key", "release.key", "--out", "out")
    assert result.returncode == 2
    assert "model.onnx has sha256" in result.stderr
    assert not bench.models()


def test_a_dry_run_prices_the_run_and_leaves_nothing(bench: Bench) -> None:
    result = bench.run("certify", "candidate.yaml", "--policy", "policy.yaml", "--dry-run")
    assert result.returncode == 0, result.stderr
    for word in ("σ =", "ε ≤", "median NCC", "of training"):
        assert word in result.stdout
    assert not list((bench.path / ".gatekeeper/runs").iterdir())


@pytest.mark.parametrize(
    ("old", "new", "where", "fragment"),
    [
        ("epochs: 6", "epochz: 6", "candidate.yaml", "epochs"),
        ("epsilon: 1.0e+3", "epsilon: 1.0e+13", "training.epsilon", "at most 1e+12"),
        ("unit: lesion\n", "unit: patient\n", "data.unit", "policy protects each lesion"),
        ("unit: lesion\n", "unit: nurse\n", "", "nurse"),
        ("patients: 110", "patients: 20", "", "can't satisfy the policy"),
    ],
)
def test_bad_input_exits_2_names_the_place_and_leaves_no_model(
    bench: Bench, old: str, new: str, where: str, fragment: str
) -> None:
    candidate = bench.path / "candidate.yaml"
    candidate.write_text(candidate.read_text().replace(old, new))
    result = bench.certify()
    assert result.returncode == 2, result.stderr
    assert where in result.stderr
    assert fragment in result.stderr
    assert "Traceback" not in result.stderr
    assert not bench.models()


def test_a_missing_key_is_found_before_the_training(bench: Bench) -> None:
    (bench.path / "release.key").unlink()
    result = bench.certify()
    assert result.returncode == 4
    assert "no such key" in result.stderr
    assert not (bench.path / ".gatekeeper/runs").exists()


def test_usage_errors_exit_2(bench: Bench) -> None:
    assert bench.here("certify", "candidate.yaml").returncode == 2
    assert bench.here("certify", "candidate.yaml", "--policy", "policy.yaml").returncode == 2
    assert bench.here("nonsense").returncode == 2
    assert bench.certify("-o", "pdf:x").returncode == 2


def test_the_statement_is_of_our_type(released: Bench) -> None:
    import base64

    bundle = parse((released.path / "out/attestations/certificate.sigstore.json").read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    assert statement["predicateType"] == CERTIFICATE_TYPE
