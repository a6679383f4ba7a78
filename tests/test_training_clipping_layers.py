"""Each layer of the engine against micro-batches of one in float64, in every way of forming its share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gatekeeper.training.clipping.choice import Problem, Way, choose, cost, ways
from gatekeeper.training.clipping.layers.base import Contribution
from gatekeeper.training.clipping.layers.table import layer_for
from gatekeeper.training.clipping.rounding import gamma
from gatekeeper.training.clipping.shares import MATERIALISED
from gatekeeper.training.networks.standardised import StandardisedConv2d
from tests.clipping_layers import CASES, Run, drawn, made, run, ways_of
from tests.reference.layer_gradients import input_gradient, product_norms, unit_gradients

UNITS = 5

# PyTorch says once a process that even filters cost a padded copy.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")

every_case = pytest.mark.parametrize("name", CASES)
every_views = pytest.mark.parametrize("views", [1, 2, 3])


def _runs(name: str, views: int) -> list[Run]:
    module, inputs = made(CASES[name]), drawn(CASES[name], samples=UNITS * views)
    return [run(module, inputs, views=views, way=way) for way in ways_of(module, inputs, views=views)]


def _truth(ran: Run, *, views: int) -> list[dict[str, Tensor]]:
    return unit_gradients(ran.module, ran.inputs, ran.gradients, views=views)


def _names(ran: Run, contribution: Contribution) -> list[str]:
    names = {id(parameter): name for name, parameter in ran.module.named_parameters()}
    return [names[id(parameter)] for parameter in contribution.parameters]


@every_case
def test_output_and_input_gradient_are_those_of_the_module(name: str) -> None:
    for ran in _runs(name, 1):
        torch.testing.assert_close(ran.output, ran.module(ran.inputs).detach(), rtol=1e-5, atol=1e-5)
        if ran.input_gradient is not None:
            expected = input_gradient(ran.module, ran.inputs, ran.gradients).float()
            torch.testing.assert_close(ran.input_gradient, expected, rtol=1e-4, atol=1e-5)


@every_case
@every_views
def test_limits_of_norms_are_never_below_the_truth_nor_far_above(name: str, views: int) -> None:
    for ran in _runs(name, views):
        truth = _truth(ran, views=views)
        for contribution in ran.contributions:
            names = _names(ran, contribution)
            squares = torch.tensor([sum(float(own[name].square().sum()) for name in names) for own in truth])
            squares = squares.double()
            limits = contribution.share.squared
            assert (limits >= squares).all()
            assert (limits <= _most(ran, contribution, squares, views=views)).all()


def _most(ran: Run, contribution: Contribution, squares: Tensor, *, views: int) -> Tensor:
    """10⁻⁵ above the norm, and the margins that factored and standardised shares are known to have."""
    share = contribution.share
    allowed = squares * (1 + 1e-5) ** 2
    if contribution.parameters[0] is not getattr(ran.module, "weight", None):
        return allowed
    if type(ran.module) is StandardisedConv2d and ran.module.groups == 1:
        return squares * (1 + 2e-3) ** 2
    if share.summation == MATERIALISED:
        return allowed
    assert isinstance(ran.module.weight, Tensor)
    channels = ran.module.weight.shape[0]
    rows = ran.gradients.numel() // (UNITS * channels)
    error = gamma(ran.module.weight[0].numel() + channels + rows + 4)
    return allowed + 1.001 * error * share.products.square()


@every_case
@every_views
def test_products_are_never_below_what_a_sum_adds_up(name: str, views: int) -> None:
    for ran in _runs(name, views):
        truth = _truth(ran, views=views)
        for contribution in ran.contributions:
            if contribution.share.summation == MATERIALISED:
                least = [float(contribution.share.squared[unit].sqrt()) for unit in range(UNITS)]
                if type(ran.module) is not StandardisedConv2d:
                    parts = [[own[name] for name in _names(ran, contribution)] for own in truth]
                    least = [float(torch.cat([part.flatten() for part in every]).norm()) for every in parts]
            else:
                least = product_norms(ran.module, ran.inputs, ran.gradients, views=views)
            assert (contribution.share.products >= torch.tensor(least, dtype=torch.float64)).all()


@every_case
@every_views
def test_clipped_sums_are_those_of_the_units_gradients(name: str, views: int) -> None:
    factors = torch.rand(UNITS, generator=torch.Generator().manual_seed(2))
    for ran in _runs(name, views):
        truth = _truth(ran, views=views)
        for units in (slice(0, UNITS), slice(1, 4)):
            found = _sums(ran, factors, units)
            assert set(found) == set(truth[0])
            for parameter, sum_ in found.items():
                expected = sum(float(c) * own[parameter] for c, own in zip(factors[units], truth[units], strict=True))
                assert isinstance(expected, Tensor)
                assert float((sum_ - expected).norm() / expected.norm()) < 1e-6


def _sums(ran: Run, factors: Tensor, units: slice) -> dict[str, Tensor]:
    """Of every parameter, finished, float64."""
    found = {}
    for contribution in ran.contributions:
        sums = contribution.share.sums(factors[units], units)
        for name, parameter, sum_ in zip(_names(ran, contribution), contribution.parameters, sums, strict=True):
            finish = ran.layer.finish(parameter)
            assert sum_.shape == parameter.shape
            whole = sum_.double()
            found[name] = whole if finish is None else finish(whole)
    return found


@pytest.mark.parametrize("name", ["linear", "conv2d", "transposed 2d", "standardised, bias", "groupnorm", "layernorm"])
@pytest.mark.parametrize("frozen", ["weight", "bias"])
def test_frozen_parameters_have_no_share(name: str, frozen: str) -> None:
    module = made(CASES[name])
    getattr(module, frozen).requires_grad_(False)
    ran = run(module, drawn(CASES[name], samples=UNITS), views=1)
    (contribution,) = ran.contributions
    assert _names(ran, contribution) == [{"weight": "bias", "bias": "weight"}[frozen]]
    truth = _truth(ran, views=1)
    expected = torch.stack([next(iter(own.values())).square().sum() for own in truth])
    torch.testing.assert_close(contribution.share.squared, expected, rtol=1e-3, atol=0)


def test_every_way_is_tried_and_the_cheapest_is_chosen() -> None:
    tried: set[Way | None] = set()
    for case in CASES.values():
        tried |= set(ways_of(made(case), drawn(case, samples=UNITS), views=1))
    assert tried == {None, "pointwise", "grouped", "few", "rows"}


@pytest.mark.parametrize("views", [1, 4])
@pytest.mark.parametrize("pixels", [1, 16, 49, 256, 4096])
def test_the_choice_is_the_cheapest_of_the_right_ways(views: int, pixels: int) -> None:
    problem = Problem(
        units=32, views=views, pixels=pixels, channels_in=64, channels_out=64, taps=9, factors=True, pointwise=False,
    )  # fmt: skip
    assert cost(problem, choose(problem)) == min(cost(problem, way) for way in ways(problem))
    assert ("rows" in ways(problem)) == (views * pixels <= 256)


@pytest.mark.parametrize("mean", [0.0, 1.0, 1e2, 1e4])
def test_standardised_filters_far_from_mean_zero_have_no_norm_too_small(mean: float) -> None:
    """Subtracting a mean that is far larger than the deviation leaves few correct digits of a float32 filter."""
    torch.manual_seed(0)
    module = StandardisedConv2d(16, 4, 3, bias=False)
    with torch.no_grad():
        module.weight.copy_(0.1 * torch.randn(module.weight.shape) + 0.1 * mean)
    centred = module.weight.detach() - module.weight.detach().mean((1, 2, 3), keepdim=True)
    # Along both directions that the pull-back takes out, where an error of one shows in the other.
    inputs = torch.cat([centred[unit : unit + 1] / centred[unit].std() + 1 for unit in range(4)])
    inputs = inputs + 0.1 * torch.randn(inputs.shape)
    for way in ways_of(module, inputs, views=1):
        ran = run(module, inputs, views=1, way=way)
        truth = torch.stack([own["weight"].square().sum() for own in _truth(ran, views=1)])
        assert (ran.contributions[0].share.squared >= truth * (1 - 1e-6)).all()


def test_squares_that_vanish_in_float32_leave_no_norm_too_small() -> None:
    module, inputs = nn.Linear(3, 3, bias=False), torch.full((2, 3), 1e-25)
    layer = layer_for("layer", module, views=1)
    share = layer.backward(torch.full((2, 3), 1e18), inputs, (), wanted=False).contributions[0].share
    assert (share.squared.sqrt() >= 3e-7).all()
    assert (share.products >= 3e-7).all()
