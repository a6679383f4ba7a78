"""A locked policy and a waived rule, from the keys to the verification, through the command line."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from tests.test_end_to_end import Bench

TERMS = "  waivers: {max_days: 30}\n  require_lock: true\n"
WAIVER = """\
apiVersion: gatekeeper/v1
kind: Waivers
waivers:
  - id: W-1
    rule: accuracy
    model: tiny
    policy: {digest}
    ceiling: 0.1
    owner: team
    approver: Dr. Weiß
    reason: a first look
    expires: {expires}
"""
FILES = ("--lock", "policy.lock.yaml", "--waivers", "waivers.yaml", "--trust", "trust.yaml")


def trust(bench: Bench) -> None:
    """Who holds which key."""
    lines = "apiVersion: gatekeeper/v1\nkind: TrustFile\nmetadata: {name: tests}\nspec:\n  keys:\n"
    for name, owner, role in (
        ("release", "the gate", "release"),
        ("compliance", "compliance", "policy"),
        ("weiss", "Dr. Weiß", "approver"),
    ):
        found = bench.run("keys", "fingerprint", f"{name}.pub").stdout.strip()
        lines += f"    - {{fingerprint: '{found}', public_key: {name}.pub, owner: {owner}, roles: [{role}]}}\n"
    (bench.path / "trust.yaml").write_text(lines, encoding="utf-8")


@pytest.mark.slow
def test_a_waived_violation_under_a_locked_policy_is_released_and_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write(minimum="0.999", attempts=3)
    policy = (tmp_path / "policy.yaml").read_text()
    (tmp_path / "policy.yaml").write_text(policy.replace("  rules:", TERMS + "  rules:"))
    for name in ("compliance", "weiss"):
        assert bench.run("keys", "generate", name).returncode == 0
    trust(bench)
    locked = bench.run("policy", "lock", "policy.yaml", "--key", "compliance.key", "--out", "policy.lock.yaml")
    assert locked.returncode == 0, locked.stderr
    digest = locked.stdout.split("digest ")[1].split()[0]
    last_day = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=5)
    (tmp_path / "waivers.yaml").write_text(WAIVER.format(digest=digest, expires=last_day), encoding="utf-8")

    early = bench.certify(*FILES)
    assert (early.returncode, "waivers.yaml:4:5: waiver W-1 is not signed" in early.stderr) == (2, True), early.stderr
    signed = bench.run("waiver", "sign", "waivers.yaml", "--id", "W-1", "--key", "weiss.key")
    assert signed.returncode == 0, signed.stderr

    result = bench.certify(*FILES, "-o", "json:report.json")
    assert result.returncode == 0, result.stderr
    assert "approved with waivers: W-1 (accuracy)" in result.stderr
    assert "expires within 7 days" in result.stderr
    assert "WAIVED" in result.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["facts"]["lock"]["policy_digest"] == digest
    assert [f["status"] for f in report["findings"] if f["rule"] == "accuracy"] == ["waived"]

    verified = bench.run("verify", "out", "--trust", "trust.yaml", "--policy", "policy.yaml")
    assert verified.returncode == 0, verified.stderr
    for said in ("may lock policies", f"W-1 for accuracy until the end of {last_day} (UTC)", "WARNING", "1 WAIVED"):
        assert said in verified.stdout
    assert (tmp_path / "out/attestations/policy.lock.yaml").is_file()

    unlocked = bench.run("sign", *_last_run(bench), "--policy", "policy.yaml", "--key", "release.key", "--out", "again")
    assert unlocked.returncode == 2, "the policy wants its lock here too"


def _last_run(bench: Bench) -> list[str]:
    return [str(sorted((bench.path / ".gatekeeper/runs").iterdir())[-1])]
