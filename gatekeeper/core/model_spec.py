"""Which network a candidate trains, from which weights, and which part of it."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from typing import Literal, get_args

from gatekeeper.core.checks import check_choice, check_finite, check_integer, check_text, check_tuple
from gatekeeper.errors import InvalidValueError

Network = Literal["resnet9", "resnet18", "lenet", "mlp", "unet", "unet3d", "efficientnet-lite0"]

# These come with weights of their own, and in one width.
PRETRAINED_NETWORKS = ("efficientnet-lite0",)

_FACTORY = re.compile(r"([^\s:]+\.py|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):[A-Za-z_]\w*", re.ASCII)

# gatekeeper passes these to every factory itself.
GIVEN_ARGUMENTS = ("image_shape", "classes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """One keyword argument of a factory."""

    name: str
    value: str | int | float | bool

    def __post_init__(self) -> None:
        check_text(name=self.name)
        if not self.name.isidentifier() or keyword.iskeyword(self.name):
            raise InvalidValueError(f"an argument's name must be one in Python, got {self.name!r}")
        if self.name in GIVEN_ARGUMENTS:
            raise InvalidValueError(f"the argument {self.name} is the data's: gatekeeper passes it itself")
        if isinstance(self.value, float):
            check_finite(**{self.name: self.value})


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """Which network: one of gatekeeper's own, or what a factory of the user's returns.

    Attributes:
        network: `resnet9` (weight-standardised convolutions, GroupNorm, Mish, scale norm), `resnet18`, `lenet` or `mlp`
            for classes; `unet` (of images) or `unet3d` (of volumes) for masks; `efficientnet-lite0` with ImageNet's
            weights. None where there is a factory.
        width: channels of the first block, or units of each hidden layer (mlp); None where the network has one width
            only, or a factory makes it.
        factory: `package.module:function` or `path/to/file.py:function`, which the policy must allow; called with
            `image_shape`, `classes` and the arguments, it returns the network. None for gatekeeper's own networks.
        arguments: further arguments of the factory.
        base: a file of safetensors, absolute or relative to the working directory, that training starts from; None
            means random weights, or the network's own.
        base_skip: patterns of parameters that keep their initial values although `base` has none that fit: the head
            of another number of classes, say.
        trainable: patterns of the parameters that are trained, the others being frozen; None means all.
    """

    network: Network | None = None
    width: int | None = None
    factory: str | None = None
    arguments: tuple[Argument, ...] = ()
    base: str | None = None
    base_skip: tuple[str, ...] = ()
    trainable: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if (self.network is None) == (self.factory is None):
            raise InvalidValueError("a model needs exactly one of network and factory")
        if self.network is not None:
            check_choice(network=self.network, choices=get_args(Network))
        self._check_width()
        self._check_factory()
        if self.base is not None:
            check_text(base=self.base)
        if self.base_skip and self.base is None:
            raise InvalidValueError("base_skip goes with base: without it every parameter keeps its initial value")
        for name, patterns in (("base_skip", self.base_skip), ("trainable", self.trainable or ())):
            check_tuple(of=str, **{name: patterns})
            for pattern in patterns:
                check_text(**{name: pattern})
        if self.trainable == ():
            raise InvalidValueError("trainable needs a pattern", hint="leave the key out to train all parameters")

    def _check_width(self) -> None:
        if self.network is None or self.network in PRETRAINED_NETWORKS:
            if self.width is not None:
                raise InvalidValueError(f"{self.network or 'a factory'} takes no width")
        elif self.width is None:
            raise InvalidValueError(f"{self.network} needs a width")
        else:
            check_integer(width=self.width, at_least=4)

    def _check_factory(self) -> None:
        check_tuple(arguments=self.arguments, of=Argument)
        if self.factory is None:
            if self.arguments:
                raise InvalidValueError("arguments go with a factory, and only with it")
            return
        check_factory(self.factory, self.arguments)

    @property
    def pretrained(self) -> bool:
        """Whether training starts from weights that were trained before."""
        return self.base is not None or self.network in PRETRAINED_NETWORKS


def check_factory(factory: str, arguments: tuple[Argument, ...]) -> None:
    """Require the name of a function in a module or file, and arguments of different names.

    Raises:
        InvalidValueError: it is none, or two arguments share a name.
    """
    check_text(factory=factory)
    if not _FACTORY.fullmatch(factory):
        raise InvalidValueError(
            f"a factory is named package.module:function or path/to/file.py:function, got {factory!r}"
        )
    names = [argument.name for argument in arguments]
    if len(set(names)) != len(names):
        raise InvalidValueError(f"arguments must have different names, got {', '.join(names)}")
