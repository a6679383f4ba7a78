"""A training that dies goes on with nothing uncounted: whenever it dies, and whatever it had just written."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from gatekeeper.core.candidate import Candidate, ModelSpec, OptimizerSpec
from gatekeeper.core.record import Software, TrainingPlan
from gatekeeper.core.resumption import Claim, Origin
from gatekeeper.errors import InvalidValueError, RunDirectoryError
from gatekeeper.training import Lifeline, TrainedModel, train
from gatekeeper.training import loop as loop_module
from gatekeeper.training import release as release_module
from gatekeeper.training import subject as subject_module
from gatekeeper.training.checkpoint import pack_deal, pack_state, unpack_deal, unpack_state
from gatekeeper.training.journal import line_of, read_journal
from gatekeeper.training.optimizer import MasterWeights
from tests.tiny import tiny_candidate, tiny_card, tiny_plan, tiny_units
from tests.vaults import ORIGIN, DeathError, MemoryVault, lifeline

DATA = tiny_units(units=3, most_images=1, side=4)


def _candidate(**training: object) -> Candidate:
    settings = {"views": 1, "physical_batch": 1, "ema": 0.9, **training}
    return dataclasses.replace(tiny_candidate(**settings), model=ModelSpec(network="mlp", width=4))


CANDIDATE = _candidate()


def _plan(*, steps: int = 6, allowance: int = 0, sampling: str = "poisson", rate: float = 1 / 3) -> TrainingPlan:
    plan = tiny_plan(steps=steps + allowance, sampling=sampling)
    mechanism = dataclasses.replace(plan.mechanism, sampling_rate=rate)
    return dataclasses.replace(plan, mechanism=mechanism, resume_allowance=allowance)


def _train(line: Lifeline | None, plan: TrainingPlan, on_step: Callable[[int], None] = lambda _: None) -> TrainedModel:
    return train(candidate=CANDIDATE, plan=plan, card=tiny_card(DATA), data=DATA, on_step=on_step, lifeline=line)


@pytest.fixture
def sums(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Noise is off; one entry for each sum that was formed."""
    formed: list[int] = []

    def count(sums: list[torch.Tensor], **_: object) -> list[torch.Tensor]:
        formed.append(len(formed))
        return sums

    monkeypatch.setattr(release_module, "add_noise", count)
    return formed


# The whole training


@pytest.mark.parametrize("allowance", [0, 3, 60])
def test_a_training_without_an_interruption_counts_its_own_steps(sums: list[int], allowance: int) -> None:
    vault, plan = MemoryVault(), _plan(allowance=allowance)
    record = _train(lifeline(vault, plan), plan).record
    assert record.mechanism.steps == len(sums) == 6
    assert (record.redone_steps, record.starts) == (0, 1)
    again = _train(lifeline(vault, plan), plan)
    assert len(sums) == 6, "a training that is complete is not repeated"
    assert dataclasses.replace(again.record, seconds=record.seconds) == record


@pytest.mark.slow
def test_wherever_it_dies_it_goes_on_to_the_same_model_and_counts_every_sum(sums: list[int]) -> None:
    """Full batches and no noise: what a step does depends on the step alone."""
    plan = _plan(steps=4, allowance=40, rate=1.0)  # blocks of two steps
    expected = _train(lifeline(untouched := MemoryVault(), plan), plan).record.weights_digest
    for moment in np.arange(0, untouched.operations, 0.5):
        sums.clear()
        vault = MemoryVault()
        vault.die_at = float(moment)
        with pytest.raises(DeathError):
            _train(lifeline(vault, plan), plan)
        vault.die_at = None
        record = _train(lifeline(vault, plan), plan).record
        assert record.weights_digest == expected
        assert len(sums) <= record.mechanism.steps <= plan.steps + 2, "a death costs one block"
        assert record.redone_steps == record.mechanism.steps - plan.steps


