"""Numbers on the command line, each with its range and an example, so that a wrong one says what is right."""

from __future__ import annotations

import math
import re

import click


class Number(click.ParamType[float]):
    """A finite number in a range.

    Args:
        range_text: the range in words, such as `strictly between 0 and 1`.
        low: the lower end.
        high: the upper end.
        ends: whether the ends belong to the range.
        example: a value that is right.
    """

    name = "number"

    def __init__(self, range_text: str, *, low: float, high: float, ends: bool, example: str) -> None:
        self._range_text, self._low, self._high, self._ends, self._example = range_text, low, high, ends, example

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, or a usage error with the range and an example."""
        number = self._parsed(value)
        inside = self._low <= number <= self._high if self._ends else self._low < number < self._high
        if not (math.isfinite(number) and inside):
            self.fail(f"{value!r} is not {self._range_text}; give for example {self._example}", param, ctx)
        return number

    def _parsed(self, value: str | float) -> float:
        try:
            return float(value)
        except ValueError:
            return math.nan


class Rate(Number):
    """A sampling rate, also as the fraction that it usually is: `1/326`."""

    name = "rate"

    def __init__(self) -> None:
        super().__init__("a rate from 1e-12 to 1", low=1e-12, high=1.0, ends=True, example="0.01 or 1/100")

    def _parsed(self, value: str | float) -> float:
        fraction = re.fullmatch(r"(\d{1,18})/(\d{1,18})", str(value))
        if fraction is None:
            return super()._parsed(value)
        below = int(fraction[2])
        return int(fraction[1]) / below if below else math.nan


class Whole(click.ParamType[int]):
    """A whole number in a range; `1e6` is one too.

    Args:
        low: the least.
        high: the most.
    """

    name = "whole number"

    def __init__(self, *, low: int, high: int) -> None:
        self._low, self._high = low, high

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, or a usage error with the range."""
        number = self._parsed(value)
        if number is None or not self._low <= number <= self._high:
            self.fail(f"{value!r} is not a whole number from {self._low} to {self._high}", param, ctx)
        return number

    def _parsed(self, value: str | int) -> int | None:
        try:
            number = float(value)
        except ValueError:
            return None
        return int(number) if number.is_integer() else None


class Pixels(Whole):
    """The number of values of an image, or its shape: `12288`, `3x64x64`, or of a volume `1x16x32x32`."""

    name = "N or CxHxW"

    def __init__(self) -> None:
        super().__init__(low=2, high=10**12)

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of values, or a usage error with both forms."""
        shape = re.fullmatch(r"\d{1,12}([x×]\d{1,12}){2,3}", str(value), flags=re.IGNORECASE)
        number = math.prod(map(int, re.findall(r"\d+", shape[0]))) if shape else self._parsed(value)
        if number is None or not self._low <= number <= self._high:
            self.fail(
                f"{value!r} is no image size; give channels × height × width such as 3x64x64, or their product, "
                f"from {self._low} to {self._high}",
                param,
                ctx,
            )
        return number
