"""The engine on whole networks: against the slow twin, its laws, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.errors import DivergedError, UnsupportedModelError
from gatekeeper.training.clipping.clip import Rule
from gatekeeper.training.clipping.engine import ClippingEngine
from gatekeeper.training.clipping.rounding import BLOCK
from gatekeeper.training.clipping.validate import check_network
from gatekeeper.training.grid import Grid, choose_grid
from gatekeeper.training.losses import PerViewLoss, cross_entropy, soft_dice
from gatekeeper.training.networks import build
from gatekeeper.training.networks.standardised import standardise, standardise_vjp
from gatekeeper.training.noise import from_grid
from gatekeeper.training.views import Views
from tests.reference import dp_sgd_step

SHAPES: dict[str, tuple[int, ...]] = {
    "resnet9": (1, 8, 8),
    "resnet18": (2, 32, 32),
    "lenet": (1, 8, 12),
    "mlp": (1, 8, 8),
    "unet": (1, 16, 16),
    "unet3d": (1, 8, 8, 8),
}
CLASSES = 3


def _network(name: str, *, width: int = 4) -> nn.Module:
    return build(
        ModelSpec(network=name, width=width),
        image_shape=SHAPES[name],
        classes=CLASSES,
        seed=3,
        task="segmentation" if name.startswith("unet") else "classification",
    )


def _batch(name: str, rows: int) -> Views:
    generator = torch.Generator().manual_seed(5)
    spatial = SHAPES[name][1:] if name.startswith("unet") else ()
    return Views(
        images=torch.rand((rows, *SHAPES[name]), generator=generator),
        targets=torch.randint(0, CLASSES, (rows, *spatial), generator=generator),
    )


def _engine(network: nn.Module, *, views: int = 1, units_at_once: int = 4) -> ClippingEngine:
    return ClippingEngine(network, views=views, units_at_once=units_at_once, loss=cross_entropy)


def _flat(gradient: list[Tensor]) -> Tensor:
    return torch.cat([g.flatten() for g in gradient])


def _grid(network: nn.Module, *, clipping_norm: float = 1.0, sigma: float = 1e-3) -> Grid:
    parameters = sum(p.numel() for p in network.parameters())
    return choose_grid(
        noise_multiplier=sigma, clipping_norm=clipping_norm, units=1000, block=BLOCK, parameters=parameters
    )


def _sum(engine: ClippingEngine, batch: Views, grid: Grid, rule: Rule = "flat") -> Tensor:
    return _flat(from_grid(engine.clipped_sum(batch, grid=grid, rule=rule), grid=grid))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("clipping_norm", [0.05, 1e3])
def test_clipped_sum_equals_the_slow_twin(name: str, clipping_norm: float) -> None:
    network, batch, views = _network(name), _batch(name, 6), 2
    grid = _grid(network, clipping_norm=clipping_norm, sigma=1e-3 if clipping_norm < 1 else 1e-6)
    expected = _flat(dp_sgd_step.clipped_sum(network, batch, views=views, clipping_norm=grid.radius))
    engine = _engine(network, views=views, units_at_once=2)
    found = _sum(engine, batch, grid)
    assert float((found - expected).norm() / expected.norm()) < (2e-3 if clipping_norm < 1 else 5e-5)


@pytest.mark.parametrize("loss", [cross_entropy, soft_dice])
def test_a_networks_norms_are_never_below_the_truth(loss: PerViewLoss) -> None:
    network, batch = _network("unet"), _batch("unet", 4)
    engine = ClippingEngine(network, views=2, units_at_once=2, loss=loss)
    found = engine.shares(batch)
    engine.close()
    truth = [dp_sgd_step.norm(own) for own in dp_sgd_step.unit_gradients(network, batch, views=2, loss=loss)]
    ratios = found.norms / torch.tensor(truth, dtype=torch.float64)
    assert (ratios >= 1 - 1e-5).all(), "float32's forward and backward pass aside"
    assert (ratios < 1 + 2e-3).all()


@pytest.mark.parametrize(("units", "at_once"), [(1, 4), (5, 2), (7, 7), (70, 64), (67, 3), (22, 16)])
def test_units_add_up_whatever_the_physical_batch(units: int, at_once: int) -> None:
    network, batch = _network("mlp"), _batch("mlp", units)
    grid = _grid(network, clipping_norm=0.1)
    engine = _engine(network, units_at_once=at_once)
    assert all(sum_.dtype == torch.int64 for sum_ in engine.clipped_sum(batch, grid=grid))
    found = _sum(engine, batch, grid)
    apart = [
        _sum(engine, Views(images=batch.images[[unit]], targets=batch.targets[[unit]]), grid) for unit in range(units)
    ]
    torch.testing.assert_close(found, torch.stack(apart).sum(0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("at_once", [4, 16, 32])
def test_every_physical_batch_is_of_a_size_that_was_checked(at_once: int) -> None:
    network = _network("mlp")
    engine, seen = _engine(network, units_at_once=at_once), []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    for units in range(1, 2 * at_once + 2):
        seen.clear()
        engine.clipped_sum(_batch("mlp", units), grid=_grid(network))
        assert set(seen) <= set(engine.sizes)
        assert sum(seen) - units < max(engine.sizes[-1], sum(seen) / 4 + 1), "little is wasted"


def test_an_empty_batch_sums_to_zero() -> None:
    network = _network("resnet9")
    sums = _engine(network, views=2).clipped_sum(_batch("resnet9", 0), grid=_grid(network))
    assert [sum_.shape for sum_ in sums] == [p.shape for p in network.parameters()]
    assert int(_flat(sums).abs().max()) == 0


class _Loud(nn.Module):
    """Blank images have huge gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        blank = (x.flatten(1).abs().sum(1, keepdim=True) == 0).float()
        logits: Tensor = self.layer(x.flatten(1) + 1) * (1 + 1e6 * blank)
        return logits