def test_dying_again_and_again_costs_a_block_each_time(sums: list[int]) -> None:
    plan, generator = _plan(allowance=40, rate=1.0), random.Random(1)
    expected = _train(lifeline(MemoryVault(), plan), plan).record.weights_digest
    sums.clear()
    vault, deaths = MemoryVault(), 0
    while True:
        vault.operations, vault.die_at = 0, generator.choice([2, 2.5, 3, 3.5, 5, 6.5])
        try:
            record = _train(lifeline(vault, plan), plan).record
        except DeathError:
            deaths += 1
            continue
        break
    assert deaths > 2
    assert record.weights_digest == expected
    assert len(sums) <= record.mechanism.steps <= plan.steps + 2 * deaths


def test_more_deaths_than_were_planned_for_are_refused(sums: list[int]) -> None:
    plan = _plan(allowance=2)  # blocks of one step, two of them to spare
    vault = MemoryVault()

    def die(step: int) -> None:
        raise DeathError

    for _ in range(2):
        with pytest.raises(DeathError):
            _train(lifeline(vault, plan), plan, on_step=die)
    _train(lifeline(vault, plan), plan)
    vault.files.pop("journal")
    for _ in range(3):
        vault.operations, vault.die_at = 0, 2  # just after a claim, before any checkpoint
        with pytest.raises(DeathError):
            _train(lifeline(vault, plan), plan)
    with pytest.raises(RunDirectoryError, match=r"together more than the 8 .*\n.*resume_allowance \(now 2\)"):
        lifeline(vault, plan)


def test_without_an_allowance_a_death_is_the_end_and_a_stop_is_not(sums: list[int]) -> None:
    plan = _plan()
    vault = MemoryVault()
    with pytest.raises(KeyboardInterrupt):
        _train(lifeline(vault, plan, stop=True), plan)
    assert len(sums) == 1
    record = _train(lifeline(vault, plan), plan).record
    assert (record.mechanism.steps, record.redone_steps, record.starts) == (6, 0, 2)
    vault = MemoryVault()

    def die(step: int) -> None:
        raise DeathError

    with pytest.raises(DeathError):
        _train(lifeline(vault, plan), plan, on_step=die)
    with pytest.raises(RunDirectoryError, match="may have formed 6 noisy sums"):
        lifeline(vault, plan)


@pytest.mark.parametrize("sampling", ["poisson", "balls-and-bins"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "nadam"])
def test_stopped_after_every_step_it_reaches_the_model_of_an_uninterrupted_training(
    monkeypatch: pytest.MonkeyPatch, sums: list[int], sampling: str, optimizer: str
) -> None:
    """Noise is off, and batch number n is drawn from seed n: then nothing may depend on the interruptions."""

    def seeded(mechanism: object, *, units: int, start: int, **_: object) -> Iterator[np.ndarray]:
        for number in range(start, 100):
            yield np.flatnonzero(np.random.default_rng(number).random(units) < 0.5)

    monkeypatch.setattr(loop_module, "batches", seeded)
    candidate = _candidate(optimizer=OptimizerSpec(name=optimizer, lr=1e-2))
    monkeypatch.setitem(globals(), "CANDIDATE", candidate)
    plan = _plan(sampling=sampling)
    expected = _train(None, plan).record
    vault = MemoryVault()
    for _ in range(plan.steps - 1):
        with pytest.raises(KeyboardInterrupt):
            _train(lifeline(vault, plan, stop=True), plan)
    record = _train(lifeline(vault, plan, stop=True), plan).record
    assert record.weights_digest == expected.weights_digest
    assert (record.mechanism, record.redone_steps, record.starts) == (expected.mechanism, 0, 6)


