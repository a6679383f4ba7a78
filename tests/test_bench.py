"""The benches: what hangs, bursts or raises is a line of the table, and all who are compared do the same work."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from tests.bench import questions, training, training_memory
from tests.bench.accounting import Row, _checked, row
from tests.bench.limits import Limited, Outcome
from tests.bench.training_arms import ARMS, MEASURES, PLAIN, installed, load, materialising_batch, physical_batch
from tests.bench.training_cases import CASES, Case, pieces, tiny
from tests.bench.training_results import ArmResult, ModelResult

HELPERS = "tests.bench.limits"


def outcome(value: object, *, failure: str | None = None, seconds: float = 1.0) -> Outcome:
    return Outcome(value=value, failure=failure, seconds=seconds, peak_bytes=2**20)


@pytest.mark.slow
def test_a_hang_is_ended_and_the_next_question_is_answered() -> None:
    with Limited(HELPERS, seconds=5.0) as process:  # the burst may take as long
        assert process.ask("hang").failure == "timeout"
        assert process.ask("burst", 10).value == 10


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")
def test_a_burst_of_memory_is_an_error_there_and_not_here() -> None:
    with Limited(HELPERS, seconds=30.0, bytes_more=2**27) as process:
        assert process.ask("burst", 2**40).failure == "MemoryError"
        small = process.ask("burst", 2**20)
    assert (small.value, small.failure) == (2**20, None)
    assert small.peak_bytes > 2**20
    assert small.seconds >= 0


def test_an_exception_is_named() -> None:
    with Limited(HELPERS, seconds=30.0) as process:
        assert process.ask("burst", -1).failure == "ValueError"


def test_a_process_that_ends_is_named_too() -> None:
    with Limited("os", seconds=30.0) as process:
        assert process.ask("_exit", 3).failure == "killed"


def test_what_cannot_be_prepared_is_not_benched() -> None:
    with pytest.raises(RuntimeError, match="no_such"), Limited("tests.bench.no_such", seconds=1.0):
        pass


def test_a_row_compares_with_our_proven_ends() -> None:
    ours = {"a": outcome((9.0, 10.0)), "b": outcome((1.0, 2.0)), "c": outcome(None, failure="timeout")}
    theirs = {"a": outcome(8.0, seconds=3.0), "b": outcome(4.0), "c": outcome(1.0), "d": outcome(None, failure="E")}
    found = row("theirs", theirs, {**ours, "d": outcome((1.0, 1.0))})
    assert isinstance(found, Row)
    assert (found.asked, found.answered, found.failures) == (4, 3, {"E": 1})
    assert (found.ratio_min, found.ratio_max, found.below_proven_low) == (0.8, 2.0, 1)
    assert (found.max_seconds, found.slowest) == (3.0, "a")


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_an_epsilon_that_is_no_number_is_a_failure(value: float) -> None:
    assert _checked(outcome(value)).failure == f"ε = {value}"
    assert _checked(outcome((1.0, 2.0))).failure is None


def test_the_questions_are_always_the_same() -> None:
    grid = questions.grid()
    assert grid == questions.grid()
    assert len(grid) == 500
    assert len({asked.name for asked in questions.named() + grid}) == 520
    assert questions.sample(grid) == questions.sample(grid)
    assert len(questions.named()) == len(questions.sample(grid)) == 20
    for asked in grid:
        assert 1e-9 <= asked.sigma <= 1e3
        assert 1e-6 <= asked.rate <= 1
        assert 1 <= asked.steps <= 10**6
        assert 1e-12 <= asked.delta <= 1e-3


CONVOLUTIONAL = ["resnet9", "resnet18", "unet"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run over the tiny convolutional networks writes."""
    path = tmp_path_factory.mktemp("bench") / "training.json"
    training.main(["--quick", "--no-memory", "--rounds", "1", "--models", *CONVOLUTIONAL, "--output", str(path)])
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.slow
def test_the_training_bench_writes_every_arm_of_every_model(quick: dict[str, Any]) -> None:
    assert set(quick) == {"schema", "machine", "settings", "models", "geometric_mean_ratio"}
    assert quick["schema"] == "gatekeeper/bench-training/1"
    assert set(quick["machine"]) == {"processor", "architecture", "system", "python", "torch", "threads"}
    assert [model["name"] for model in quick["models"]] == CONVOLUTIONAL
    for model in quick["models"]:
        assert set(model) == {field.name for field in dataclasses.fields(ModelResult)}
        assert tuple(line["arm"] for line in model["arms"]) == ARMS
        for line in model["arms"]:
            assert set(line) == {field.name for field in dataclasses.fields(ArmResult)}
            assert (line["ratio"] is None) == (line["failure"] is not None)
            assert line["failure"] is None or line["arm"] == "fastdp"


