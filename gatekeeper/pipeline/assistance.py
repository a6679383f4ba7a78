"""What all processes of a `torchrun` but the first do: a share of its training and of its attacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gatekeeper.core.device import DeviceChoice
from gatekeeper.pipeline.attacking import Target, attack
from gatekeeper.pipeline.place import find_place
from gatekeeper.pipeline.production import unchanged
from gatekeeper.pipeline.stopping import interrupts_deferred
from gatekeeper.rundir import RunDirectory


def assist(*, device: DeviceChoice = "auto", on_run: Callable[[str], None]) -> None:
    """Take this process's share. Nothing is drawn, decided or written here.

    Args:
        device: where.
        on_run: told the directory of the run, once the first process has told it.

    Raises:
        DataError: the data changed since the run was planned.
        KeyboardInterrupt: somebody asked to stop.
        DivergedError: the training left the finite numbers.
        UnsupportedModelError: the network can't be trained privately.
        ProcessLostError: another of the processes ended, or doesn't answer.
    """
    from gatekeeper import training

    where = training.find_device(device, local_index=find_place().index)
    meeting = training.meet(None)
    on_run(meeting.run)
    run = RunDirectory(Path(meeting.run))
    with meeting.joined(where) as ranks:
        policy, candidate, planned = run.read_policy(), run.read_candidate(), run.read_planned()
        dataset = unchanged(run, candidate, planned.dataset)
        with interrupts_deferred():  # the first process decides when to stop
            mechanism = training.assist(
                candidate=candidate,
                plan=planned.plan,
                card=planned.dataset,
                data=dataset.train,
                ranks=ranks,
                allow_code=policy.allow_code,
                device=where,
            )
        attack(
            Target(
                policy=policy,
                candidate=candidate,
                plan=planned.plan,
                card=planned.dataset,
                mechanism=mechanism,
                dataset=dataset,
                network=None,
                device=where,
                ranks=ranks,
            ),
            _Unseen(),
        )


class _Unseen:
    """Progress that only the first process draws."""

    def begin(self, title: str, total: int) -> None:
        pass

    def done(self, steps: int) -> None:
        pass

    def advance(self, steps: int) -> None:
        pass