def test_a_step_that_is_done_again_draws_another_batch_and_other_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _plan(steps=1, allowance=30, rate=0.5)
    drawn: list[tuple[int, ...]] = []
    released: list[torch.Tensor] = []
    views, noise = subject_module.ViewSource, release_module.add_noise

    class Recorder(views):  # type: ignore[misc, valid-type]
        def draw(self, step: int, units: np.ndarray) -> object:
            drawn.append(tuple(units))
            return super().draw(step, units)

    def record(sums: list[torch.Tensor], **settings: object) -> list[torch.Tensor]:
        exact = [sum_.clone() for sum_ in sums]
        noisy = noise(sums, **settings)
        released.append(torch.cat([(n - s).flatten() for n, s in zip(noisy, exact, strict=True)]))
        raise DeathError

    monkeypatch.setattr(subject_module, "ViewSource", Recorder)
    monkeypatch.setattr(release_module, "add_noise", record)
    vault = MemoryVault()
    for _ in range(10):
        with pytest.raises(DeathError):
            _train(lifeline(vault, plan), plan)
    assert len(set(drawn)) > 1
    for one in range(10):
        assert not any(torch.equal(released[one], released[other]) for other in range(one))


# What it goes on from


def _half_done(plan: TrainingPlan) -> MemoryVault:
    """A vault of a training that died after some blocks."""
    vault = MemoryVault()

    def die(step: int) -> None:
        if step == 5:
            raise DeathError

    with pytest.raises(DeathError):
        _train(lifeline(vault, plan), plan, on_step=die)
    return vault


def _checkpoints(vault: MemoryVault) -> list[str]:
    """Names of the checkpoints, newest first."""
    named = [claim.checkpoint for claim in read_journal(vault.files["journal"]).claims]
    files = dict.fromkeys(f"checkpoint-{digest[:16]}.safetensors" for digest in reversed(named) if digest)
    return [name for name in files if name in vault.files]


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"x" + content[1:], lambda _: b""])
def test_a_damaged_checkpoint_is_not_believed_and_the_one_before_it_is(damage: Callable[[bytes], bytes]) -> None:
    plan = _plan(steps=8, allowance=40)
    vault = _half_done(plan)
    newest, _ = _checkpoints(vault)
    sound = lifeline(vault, plan)
    assert (sound.step, sound.begun, sound.notes) == (4, 6, ())
    vault.files[newest] = damage(vault.files[newest])
    older = lifeline(vault, plan)
    assert (older.step, older.begun) == (2, 6), "the steps between count again"
    assert newest in older.notes[0]
    record = _train(older, plan).record
    assert record.mechanism.steps == 6 + 6
    vault = _half_done(plan)
    for name in _checkpoints(vault):
        del vault.files[name]
    assert lifeline(vault, plan).step == 0


def test_only_two_checkpoints_are_kept() -> None:
    plan = _plan(steps=8, allowance=20)
    vault = MemoryVault()
    _train(lifeline(vault, plan), plan)
    assert sorted(vault.files) == sorted(["journal", "origin.json", *_checkpoints(vault)])
    assert len(_checkpoints(vault)) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gatekeeper": "2"}, "gatekeeper 1, now 2"),
        ({"candidate": "c" * 64}, "the candidate is another"),
        ({"plan": "c" * 64}, "the plan is another"),
        ({"software": (Software(name="torch", version="3"),)}, "torch None, now 3"),
    ],
)
def test_it_goes_on_only_with_what_it_began_with(change: dict[str, object], said: str) -> None:
    plan = _plan(steps=8, allowance=40)
    vault = _half_done(plan)
    assert lifeline(vault, plan, origin=ORIGIN).step == 4
    with pytest.raises(RunDirectoryError, match=said):
        lifeline(vault, plan, origin=dataclasses.replace(ORIGIN, **change))
    del vault.files["origin.json"]
    with pytest.raises(RunDirectoryError, match=r"origin\.json of the training was changed or lost"):
        lifeline(vault, plan)


@pytest.mark.parametrize("name", ["sgd", "adam", "nadam"])
def test_a_checkpoint_holds_the_whole_state_bit_for_bit(name: str) -> None:
    spec = tiny_candidate(optimizer=OptimizerSpec(name=name, lr=0.1), ema=0.8, warmup=0.3).training
    generator = np.random.default_rng(0)
    gradients = [torch.from_numpy(generator.normal(size=(3, 2))) for _ in range(8)]

    def fresh() -> tuple[torch.nn.Module, MasterWeights]:
        torch.manual_seed(1)
        network = torch.nn.Linear(2, 3, bias=False)
        return network, MasterWeights(network, spec=spec, steps=8)

    network, weights = fresh()
    for gradient in gradients:
        weights.update([gradient])
    live = network.weight.detach().clone()
    weights.release()
    other, resumed = fresh()
    for step, gradient in enumerate(gradients):
        resumed.update([gradient])
        content = pack_state(resumed.state())
        other, resumed = fresh()
        resumed.load_state(unpack_state(content), step=step + 1)
    assert torch.equal(other.weight, live)
    resumed.release()
    assert torch.equal(other.weight, network.weight)


