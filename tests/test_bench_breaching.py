"""The audit bench beside the library breaching: what it says without the library, or where that fails."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from gatekeeper.audit.attacks.inversion import Search
from gatekeeper.training.losses import cross_entropy
from tests.bench import audit_breaching
from tests.bench.audit_results import BreachingRow, print_breaching
from tests.bench.breaching_attacks import Inversion, Row, similarities
from tests.bench.breaching_process import BreachingError, parsed
from tests.reference import audit_inversion as reference


def _environment(root: Path, *, answers: list[str], said: str = "") -> Path:
    """One whose python answers so, whatever it is asked, and ends."""
    (root / "bin").mkdir()
    (root / "installed").touch()
    (root / "answers").write_text("".join(f"{line}\n" for line in answers))
    python = root / "bin/python"
    python.write_text(
        f'#!/bin/sh\ncat "{root}/answers"\necho "{said}" >&2\n[ -s "{root}/answers" ] && cat >/dev/null\n'
    )
    python.chmod(0o755)
    return root


def _rows(environment: Path) -> list[BreachingRow]:
    ticks = itertools.count()
    return list(
        audit_breaching.beside_breaching(
            environment, rounds=2, quick=True, clock=lambda: float(next(ticks)), cpu_time=False
        )
    )


def _printed(rows: list[BreachingRow]) -> str:
    page = io.StringIO()
    print_breaching(Console(file=page, width=120), rows)
    return " ".join(page.getvalue().split())


def test_without_the_library_no_number_is_given(tmp_path: Path) -> None:
    rows = _rows(tmp_path)
    assert [row.attack for row in rows] == ["A", "B"]
    for row in rows:
        assert row.failure == "not installed"
        assert (row.over_breaching, row.images_per_second, row.ours, row.theirs) == (None, None, None, None)
    assert _printed(rows).count("not installed") == 2


@pytest.mark.parametrize(
    ("answers", "said", "failure"),
    [
        (["{}", '{"failure": "ValueError: no such thing"}'], "", "fails: ValueError: no such thing"),
        (["{}", "Loading"], "", "fails: no answer: 'Loading'"),
        ([], "No module named breaching", "fails: No module named breaching"),
    ],
)
def test_where_the_library_fails_no_number_is_given(
    tmp_path: Path, answers: list[str], said: str, failure: str
) -> None:
    rows = _rows(_environment(tmp_path, answers=answers, said=said))
    assert {row.failure for row in rows} == {failure}
    assert {row.over_breaching for row in rows} == {None}
    assert failure in _printed(rows)


def test_the_library_s_seconds_are_its_own(tmp_path: Path) -> None:
    """Without noise first, then once to warm up, then the rounds, which alone count; the product's clock ticks once."""
    silent, warm_up, *rounds = (
        json.dumps({"seconds": seconds, "similarities": found})
        for seconds, found in ((9.0, [0.95, 0.2, 0.91]), (8.0, [0.0]), (3.0, [0.0]), (5.0, [0.0]))
    )
    rows = _rows(_environment(tmp_path, answers=["{}", silent, "{}", warm_up, *rounds]))
    for row in rows:
        assert row.failure is None
        assert row.over_breaching is not None
        assert (row.over_breaching.lower_quartile, row.over_breaching.median) == (3.5, 4.0)
        assert row.images_per_second is not None
        assert row.images_per_second.median == row.images
        assert row.theirs is not None
        assert (row.theirs.recovered, row.theirs.median_similarity) == (2, 0.91)
    assert rows[0].ours is not None
    assert (rows[0].ours.recovered, round(rows[0].ours.median_similarity, 9)) == (rows[0].images, 1.0)


def test_an_answer_that_is_none_is_an_error() -> None:
    assert parsed('{"seconds": 1.5}\n') == {"seconds": 1.5}
    for line in ("", "[1]", "Investigating use case"):
        with pytest.raises(BreachingError, match="no answer"):
            parsed(line)


@pytest.mark.parametrize("name", ["mlp", "lenet"])
def test_both_attack_the_same_gradients_of_the_same_network(name: str) -> None:
    work = audit_breaching.inverted(
        name, width=8, channels=3, side=8, images=2, search=Search(iterations=1, starts=1)
    ).work
    assert isinstance(work, Inversion)
    picture = work.starts.new_tensor(work.images[1] / 255)
    own = reference.gradient(work.network, cross_entropy, picture, work.targets[1])
    np.testing.assert_allclose(own.numpy(), work.gradients[1].numpy(), rtol=1e-5, atol=1e-7)


def test_similarity_is_one_of_the_truth_alone() -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, size=(3, 1, 4, 4)).astype(np.uint8)
    work = Row(images=images, mean=np.full((1, 4, 4), 0.5), clipping_norm=1.0, noise_multiplier=0.0)
    truth = (images / 255).reshape(3, -1)
    np.testing.assert_allclose(similarities(truth, work), 1.0)
    np.testing.assert_allclose(similarities(1 - truth, work), -1.0)
    uncentred = dataclasses.replace(work, mean=np.zeros((1, 4, 4)))
    np.testing.assert_allclose(similarities(2 * truth, uncentred), 1.0)
    assert (similarities(2 * truth, work) < 0.99).all()