def test_blank_images_add_nothing() -> None:
    network, images, targets = _Loud(), torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 2])
    grid = _grid(network)
    batch = Views(images=images, targets=targets)
    expected = _flat(dp_sgd_step.clipped_sum(network, batch, views=1, clipping_norm=grid.radius))
    found = _sum(_engine(network, units_at_once=8), batch, grid)
    assert float((found - expected).norm() / expected.norm()) < 1e-4


def test_automatic_clipping_scales_every_unit_to_about_the_radius_and_never_beyond() -> None:
    network, batch = _network("mlp"), _batch("mlp", 8)
    for scale in (1e-3, 1.0, 1e3):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(scale)
        grid, engine = _grid(network, clipping_norm=0.1), _engine(network)
        for unit in range(8):
            one = Views(images=batch.images[[unit]], targets=batch.targets[[unit]])
            norm = float(engine.shares(one).norms[0])
            found = float(_sum(engine, one, grid, rule="automatic").norm())
            assert found <= 0.1
            assert found == pytest.approx(grid.radius * norm / (norm + 0.01), rel=1e-4, abs=1e-5)
        engine.close()


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e38])
def test_a_gradient_that_is_not_finite_stops_the_run(value: float) -> None:
    network = _network("mlp")
    with torch.no_grad():
        next(network.parameters()).fill_(value)
    with pytest.raises(DivergedError):
        _engine(network).clipped_sum(_batch("mlp", 2), grid=_grid(network))


@pytest.mark.parametrize("name", SHAPES)
def test_closing_gives_the_network_its_own_layers_back(name: str) -> None:
    network, batch = _network(name), _batch(name, 2)
    before = network(batch.images).detach()
    engine = _engine(network)
    torch.testing.assert_close(network(batch.images).detach(), before, rtol=1e-4, atol=1e-5)
    engine.clipped_sum(batch, grid=_grid(network))
    assert all(parameter.grad is None for parameter in network.parameters())
    engine.close()
    after = network(batch.images)
    assert torch.equal(after.detach(), before)
    cross_entropy(after, batch.targets).sum().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in network.parameters())