@pytest.mark.slow
def test_in_bfloat16_plain_sgd_and_gatekeeper_are_compared(tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    options = ["--quick", "--no-memory", "--rounds", "1", "--models", "mlp", "--dtype", "bfloat16"]
    training.main([*options, "--output", str(path)])
    found = json.loads(path.read_text())
    assert found["settings"]["dtype"] == "bfloat16"
    assert [line["arm"] for line in found["models"][0]["arms"]] == [*PLAIN, "gatekeeper"]


@pytest.mark.slow
def test_the_baseline_is_the_faster_plain_arm(quick: dict[str, Any]) -> None:
    for model in quick["models"]:
        lines = {line["arm"]: line for line in model["arms"]}
        assert model["baseline"] == min(MEASURES, key=lambda arm: lines[arm]["milliseconds"]["median"])
        assert set(lines[model["baseline"]]["ratio"].values()) == {1.0}
        assert lines["plain-physical"]["physical_batch"] == lines["gatekeeper"]["physical_batch"]


@pytest.mark.slow
def test_the_parts_of_a_step_are_all_seen(quick: dict[str, Any]) -> None:
    for model in quick["models"]:
        assert set(model["parts"]) == {"network", "sums", "noise", "optimizer"}
        assert min(model["parts"].values()) > 0
        assert sum(model["parts"].values()) == pytest.approx(1)


@pytest.mark.slow
def test_the_geometric_mean_is_that_of_the_medians(quick: dict[str, Any]) -> None:
    ratios = [line["ratio"]["median"] for m in quick["models"] for line in m["arms"] if line["arm"] == "gatekeeper"]
    assert quick["geometric_mean_ratio"] == pytest.approx(math.prod(ratios) ** (1 / 3))


@pytest.mark.slow
def test_there_is_no_geometric_mean_of_fewer_models(tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    run = ["--quick", "--no-memory", "--rounds", "1", "--models", "mlp", "resnet9", "--arms", "gatekeeper"]
    training.main([*run, "--output", str(path)])
    found = json.loads(path.read_text())
    assert found["geometric_mean_ratio"] is None
    assert [line["arm"] for line in found["models"][0]["arms"]] == [*PLAIN, "gatekeeper"]
    assert found["models"][0]["speedup_over_opacus"] is None


@pytest.mark.parametrize("name", ["resnet9", "unet", "mlp"])
def test_all_private_arms_take_the_same_step(name: str) -> None:
    """With hardly any noise the update is the same: nobody leaves out work that the others do."""
    case = next(tiny(case) for case in CASES if case.name == name)
    case = dataclasses.replace(case, noise_multiplier=1e-4, clipping_norm=0.1, lr=1.0)
    private = ["gatekeeper", "opacus-hooks", "opacus-ghost"]
    if name != "resnet9" and installed("fastdp"):  # which has no standardised convolutions
        private.append("fastdp")
    updates = {arm: _update(arm, case) for arm in private}
    ours = updates.pop("gatekeeper")
    for update in updates.values():
        assert float((update - ours).norm() / ours.norm()) < 0.01
    unclipped = _update("plain-whole", case)
    assert float((unclipped - ours).norm() / ours.norm()) > 0.1


def _update(arm: str, case: Case) -> Tensor:
    network = case.network()
    before = parameters_to_vector(network.parameters()).detach().clone()
    load(arm)(case, network).step(next(case.batches()))
    return parameters_to_vector(network.parameters()).detach() - before


@pytest.mark.slow
def test_memory_is_measured_in_a_process_of_its_own() -> None:
    ballast = torch.ones(2**27)  # 512 MiB here, which must not count there
    case = next(tiny(case) for case in CASES if case.name == "unet")
    few, many = (training_memory.ask(dataclasses.replace(case, batch=batch), "plain-whole") for batch in (16, 1024))
    assert few.failure is None
    assert many.failure is None
    assert 0 <= few.value < many.value - 2**25
    assert few.value < ballast.nbytes / 4


@pytest.mark.slow
def test_an_arm_that_fails_is_a_line_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(case: Case, arm: str) -> Outcome:
        failed = arm == "opacus-hooks"
        return outcome(None if failed else 2**20, failure="MemoryError" if failed else None)

    monkeypatch.setattr(training, "ask", ask)
    case = next(tiny(case) for case in CASES if case.name == "mlp")
    arms = [*PLAIN, "gatekeeper", "opacus-hooks"]
    found = training.measure(case, arms, rounds=1, memory=True, clock=time.perf_counter)
    assert found.of("opacus-hooks") == ArmResult(arm="opacus-hooks", failure="MemoryError")
    assert found.of("gatekeeper").peak_over_whole == 1.0


def test_physical_batches_shrink_until_every_gradient_fits() -> None:
    case = next(case for case in CASES if case.name == "mlp")
    network = case.network()
    bytes_each = 4 * sum(p.numel() for p in network.parameters())
    ours = physical_batch(case)
    assert materialising_batch(case, network, most_bytes=ours * bytes_each) == ours
    assert materialising_batch(case, network, most_bytes=ours * bytes_each - 1) == ours // 2
    assert materialising_batch(case, network, most_bytes=1) == 1


def test_everybody_gets_the_same_batches_of_various_sizes() -> None:
    case = next(tiny(case) for case in CASES if case.name == "mlp")
    drawn, again = ([next(batches) for _ in range(8)] for batches in (case.batches(), case.batches()))
    assert all(torch.equal(one.images, other.images) for one, other in zip(drawn, again, strict=True))
    assert len({len(batch.targets) for batch in drawn}) > 1
    for batch in drawn:
        for size in (None, 5):
            split = pieces(batch, size)
            assert torch.equal(torch.cat([piece.images for piece in split]), batch.images)
            assert size is None or max(len(piece.targets) for piece in split) <= size
