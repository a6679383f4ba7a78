"""The reviewer's annex: what an attacker reads best at a run's noise, beside the originals. Never part of a release.

The child draws it into the private run directory; the parent moves it to where the reviewer asked for it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.device import DeviceChoice
from gatekeeper.core.rounding import in_full
from gatekeeper.errors import InvalidInputError
from gatekeeper.rundir import RunDirectory, write_atomically

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_OWNER_ONLY = 0o700
_NOTICE = """CONFIDENTIAL

This folder shows training images of the people in the data, and reconstructions of them. It was asked for by a
reviewer, is no part of any release, and must not leave the premises where the data lie.
"""


def draw_annex(run: RunDirectory) -> None:
    """Draw the annex of a run that has its evidence, from its data: a sheet in the run directory. In the child.

    Raises:
        DataError: the data changed since the run.
    """
    from gatekeeper.audit.attacks.gallery import most_readily_read
    from gatekeeper.audit.contact_sheet import contact_sheet
    from gatekeeper.pipeline.production import unchanged
    from gatekeeper.privacy import participations

    evidence = run.read_evidence()
    mechanism = evidence.record.mechanism
    data = unchanged(run, evidence.candidate, evidence.dataset)
    uses = max(1, participations(mechanism).upper_quantile())
    rows: list[tuple[str, NDArray[np.float64]]] = []
    for title, count in (("one step", 1), (f"all steps, k = {uses}", uses)):
        gallery = most_readily_read(
            data.train,
            held_out=data.test,
            noise_multiplier=mechanism.noise_multiplier,
            participations=count,
        )
        alike = " ".join(f"{value:.3f}" for value in gallery.similarities)
        rows += [(f"{title}: originals", gallery.originals), (f"read out, NCC {alike}", gallery.read)]
    write_atomically(run.annex, contact_sheet(rows))


def check_annex(folder: Path, *, apart_from: Path | None) -> None:
    """Refuse a folder that others could read, or that leaves with a release.

    Args:
        folder: where the annex is wanted.
        apart_from: the release directory, or None.

    Raises:
        InvalidInputError: it is no folder of its owner's alone, or lies inside the release.
    """
    place = folder.resolve()
    if apart_from is not None and apart_from.resolve() in (place, *place.parents):
        raise InvalidInputError(
            "lies inside the release, and training images must not leave with it",
            where=str(folder),
            hint="choose a folder of its own for --annex",
        )
    if not folder.exists():
        return
    if not folder.is_dir() or folder.stat().st_mode & 0o077:
        raise InvalidInputError(
            "is no folder that its owner alone can read",
            where=str(folder),
            hint=f"name a new one, or: chmod 700 {folder}",
        )


def deliver_annex(run: RunDirectory, folder: Path, *, quiet: bool, device: DeviceChoice) -> Path:
    """Have the child draw the annex, and move it to the reviewer's folder, mode 0700.

    Returns:
        The file.
    """
    from gatekeeper.pipeline.child import run_private_part

    run_private_part(run, "annex", quiet=quiet, device=device)
    folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        raise InvalidInputError("others can read it", where=str(folder), hint=f"chmod 700 {folder}")
    epsilon = in_full(run.read_planned().plan.budget.epsilon)
    path = folder / f"epsilon-{epsilon}-{run.path.name}.png"
    write_atomically(folder / "CONFIDENTIAL.txt", _NOTICE.encode())
    write_atomically(path, run.annex.read_bytes())
    os.unlink(run.annex)
    return path
