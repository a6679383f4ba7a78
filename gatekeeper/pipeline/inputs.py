"""What the command line reads before anything runs: policies, candidates, keys, and data to start from."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.adversary import ONE_STEP
from gatekeeper.core.candidate import AugmentationSpec, Candidate, OptimizerSpec, TrainingSpec
from gatekeeper.core.codec import digest
from gatekeeper.core.data_spec import DataSpec
from gatekeeper.core.key_uri import scheme_of
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.core.policy import AuditTerms, Policy, PrivacyTerms, RiskRule, UtilityRule
from gatekeeper.core.policy_file import PolicyFile
from gatekeeper.core.risk import Similarity
from gatekeeper.errors import InvalidInputError, SigningError

if TYPE_CHECKING:
    from gatekeeper.signing.keys import KeyPaths, PublicKey, SigningKey
    from gatekeeper.training.networks.convert import ConvertedWeights

_STARTER_UNITS = 300


def read_policy(path: Path) -> Policy:
    """A policy file; every mistake in it at once (`ConfigError`)."""
    from gatekeeper.config import load_policy

    return load_policy(path)


def locate_policy(path: Path, *, judged: Policy) -> PolicyFile:
    """Where a policy file demands what.

    Args:
        path: the file that the policy was read from, or another of the same policy.
        judged: the policy that a run was judged by, or will be.

    Raises:
        ConfigError: the file has mistakes.
        InvalidInputError: it can't be read, or says another policy.
    """
    from gatekeeper.config import load_policy, locate_rules

    found = load_policy(path)
    if digest(found) != digest(judged):
        raise InvalidInputError(
            f"is {found.name} v{found.version} with digest {digest(found)}; the run is judged by {judged.name} "
            f"v{judged.version} with digest {digest(judged)}",
            where=str(path),
            hint="name the file as it was when the run was judged, or leave --policy out",
        )
    return locate_rules(path, found)


def read_candidate(path: Path) -> Candidate:
    """A candidate file; every mistake in it at once (`ConfigError`)."""
    from gatekeeper.config import load_candidate

    return load_candidate(path)


def policy_schema() -> str:
    """The policy's JSON Schema."""
    from gatekeeper import config

    return config.policy_schema()


def candidate_schema() -> str:
    """The candidate's JSON Schema."""
    from gatekeeper import config

    return config.candidate_schema()


def starter_files(data: Path) -> tuple[str, str]:
    """Candidate and policy to start from, as YAML with comments, for a data folder or file.

    Raises:
        DataError: no reader knows such data.
    """
    from gatekeeper.config import render_candidate, render_policy
    from gatekeeper.data import detect

    spec = detect(data)
    candidate = Candidate(
        name=data.resolve().name or "model",
        description=None,
        data=spec,
        model=_starter_model(spec),
        training=TrainingSpec(
            epochs=30,
            expected_batch=32,
            clipping_norm=1.0,
            optimizer=OptimizerSpec(name="nadam", lr=2e-3),
            views=4,
            augmentation=AugmentationSpec(flips=spec.scan is None, shift=2),  # bodies have a left and a right
            warmup=0.05,
            ema=0.95,
            epsilon=1e5,
        ),
    )
    return render_candidate(candidate), render_policy(_starter_policy(spec))


def _starter_model(spec: DataSpec) -> ModelSpec:
    if spec.task == "classification":
        return ModelSpec(network="resnet9", width=16)
    return ModelSpec(network="unet" if spec.scan is None or spec.scan.dimensions == 2 else "unet3d", width=8)


def _starter_policy(spec: DataSpec) -> Policy:
    classifies = spec.task == "classification"
    return Policy(
        name="starter",
        version=1,
        owner="privacy-office",
        description="A policy to start from: read every line, then make it yours",
        privacy=PrivacyTerms(unit=spec.unit, adjacency="zero-out", max_epsilon=1e9, max_delta=1e-6),
        rules=(
            UtilityRule(
                id="accuracy" if classifies else "dice",
                metric="balanced_accuracy" if classifies else "dice",
                minimum=0.7,
                max_drop=None,
                statistic="lower_confidence_bound",
                confidence=0.95,
                min_units=50,
            ),
            RiskRule(
                id="reconstruction",
                adversary=ONE_STEP,
                similarity=Similarity(),
                maximum=0.02,
                confidence=0.95,
                worst_max=0.1,
                evidence=("bound", "attack"),
            ),
        ),
        max_attempts=5,
        audit=AuditTerms(
            units=_STARTER_UNITS, worst_units=20, noise_draws=3, min_positive_control=0.9, max_negative_control=0.05
        ),
    )


def read_key(key: str, *, passphrase: bytes | None, public_key: Path | None = None) -> SigningKey:
    """The release key.

    Args:
        key: a PEM file's path, or the URI of a key in a device or service.
        passphrase: opens the file or the device, or None.
        public_key: the file of its public key; a URI needs it.

    Raises:
        SigningError: the key can't be used.
        VerificationError: the public key can't be read.
    """
    from gatekeeper.signing.keys import load_private, load_public
    from gatekeeper.signing.remote_keys import load_remote

    if scheme_of(key) is None:
        return load_private(Path(key), passphrase=passphrase)
    if public_key is None:
        raise SigningError("a key in a device or service needs its public key", where=key)
    return load_remote(key, public_key=load_public(public_key), pin=passphrase)


def check_certificate(path: Path, *, key: SigningKey | None) -> None:
    """Whether the certificates of the release key let it sign at this moment; without a key, but for whose they are.

    Raises:
        SigningError: they can't be read, or don't.
    """
    from gatekeeper.signing.certificates import check_signing_chain

    try:
        pem = path.read_bytes()
    except OSError as error:
        raise SigningError(f"can't be read: {error.strerror}", where=str(path)) from error
    now = datetime.datetime.now(datetime.UTC)
    check_signing_chain(pem, public_key=None if key is None else key.public, now=now, where=str(path))


def read_public_key(key: str, *, pin: Callable[[], bytes | None]) -> PublicKey:
    """A public key: of a PEM file, or of an HSM by its URI."""
    from gatekeeper.signing.keys import load_public
    from gatekeeper.signing.remote_keys import read_public

    return load_public(Path(key)) if scheme_of(key) is None else read_public(key, pin=pin)


def make_keys(prefix: Path, *, passphrase: bytes) -> KeyPaths:
    """A new P-256 key pair beside each other: `<prefix>.key` and `<prefix>.pub`."""
    from gatekeeper.signing.keys import generate

    return generate(prefix=prefix, passphrase=passphrase)


def convert_weights(source: Path, destination: Path) -> ConvertedWeights:
    """A torch file of weights as a new file of safetensors; errors as `training.networks.convert` raises them."""
    from gatekeeper.training.networks.convert import convert

    return convert(source, destination)
