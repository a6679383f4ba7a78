"""Lists on the command line: numbers between commas, each once, and a wrong one is named."""

from __future__ import annotations

import math

import click


class Epsilons(click.ParamType[tuple[float, ...]]):
    """Budgets between commas; `inf` is training without privacy."""

    name = "ε,ε,…"

    def convert(
        self, value: str | tuple[float, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """The budgets in the order given, or a usage error that names the wrong one."""
        if isinstance(value, tuple):
            return value
        found = []
        for word in _words(value):
            number = _number(word)
            if not (number > 0 and (number <= 1e300 or word.strip().lower() == "inf")):
                self.fail(
                    f"{word!r} in {value!r} is no ε: give numbers above 0, or inf, such as 1,8,1e6,inf", param, ctx
                )
            found.append(number)
        if len(set(found)) != len(found):
            self.fail(f"{value!r} names an ε twice", param, ctx)
        return tuple(found)


class Seeds(click.ParamType[tuple[int, ...]]):
    """Seeds between commas: whole numbers from 0."""

    name = "n,n,…"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The seeds in the order given, or a usage error that names the wrong one."""
        if isinstance(value, tuple):
            return value
        found = []
        for word in _words(value):
            if not (word.strip().isascii() and word.strip().isdecimal() and int(word) < 2**31):
                self.fail(f"{word!r} in {value!r} is no seed: give whole numbers from 0, such as 1,2,3", param, ctx)
            found.append(int(word))
        if len(set(found)) != len(found):
            self.fail(f"{value!r} names a seed twice", param, ctx)
        return tuple(found)


def _words(value: str) -> list[str]:
    return value.split(",")


def _number(word: str) -> float:
    """The number, or NaN, which no comparison lets pass."""
    try:
        return float(word)
    except ValueError:
        return math.nan
