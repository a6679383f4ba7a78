"""What a run's evidence depends on besides policy, candidate and data: gatekeeper's own code, software, and devices."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path

from gatekeeper.core.device import DeviceChoice
from gatekeeper.core.framing import framed
from gatekeeper.core.record import Software
from gatekeeper.core.reuse import Surroundings
from gatekeeper.errors import CacheError

_PACKAGE = Path(__file__).resolve().parent.parent
_GPUS = Path("/proc/driver/nvidia/gpus")
_NODES = Path("/dev")
# Two GPUs of which nothing is known would be taken for one.
_BLIND = "certify with --device cpu, or without --cache"


def describe_surroundings(device: DeviceChoice, *, processes: int) -> Surroundings:
    """This machine and installation.

    Args:
        device: what was asked for.
        processes: how many train together.
    """
    return Surroundings(
        code=_digest_of_package(_PACKAGE), software=_installed(), device=_devices(device, processes=processes)
    )


def _digest_of_package(root: Path) -> str:
    """SHA-256 over every file of the package, by name and content, but for compiled copies."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    digest = hashlib.sha256()
    for path in files:
        digest.update(framed(path.relative_to(root).as_posix().encode(), path.read_bytes()))
    return digest.hexdigest()


def _installed() -> tuple[Software, ...]:
    """Python, and every distribution that can be imported here."""
    found = {(each.name, each.version) for each in metadata.distributions() if each.name and each.version}
    packages = tuple(Software(name=name, version=version) for name, version in sorted(found))
    return (Software(name="python", version=platform.python_version()), *packages)


def _devices(device: DeviceChoice, *, processes: int) -> str:
    """The processor's architecture, and the GPUs that a training may take: without torch, which takes seconds."""
    words = f"{processes} × {device} on {platform.system()} {platform.machine()}"
    if device == "cpu":
        return words
    models = [_model(path) for path in sorted(_GPUS.glob("*/information"))]
    nodes = sorted(path.name for path in _NODES.glob("nvidia[0-9]*"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
    return f"{words}; GPUs {', '.join(models or nodes) or 'none'}, visible {visible}"


def _model(information: Path) -> str:
    """What the driver calls a GPU's model.

    Raises:
        CacheError: it doesn't say.
    """
    try:
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise CacheError(
            f"the GPU's model can't be read: {error.strerror}", where=str(information), hint=_BLIND
        ) from error
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("Model:")), "")
    if not model:
        raise CacheError("the file names no model of the GPU", where=str(information), hint=_BLIND)
    return model
