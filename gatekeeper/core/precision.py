"""In which numbers a network computes while it is trained."""

from __future__ import annotations

from typing import Literal, get_args

# Of the forward pass and of the gradients by layers' inputs. Norms, clip factors, sums, noise and weights are never
# shorter than float32.
Precision = Literal["float32", "bfloat16"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