class _Odd(nn.Module):
    """Networks that per-unit clipping can't take apart."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.first, self.second, self.kind = nn.Linear(4, 4), nn.Linear(4, 3), kind
        if kind == "beside":
            self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        if self.kind == "twice":
            x = self.first(x)
        if self.kind == "outside":
            x = functional.linear(x, self.first.weight)
        if self.kind == "tiles":
            return self.second(self.first(x.reshape(-1, 2).repeat(1, 2))).reshape(len(x), -1, 3).mean(1)
        return self.second(self.first(x))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("twice", "layer first is used more than once"),
        ("outside", "parameter first.weight is used outside"),
        ("beside", "has parameters beside layers with parameters"),
        ("tiles", "layer second does not see one sample for each view"),
    ],
)
def test_networks_that_cannot_be_taken_apart_are_refused(kind: str, message: str) -> None:
    network = _Odd(kind)
    batch = Views(images=torch.rand(2, 1, 2, 2), targets=torch.tensor([0, 1]))
    with pytest.raises(UnsupportedModelError, match=message):
        _engine(network).clipped_sum(batch, grid=_grid(network))


class _Remembering(nn.Module):
    """Keeps a running mean of what it sees, in place or anew."""

    def __init__(self, *, in_place: bool) -> None:
        super().__init__()
        self.layer, self._in_place = nn.Linear(64, 2), in_place
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self._in_place:
            self.seen.mul_(0.9).add_(0.1 * x.mean())
        else:
            self.seen = 0.9 * self.seen + 0.1 * x.mean()
        logits: torch.Tensor = self.layer(x.flatten(1))
        return logits


@pytest.mark.parametrize("in_place", [True, False])
def test_a_network_that_remembers_what_it_saw_is_refused(in_place: bool) -> None:
    network = _Remembering(in_place=in_place)
    batch = Views(images=torch.rand(3, 1, 8, 8), targets=torch.tensor([0, 1, 1]))
    with pytest.raises(UnsupportedModelError, match="buffer seen is written"):
        _engine(network).clipped_sum(batch, grid=_grid(network))


class _Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight


@pytest.mark.parametrize(
    ("network", "fragment"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), r"1 \(BatchNorm2d\)"),
        (nn.Sequential(nn.InstanceNorm2d(4, track_running_stats=True)), "GroupNorm"),
        (nn.Sequential(nn.LSTM(4, 4)), "LSTM"),
        (nn.Sequential(nn.Embedding(4, 4, max_norm=1.0)), "max_norm"),
        (_Tied(), "tied weights"),
        (nn.Sequential(nn.ReLU()), "no trainable parameter"),
    ],
)
def test_networks_that_break_privacy_are_refused_with_the_remedy(network: nn.Module, fragment: str) -> None:
    with pytest.raises(UnsupportedModelError, match=fragment):
        check_network(network)


def test_untracked_instance_norm_is_allowed() -> None:
    check_network(nn.Sequential(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4)))


def test_standardised_gradient_equals_autograd() -> None:
    weight = torch.randn(3, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(4, 3, 2, 3, 3, dtype=torch.float64)
    found = standardise_vjp(weight.detach(), gradient)
    for sample in range(4):
        (expected,) = torch.autograd.grad(standardise(weight), weight, gradient[sample])
        torch.testing.assert_close(found[sample], expected)


def test_standardised_filters_have_mean_zero_and_unit_energy() -> None:
    filters = standardise(torch.randn(5, 4, 3, 3) * 7 + 3)
    torch.testing.assert_close(filters.mean((1, 2, 3)), torch.zeros(5), atol=1e-6, rtol=0)
    torch.testing.assert_close(filters.square().sum((1, 2, 3)), torch.ones(5), atol=1e-4, rtol=0)


def test_images_too_small_for_resnet9_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="at least 8×8"):
        build(ModelSpec(network="resnet9", width=8), image_shape=(1, 7, 9), classes=2, seed=0)
