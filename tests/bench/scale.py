"""What a run costs as the data grow (`make bench BENCH=scale`): memory of the whole process tree, and time.

A certification at each size, through the command line: reading, dividing, counting in the ledger, one epoch of ten
steps, measuring, auditing. Memory is sampled every twentieth of a second over the command and all that it started.
Images are those of Fashion-MNIST where Debian's `dataset-fashion-mnist` is installed (beyond 70,000 they are mirrored,
since an image must have one owner), otherwise noise of two classes.

    python -m tests.bench.scale [--layout medmnist|numpy|radimagenet] [SIZE …]
"""

from __future__ import annotations

import argparse
import gzip
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FASHION = Path("/usr/share/datasets/fashion-mnist")
SIZES = (10_000, 30_000, 100_000)
SAMPLED_SECONDS = 0.05
CANDIDATE = """\
apiVersion: gatekeeper/v1
kind: ReleaseCandidate
metadata: {{name: scale}}
spec:
  data: {{format: {layout}, path: {path}, unit: image{split}}}
  model: {{network: mlp, width: 16}}
  training:
    epochs: 1
    expected_batch: {batch}
    clipping_norm: 1.0
    optimizer: {{name: nadam, lr: 5.0e-3}}
    epsilon: 1.0e+9
    delta: 1.0e-6
"""
POLICY = """\
apiVersion: gatekeeper/v1
kind: ReleasePolicy
metadata: {name: scale, version: 1, owner: tests}
spec:
  privacy: {unit: image, epsilon: {max: 1.0e+12}, delta: {max: 1.0e-6}}
  rules:
    - {id: accuracy, metric: accuracy, min: 0.01, min_units: 20}
    - id: reconstruction
      risk: reconstruction
      adversary: {observes: one-step}
      similarity: {measure: ncc, above_null: 0.99}
      max: 0.99
      worst: {max: 0.99}
  audit: {units: 200, worst_units: 20, noise_draws: 2, positive_control: {min: 0.5}, negative_control: {max: 0.2}}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one certification took.

    Attributes:
        images: how many there were.
        pixel_bytes: what their pixels take.
        peak_bytes: the most resident memory that the command and all its children held at once.
        seconds: from start to verdict, on the clock.
        cpu_seconds: of the processor, the children's included.
        code: the exit code.
    """

    images: int
    pixel_bytes: int
    peak_bytes: int
    seconds: float
    cpu_seconds: float
    code: int


def pictures(count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images of 28×28 and their labels, no two alike."""
    if FASHION.is_dir() and count <= 140_000:
        images, labels = _fashion()
        mirrored = images[..., ::-1]
        return np.concatenate([images, mirrored])[:count], np.concatenate([labels, labels])[:count]
    generator = np.random.default_rng(0)
    labels = (np.arange(count) % 2).astype(np.uint8)
    images = generator.integers(0, 128, (count, 28, 28), dtype=np.uint8) + 100 * labels[:, None, None]
    return images.astype(np.uint8), labels


def _fashion() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    images, labels = [], []
    for side in ("train", "t10k"):
        with gzip.open(FASHION / f"{side}-images-idx3-ubyte.gz") as stream:
            images.append(np.frombuffer(stream.read(), dtype=np.uint8, offset=16).reshape(-1, 28, 28))
        with gzip.open(FASHION / f"{side}-labels-idx1-ubyte.gz") as stream:
            labels.append(np.frombuffer(stream.read(), dtype=np.uint8, offset=8))
    return np.concatenate(images), np.concatenate(labels)


def write(folder: Path, layout: str, count: int) -> Path:
    """The images in a layout; one in ten is for the test."""
    images, labels = pictures(count)
    test = np.arange(count) % 10 == 9
    if layout == "medmnist":
        np.savez(
            folder / "scale.npz",
            train_images=images[~test],
            train_labels=labels[~test, None],
            test_images=images[test],
            test_labels=labels[test, None],
        )
        return folder / "scale.npz"
    if layout == "numpy":
        for name, array in (("images", images), ("labels", labels), ("split", np.where(test, "test", "train"))):
            np.save(folder / f"{name}.npy", array)
        return folder
    rows: dict[str, list[str]] = {"train": [], "test": []}
    for index, (pixels, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        name = f"CT/abd/class-{label}/{index:06d}.png"
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place, compress_level=1)
        rows["test" if test[index] else "train"].append(f"{name},class-{label}\n")
    for side, lines in rows.items():
        (folder / f"RadiologyAI_{side}.csv").write_text("filename,label\n" + "".join(lines))
    return folder


def certify(folder: Path, layout: str, count: int) -> Cost:
    """Certify `count` images in `folder`, and measure it."""
    data = folder / "data"
    data.mkdir(parents=True)
    path = write(data, layout, count)
    (folder / "candidate.yaml").write_text(CANDIDATE.format(layout=layout, path=path, split="", batch=count // 10))
    (folder / "policy.yaml").write_text(POLICY)
    command = [sys.executable, "-P", "-m", "gatekeeper", "ledger", "init"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    command = [sys.executable, "-P", "-m", "gatekeeper", "certify", "candidate.yaml", "--policy", "policy.yaml"]
    began, used = time.perf_counter(), children_seconds()
    with (folder / "log").open("w") as log:
        running = subprocess.Popen([*command, "--no-sign"], cwd=folder, env=environment, stdout=log, stderr=log)
        peak = 0
        while running.poll() is None:
            peak = max(peak, sum(map(resident_bytes, tree(running.pid))))
            time.sleep(SAMPLED_SECONDS)
    seconds = time.perf_counter() - began
    return Cost(
        images=count,
        pixel_bytes=count * 28 * 28,
        peak_bytes=peak,
        seconds=seconds,
        cpu_seconds=children_seconds() - used,
        code=running.returncode,
    )


def children_seconds() -> float:
    """The processor's time that ended children took."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def tree(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from tree(int(child))


def resident_bytes(pid: int) -> int:
    """The resident memory of a process; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


def main(arguments: list[str]) -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layout", choices=("medmnist", "numpy", "radimagenet"), default="numpy")
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    asked = parser.parse_args(arguments)
    for count in asked.sizes:
        with tempfile.TemporaryDirectory() as folder:
            cost = certify(Path(folder), asked.layout, count)
            if cost.code not in (0, 1, 3):
                print((Path(folder) / "log").read_text(), file=sys.stderr)
        print(
            f"{asked.layout} {count:>8,} images, {cost.pixel_bytes / 2**20:6.0f} MiB of pixels: peak "
            f"{cost.peak_bytes / 2**20:6.0f} MiB, {cost.seconds:6.1f} s ({cost.cpu_seconds:.1f} s of CPU), "
            f"exit code {cost.code}",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
