"""fastDP as an arm of the training bench: book-keeping with a hybrid of ghost and per-sample norms (Bu et al. 2023)."""

from __future__ import annotations

import contextlib
import io
import warnings

from torch import nn

from gatekeeper.training.networks.standardised import StandardisedConv2d
from gatekeeper.training.views import Views
from tests.bench.training_arms import physical_batch
from tests.bench.training_cases import Case, pieces


class FastDP:
    """`PrivacyEngine` in its default mode, with the clipping function that everybody else has here."""

    def __init__(self, case: Case, network: nn.Module) -> None:
        from fastDP import PrivacyEngine  # here, because it may not be installed

        self.remark = "plain convolutions: fastDP knows no standardised ones" if _unstandardise(network) else ""
        self.network, self.physical = network, physical_batch(case)
        self._loss, self._optimizer = case.loss, case.optimizer(network)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it is about to do
            engine = PrivacyEngine(
                network,
                batch_size=case.batch,
                sample_size=case.units,
                epochs=1,
                noise_multiplier=case.noise_multiplier,
                max_grad_norm=case.clipping_norm,
                clipping_fn="Abadi",
            )
        engine.attach(self._optimizer)

    def step(self, batch: Views) -> None:
        for piece in pieces(batch, self.physical):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # its hooks are of a kind that torch has deprecated
                self._loss(self.network(piece.images), piece.targets).mean().backward()
        self._optimizer.step()
        self._optimizer.zero_grad()


def _unstandardise(network: nn.Module) -> bool:
    """Turn standardised convolutions into plain ones: whether there were any."""
    found = [module for module in network.modules() if isinstance(module, StandardisedConv2d)]
    for module in found:
        module.__class__ = nn.Conv2d
    return bool(found)
