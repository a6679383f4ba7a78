"""Trust files: read key by key, each mistake where it stands, and a schema that agrees."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from gatekeeper.config import load_trust, trust_schema
from gatekeeper.config.yaml_tree import parse
from gatekeeper.core.trust import TrustedKey
from tests.config_files import POLICY, Mistake, file_of, problems_of
from tests.test_config_schema import as_json, properties
from tests.trust_files import GATE, OFFICER, TRUST, fingerprint_of, indented, trusted

SCHEMA = jsonschema.Draft202012Validator(json.loads(trust_schema()))


def in_trust(old: str, new: str, says: str, *, schema: bool = True) -> Mistake:
    return Mistake(base=TRUST, old=old, new=new, says=says, schema=schema)


GATE_ID, OFFICER_ID = fingerprint_of(GATE), fingerprint_of(OFFICER)
MISTAKES = (
    in_trust("name: hospital", "«nam: hospital", "did you mean", schema=False),
    in_trust(GATE_ID, f"«{GATE_ID[1:]}a", "has the fingerprint", schema=False),
    in_trust(GATE_ID, f"«{GATE_ID[1:]}", "must be a SHA-256 digest"),
    in_trust("owner: the gate", 'owner: «""', "owner must be a non-empty string"),
    in_trust("roles: [release]", "roles: [«Release]", "a word in lower case"),
    in_trust("roles: [release]", "roles: «release", "must be a list"),
    in_trust("valid_from: 2030-01-01T00:00:00Z", "valid_from: «2030-01-01", "must be a UTC time such as"),
    in_trust("valid_from: 2030-01-01T00:00:00Z", "valid_from: «2030-02-30T00:00:00Z", "that exists", schema=False),
    in_trust("reason: laptop stolen", "«reasn: laptop stolen", "unknown key 'reasn'", schema=False),
    in_trust("public_key: officer.pub", "public_key: «missing.pub", "missing.pub' can't be read", schema=False),
    in_trust("public_key: officer.pub", "public_key: «.", "can't be read", schema=False),
    in_trust("public_key: officer.pub", "public_key: «file.yaml", "can't be read", schema=False),
    in_trust("public_key: officer.pub", "public_key: «7", "must be text, got the number 7"),
    in_trust("public_key: officer.pub", "public_key: «[officer.pub]", "must be a public key in PEM"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "officer.pub").write_text(OFFICER)
    return tmp_path


def test_a_trust_file_is_read_key_by_key(folder: Path) -> None:
    officer = TrustedKey(
        fingerprint=OFFICER_ID,
        public_key=OFFICER,
        owner="Dr. Weiß",
        roles=("privacy-officer", "approver"),
        revoked_at="2030-06-01T00:00:00Z",
        revocation_reason="laptop stolen",
    )
    assert load_trust(file_of(folder, TRUST)).keys == (trusted(), officer)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.new[:40])
def test_a_mistake_is_reported_where_it_stands(mistake: Mistake, folder: Path) -> None:
    problems = problems_of(load_trust, file_of(folder, mistake.text))
    here = [problem for problem in problems if (problem.line, problem.column) == mistake.place]
    assert here, problems
    assert mistake.says in str(here[0])


def test_every_mistake_is_reported_at_once(folder: Path) -> None:
    text = TRUST.replace("[release]", "[Release]").replace("officer.pub", "other.pub").replace("owner: Dr. Weiß", "")
    assert [problem.line for problem in problems_of(load_trust, file_of(folder, text))] == [8, 16, 20]


def test_a_key_twice_is_refused(folder: Path) -> None:
    text = TRUST.replace(OFFICER_ID, GATE_ID).replace("officer.pub", "|\n        " + indented(GATE, by=8))
    (problem,) = problems_of(load_trust, file_of(folder, text))
    assert "occurs twice" in problem.message


def test_a_private_key_is_refused_without_being_shown(folder: Path) -> None:
    (folder / "officer.pub").write_text("-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n")
    (problem,) = problems_of(load_trust, file_of(folder, TRUST))
    assert "is a private key" in problem.message
    assert "SECRET" not in str(problem)


def test_a_policy_is_no_trust_file(tmp_path: Path) -> None:
    (problem,) = problems_of(load_trust, file_of(tmp_path, POLICY))
    assert "this is a release policy, where a trust file is needed" in problem.message


def test_the_schema_is_one_and_describes_every_key() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA.schema)
    closed = properties(SCHEMA.schema)
    assert len(closed) >= 5
    assert not [key for named in closed for key, value in named.items() if "description" not in value]


def test_the_schema_accepts_what_the_loader_accepts(folder: Path) -> None:
    assert SCHEMA.is_valid(as_json(parse(file_of(folder, TRUST)).root))


@pytest.mark.parametrize("mistake", [m for m in MISTAKES if m.schema], ids=lambda mistake: mistake.new[:40])
def test_what_the_loader_refuses_the_schema_refuses(mistake: Mistake, folder: Path) -> None:
    assert not SCHEMA.is_valid(as_json(parse(file_of(folder, mistake.text)).root))


def test_the_documented_trust_file_suits_the_schema_and_fails_on_its_keys_alone(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "keys.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    path = file_of(tmp_path, text)
    assert SCHEMA.is_valid(as_json(parse(path).root))
    assert [problem.message.split("/")[0] for problem in problems_of(load_trust, path)] == [
        f"spec.{place}: 'keys"
        for place in (
            *("keys[0].public_key", "keys[1].public_key", "keys[2].certificates", "keys[2].authority"),
            "timestamp_authorities[0].certificates",
        )
    ]
