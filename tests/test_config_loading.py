"""Both files: every mistake is reported, once, where it stands, with its remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gatekeeper.config import load_candidate, load_policy
from gatekeeper.core.candidate import PhantomSpec, SplitSpec
from gatekeeper.core.mechanism import Adjacency
from gatekeeper.core.policy import AuditTerms, RiskRule, UtilityRule
from gatekeeper.core.risk import ONE_STEP, Similarity
from gatekeeper.errors import InvalidInputError
from tests.config_files import (
    CANDIDATE,
    CANDIDATE_MISTAKES,
    POLICY,
    POLICY_MISTAKES,
    SYNTAX,
    Mistake,
    file_of,
    problems_of,
)


def check(mistake: Mistake, load: Callable[[Path], object], folder: Path) -> None:
    (problem,) = problems_of(load, file_of(folder, mistake.text))
    assert (problem.line, problem.column) == mistake.place, str(problem)
    assert mistake.says in str(problem)
    assert problem.file == str(folder / "file.yaml")


@pytest.mark.parametrize("mistake", SYNTAX + POLICY_MISTAKES, ids=lambda mistake: mistake.new)
def test_a_mistake_in_a_policy_is_reported_once_where_it_stands(mistake: Mistake, tmp_path: Path) -> None:
    check(mistake, load_policy, tmp_path)


@pytest.mark.parametrize("mistake", CANDIDATE_MISTAKES, ids=lambda mistake: mistake.new)
def test_a_mistake_in_a_candidate_is_reported_once_where_it_stands(mistake: Mistake, tmp_path: Path) -> None:
    check(mistake, load_candidate, tmp_path)
