"""Where a training runs, and that its float32 products are float32.

The bounds of `clipping.rounding` hold for products and sums that are each rounded to 24 bits (IEEE 754). Devices offer
faster products of 11 or 8 bits under the name of float32 (TF32, bfloat16): they are switched off, and a product that
they would round away is tried before the first step.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from gatekeeper.core.device import DeviceChoice
from gatekeeper.errors import InvalidInputError
from gatekeeper.training.memory import keep_freed_memory

# 1 + 2⁻²³ is the float32 after 1, and none of 11 or 8 bits: these keep 1, or 1 + 2⁻¹⁰ at the least.
_NEXT = 1 + 2.0**-23


def find_device(wanted: DeviceChoice, *, local_index: int = 0) -> torch.device:
    """The device that a training runs on, set up for float32 that is float32.

    Args:
        wanted: `auto` takes a GPU where there is one.
        local_index: which of this machine's training processes this is: each takes a GPU of its own.

    Raises:
        InvalidInputError: there is no GPU (for this process), or its products are not float32.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or (wanted == "auto" and not gpus):
        device = torch.device("cpu")
        keep_freed_memory()
    elif not gpus:
        raise InvalidInputError("torch finds no GPU here", where="--device cuda", hint="use --device cpu or auto")
    elif local_index >= gpus:
        raise InvalidInputError(
            f"process {local_index} of this machine has no GPU: there are {gpus}",
            hint=f"torchrun --nproc-per-node {gpus}, or --device cpu",
        )
    else:
        device = torch.device("cuda", local_index)
        torch.cuda.set_device(device)
    use_float32()
    check_float32(device)
    return device


def use_float32() -> None:
    """Switch off every shorter product that torch may put in float32's place, and kernels that vary from run to run."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def check_float32(device: torch.device) -> None:
    """See that matrix products and convolutions keep all 24 bits of a number.

    Raises:
        InvalidInputError: they don't.
    """
    side = 64  # so large that the kernels of real work are chosen
    values = torch.full((side, side), _NEXT, device=device)
    identity = torch.eye(side, device=device)
    images = torch.full((side, side, 8, 8), _NEXT, device=device)
    found = {
        "matrix products": values @ identity,
        "batched matrix products": torch.bmm(values[None], identity[None]),
        "convolutions": functional.conv2d(images, identity[:, :, None, None]),
    }
    for name, product in found.items():
        if not bool((product == _NEXT).all()):
            raise InvalidInputError(
                f"{name} on {device} are not float32: 1 + 2⁻²³ times 1 gives {float(product.flatten()[0])!r}",
                hint="switch off TF32 and bfloat16 products of the numerical library, or use --device cpu",
            )


def name_of(device: torch.device, *, count: int = 1) -> str:
    """A device for the record, such as `2 × cpu`.

    Args:
        device: of this process.
        count: how many processes trained together, each on such a device.
    """
    name = "cpu" if device.type == "cpu" else f"{device.type} ({torch.cuda.get_device_name(device)})"
    return name if count == 1 else f"{count} × {name}"
