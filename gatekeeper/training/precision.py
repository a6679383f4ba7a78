"""Shorter numbers where they are harmless: in a network's forward pass, and in the gradients by its layers' inputs.

bfloat16 has float32's exponent and 8 bits in place of 24 (1 + 7 stored): half the memory, and products that are several
times faster on processors made for them. Two of its numbers have a product of 16 bits, which float32 holds exactly.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from gatekeeper.core.precision import Precision

DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def computing(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """While it is entered, what runs on a device computes in this precision, as torch's autocast decides.

    Convolutions and matrix products are shortened. Operations that add up many numbers, or that need a wide range
    between them, stay float32: losses, softmax, norms; on a GPU the normalisations too.
    """
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])


@contextlib.contextmanager
def shortened_products() -> Iterator[None]:
    """While it is entered, float32 products may round their factors to bfloat16, or on a GPU to TF32's 11 bits.

    Factors that hold bfloat16 numbers lose nothing, and their products are still added up and returned in float32. But
    no error bound holds for how a GPU adds them: its matrix units cut off where IEEE 754 rounds (Fasi, Higham, Mikaitis
    and Pranesh 2021, "Numerical behavior of NVIDIA tensor cores"). So only what is measured afterwards may be formed
    here, and never a sum over units.
    """
    matmul, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = convolutions


def forming(recorded: Tensor) -> AbstractContextManager[object]:
    """`shortened_products` where the factors hold bfloat16 numbers, as what a layer recorded tells."""
    return shortened_products() if recorded.dtype == torch.bfloat16 else contextlib.nullcontext()


def widened(recorded: Tensor) -> Tensor:
    """What a layer recorded, in float32 if it was bfloat16: exactly the same numbers."""
    return recorded.float() if recorded.dtype == torch.bfloat16 else recorded
