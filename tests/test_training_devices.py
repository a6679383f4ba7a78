from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.errors import InvalidInputError
from gatekeeper.training import devices, train, train_twin
from gatekeeper.training.clipping_norm import clipping_norm
from gatekeeper.training.subject import subject_of
from tests.tiny import tiny_candidate, tiny_card, tiny_plan, tiny_units

CPU = torch.device("cpu")


def test_the_cpu_is_always_there() -> None:
    assert devices.find_device("cpu") == CPU
    assert devices.name_of(CPU) == "cpu"
    assert devices.name_of(CPU, count=4) == "4 × cpu"


def test_a_gpu_that_is_not_there_is_refused_and_auto_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.find_device("auto") == CPU
    with pytest.raises(InvalidInputError, match="finds no GPU"):
        devices.find_device("cuda")


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InvalidInputError, match="process 2 of this machine has no GPU: there are 2"):
        devices.find_device("auto", local_index=2)


@pytest.mark.parametrize("shorter", [torch.bfloat16, torch.float16])
def test_products_of_fewer_bits_are_noticed(monkeypatch: pytest.MonkeyPatch, shorter: torch.dtype) -> None:
    devices.check_float32(CPU)
    bmm = torch.bmm
    monkeypatch.setattr(torch, "bmm", lambda a, b: bmm(a.to(shorter).float(), b.to(shorter).float()))
    with pytest.raises(InvalidInputError, match="batched matrix products on cpu are not float32"):
        devices.check_float32(CPU)


@pytest.mark.gpu
def test_sums_on_a_gpu_are_those_of_the_cpu() -> None:
    data, candidate, plan = tiny_units(units=40), tiny_candidate(expected_batch=24), tiny_plan()
    sums = {}
    for name in ("cpu", "cuda"):
        device = devices.find_device(name)  # type: ignore[arg-type]
        subject = subject_of(candidate, tiny_card(data), data=data, device=device)
        engine = subject.engine(candidate)
        grid = clipping_norm(plan, units=data.units, parameters=subject.parameters).grid
        batch = subject.source(data, candidate).draw(0, np.arange(30))
        sums[name] = torch.cat([each.cpu().flatten() for each in engine.clipped_sum(batch, grid=grid)]).double()
        engine.close()
    assert (sums["cpu"] - sums["cuda"]).norm() < 1e-4 * sums["cpu"].norm()


@pytest.mark.gpu
def test_a_training_on_a_gpu_says_so_and_leaves_its_networks_on_the_cpu() -> None:
    data, device = tiny_units(), devices.find_device("cuda")
    setting = {"candidate": tiny_candidate(), "plan": tiny_plan(), "card": tiny_card(data), "data": data}
    trained = train(on_step=lambda _: None, device=device, **setting)  # type: ignore[arg-type]
    twin = train_twin(on_step=lambda _: None, device=device, **setting)  # type: ignore[arg-type]
    assert trained.record.device.startswith("cuda (")
    assert {p.device for network in (trained.network, twin) for p in network.parameters()} == {CPU}