def test_a_checkpoint_of_another_network_is_refused() -> None:
    spec = tiny_candidate().training
    one = MasterWeights(torch.nn.Linear(2, 3), spec=spec, steps=1)
    other = MasterWeights(torch.nn.Linear(3, 2), spec=spec, steps=1)
    with pytest.raises(RunDirectoryError, match="another network"):
        other.load_state(one.state(), step=1)


def test_a_deal_that_was_changed_is_refused() -> None:
    content = pack_deal(3, np.array([2, 0, 1], dtype=np.uint64))
    epoch, bins = unpack_deal(content)
    assert (epoch, bins.tolist()) == (3, [2, 0, 1])
    for changed in (content[:-1], content[:70] + b"x" + content[71:], b""):
        with pytest.raises(RunDirectoryError, match="batches of the epoch in progress"):
            unpack_deal(changed)


# The journal


def _claims() -> tuple[Claim, ...]:
    first = Claim(start=1, step=0, begun=0, claimed=2, checkpoint=None, seconds=0.0)
    second = Claim(start=1, step=2, begun=2, claimed=4, checkpoint="1" * 64, seconds=1.5)
    third = Claim(start=2, step=2, begun=4, claimed=6, checkpoint="1" * 64, seconds=1.5)
    return first, second, third


def test_a_line_that_was_cut_short_is_not_counted_and_gone_when_the_next_is_written() -> None:
    whole = b"".join(map(line_of, _claims()[:2]))
    last = line_of(_claims()[2])
    for cut in range(len(last)):
        found = read_journal(whole + last[:cut])
        assert found.claims == _claims()[:2]
        assert found.torn == (cut > 0)
    assert read_journal(whole + last).claims == _claims()
    plan = _plan(steps=8, allowance=40)
    vault = _half_done(plan)
    sound = vault.files["journal"]
    vault.files["journal"] += last[:30]
    lifeline(vault, plan)
    assert vault.files["journal"] == sound


def test_a_whole_line_that_was_changed_is_refused_wherever_it_is() -> None:
    content = b"".join(map(line_of, _claims()))
    for place in range(len(content)):
        if content[place : place + 1] == b"\n" and place + 1 == len(content):
            continue  # without its end the last line is one that was cut short
        changed = content[:place] + (b"7" if content[place : place + 1] != b"7" else b"8") + content[place + 1 :]
        with pytest.raises(RunDirectoryError, match="journal"):
            read_journal(changed)


@pytest.mark.parametrize(
    "change",
    [
        {"start": 3},
        {"start": 1},
        {"begun": 3},
        {"begun": 5},
        {"step": 3},
    ],
)
def test_a_claim_that_can_not_follow_is_refused(change: dict[str, int]) -> None:
    first, second, third = _claims()
    assert third.may_follow(second)
    impossible = dataclasses.replace(third, **change)
    with pytest.raises(RunDirectoryError, match=r"line 3 .* can't follow"):
        read_journal(b"".join(map(line_of, (first, second, impossible))))


@pytest.mark.parametrize(
    "change", [{"claimed": 1}, {"begun": 1}, {"checkpoint": None}, {"step": 0}, {"start": 0}, {"seconds": -1.0}]
)
def test_a_claim_that_can_not_be_is_refused_at_birth(change: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError):
        dataclasses.replace(_claims()[1], **change)


def test_an_origin_names_a_version() -> None:
    with pytest.raises(InvalidValueError):
        Origin(gatekeeper="", candidate="a" * 64, plan="b" * 64, software=())
