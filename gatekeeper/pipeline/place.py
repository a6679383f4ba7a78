"""Which of the processes that `torchrun` started this one is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from gatekeeper.core.checks import check_integer
from gatekeeper.errors import InvalidInputError

# What torchrun hands to each process, and what may say over which network interface they talk.
VARIABLES = frozenset(
    {
        "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK",
        "ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID",
        "TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_MAX_RESTARTS", "TORCHELASTIC_USE_AGENT_STORE",
        "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME",
    }
)  # fmt: skip

# All processes are on one machine, and exact sums pass between them: they don't leave it.
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A process among those that certify together.

    Attributes:
        index: from 0; the first certifies, the others help it.
        count: how many there are.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        check_integer(index=self.index, at_least=0)
        check_integer(count=self.count, at_least=self.index + 1)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that certifies."""
        return self.index == 0


def find_place(environment: Mapping[str, str] = os.environ) -> Place:
    """The place that torchrun gave to this process; without torchrun it is alone.

    Raises:
        InvalidInputError: the processes are on several machines, or torchrun has started them again.
    """
    if "TORCHELASTIC_RUN_ID" not in environment:
        return Place()
    count, here = int(environment["WORLD_SIZE"]), int(environment["LOCAL_WORLD_SIZE"])
    if count != here:
        raise InvalidInputError(
            f"{count} processes on several machines, {here} of them here: all must be on one machine",
            where="torchrun",
            hint="leave out --nnodes",
        )
    if int(environment.get("TORCHELASTIC_RESTART_COUNT", "0")):
        raise InvalidInputError(
            "torchrun started the processes again after one of them had failed; what had failed is counted",
            where="torchrun --max-restarts",
            hint="leave it out, and go on with `certify --resume`",
        )
    return Place(index=int(environment["RANK"]), count=count)
