"""A description for a terminal: that it is private, then the data, what is there twice, the cost and the budget."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gatekeeper.core.data_description import DataDescription
from gatekeeper.core.description import BudgetOutlook, Description, StepCost
from gatekeeper.core.duplicates import LikePair, NearDuplicates, SharedPicture
from gatekeeper.core.rounding import in_full, round_down, round_up
from gatekeeper.report.printed import printed

PRIVATE = (
    "PRIVATE: for the owner of the data, and no part of any release. Counts and duplicates are facts about people, "
    "without any noise. Units appear under pseudonyms that hold for this call alone."
)

_SHOWN = 10


def render_description_text(description: Description, *, width: int = 100, colour: bool = False) -> str:
    """The description as text.

    Args:
        description: what to render.
        width: columns, at least 60.
        colour: whether to use ANSI colours.
    """
    return printed(_parts(description), width=width, colour=colour)


def _parts(description: Description) -> Iterator[RenderableType]:
    data = description.data
    yield Text(PRIVATE, style="bold yellow")
    yield Text("")
    yield Text(_subject(data))
    yield Text(_shapes(data))
    yield Text("")
    yield _sides(data)
    yield _classes(data)
    yield Text(_exact(data))
    yield from (Text(f"  · {_shared(picture)}") for picture in data.exact.shared[:_SHOWN])
    yield from _more(len(data.exact.shared))
    if data.near is not None:
        yield Text(_near(data.near))
        yield from (Text(f"  · {_like(pair)}") for pair in data.near.closest[:_SHOWN])
        yield from _more(data.near.pairs)
    yield Text("")
    if description.cost is not None:
        yield Text(_cost(description.cost))
    if description.budgets:
        yield Text("")
        yield _budgets(description.budgets)
    yield from (Text(f"warning   {warning}", style="yellow") for warning in description.warnings)
    yield from (Text(f"problem   {problem}", style="red") for problem in description.problems)
    if not description.problems:
        yield Text("Nothing here stands in the way of a first run.", style="green")


def _table(title: str, *columns: str, words: int = 1) -> Table:
    """A table whose first columns hold words and the others numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index < words else "right")
    return table


def _subject(data: DataDescription) -> str:
    kind = ", synthetic" if data.synthetic else ""
    kept = f", split by {data.group}" if data.group != data.unit else ""
    return f"{data.name} ({data.format}{kind}): {data.task}; the unit is {data.unit}{kept}"


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _shapes(data: DataDescription) -> str:
    seen = f"The network sees {_size(data.image_shape)} (channels first)"
    if data.stored_shapes is None:
        return f"{seen}; the reader doesn't tell how images are stored."
    stored = ", ".join(f"{_size(each.shape)} ({each.images})" for each in data.stored_shapes[:_SHOWN])
    more = len(data.stored_shapes) - _SHOWN
    return f"{seen}; stored are {stored}{f' and {more} other shapes' if more > 0 else ''}."


def _sides(data: DataDescription) -> Table:
    table = _table("Sides", "side", "units", "groups", "images", "images a unit: least", "¼", "median", "¾", "most")
    for side in data.sides:
        of = side.images_per_unit
        counts = (side.units, side.groups, side.images, of.least, of.quarter, of.median, of.three_quarters, of.most)
        table.add_row(side.side, *map(str, counts))
    return table


def _classes(data: DataDescription) -> Table:
    title = "Classes, by label" if data.task == "classification" else "Classes, by what the masks hold"
    table = _table(title, "class", "training images", "training units", "test images", "test units")
    for each in data.classes:
        counts = (each.train_images, each.train_units, each.test_images, each.test_units)
        table.add_row(Text(each.name), *map(str, counts))
    return table


def _exact(data: DataDescription) -> str:
    exact = data.exact
    return (
        f"Identical images: {exact.repeats_within_units} repeat another one of their unit; {len(exact.shared)} are in "
        f"two units or more, {exact.leaks} of them on both sides of the split."
    )


def _shared(picture: SharedPicture) -> str:
    leak = "LEAK: " if picture.leaks else ""
    torn = f"; called {' and '.join(picture.labels)}" if len(picture.labels) > 1 else ""
    units, more = ", ".join(picture.units[:_SHOWN]), len(picture.units) - _SHOWN
    others = f" and {more} more" if more > 0 else ""
    return f"{leak}{picture.images} copies in {units}{others} ({' and '.join(picture.sides)}){torn}"


def _near(near: NearDuplicates) -> str:
    least = "" if near.complete else "at least "
    flat = f" {near.flat_images} images of one colour were left out." if near.flat_images else ""
    return (
        f"Nearly identical images (NCC ≥ {in_full(near.threshold)}, pixel by pixel): {least}{near.pairs} pairs in two "
        f"units, {least}{near.between_sides} of them on both sides of the split. Copies that were turned, mirrored or "
        f"cropped are not found.{flat}"
    )


def _like(pair: LikePair) -> str:
    one, other = f"{pair.first} ({pair.first_side})", f"{pair.second} ({pair.second_side})"
    return f"{one} and {other}, NCC {round_down(pair.ncc, digits=5)}"


def _more(count: int) -> Iterator[Text]:
    if count > _SHOWN:
        yield Text(f"  · and {count - _SHOWN} more")


def _cost(cost: StepCost) -> str:
    return (
        f"Training on {cost.device}: about {_time(cost.seconds_per_step)} a step, {_time(cost.seconds_per_epoch)} an "
        f"epoch of {cost.steps_per_epoch} steps, {_time(cost.seconds)} for all {cost.epochs} epochs, before twin and "
        "audit (measured on random images)."
    )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _budgets(budgets: tuple[BudgetOutlook, ...]) -> Table:
    numbers = ("ε at most", "δ", "σ", "k", "SNR 1 step", "SNR k", "NCC 1 step", "NCC k")
    table = _table("Budget of a first run", "", "sampling", *numbers, words=2)
    for each in budgets:
        table.add_row(
            "the policy's largest" if each.largest else "the candidate's",
            each.plan.mechanism.sampling,
            round_up(each.epsilon, digits=6),
            in_full(each.plan.budget.delta),
            round_down(each.plan.mechanism.noise_multiplier, digits=6),
            str(each.participations),
            *(round_up(snr, digits=3) for snr in (each.snr_one_step, each.snr_all_steps)),
            *(round_up(ncc, digits=3) for ncc in (each.ncc_one_step, each.ncc_all_steps)),
        )
    mechanism, total = budgets[-1].plan.mechanism, budgets[-1].total_epsilon
    limit = "" if total is None else f"total_epsilon allows {in_full(total)} for all of them, and "
    table.caption_justify = "left"
    table.caption = (
        f"q = {mechanism.sampling_rate:.6g}, {mechanism.steps} steps. ε, SNR and NCC are rounded up, σ down. k: noisy "
        "gradients that hold one unit (99 % quantile). NCC: the closed form's median, typical and no bound; the audit "
        f"decides. Earlier runs on these units count too: {limit}`gatekeeper ledger show` says what they spent."
    )
    return table
