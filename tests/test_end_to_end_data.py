"""Data in the layouts of the world, through the command line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gatekeeper.core.data_spec import DataSpec, PhantomSpec, SplitSpec
from gatekeeper.data import phantom_lesions
from gatekeeper.data.records import ImageTable
from tests.data_layouts import write_table
from tests.test_end_to_end import PASSPHRASE, TWIN_RULE, Bench

DATA = """\
  data:
    format: phantom-lesions
    unit: lesion
    image_size: 16
    split: {test: 0.3, seed: 1, by: patient}
    phantom: {patients: 110, seed: 3}
"""
FACTORY = f"""\
import os
from pathlib import Path

import numpy as np

def lesions(path):
    parent = Path("/proc", str(os.getppid()), "environ")
    seen = dict(os.environ)
    if os.geteuid() != 0:  # to whom nothing is closed
        try:
            seen["parent"] = parent.read_bytes().decode()
        except PermissionError:
            pass
    with open("witness", "a") as witness:
        print("key" if any({PASSPHRASE!r} in value for value in seen.values()) else "no key", file=witness)
    stored = np.load(path, allow_pickle=False)
    for row, pixels in enumerate(stored["images"]):
        yield {{"image": pixels, **{{key: stored[key][row] for key in ("label", "name", "lesion", "patient")}}}}
"""


def lesions() -> ImageTable:
    """Photographs of 110 patients."""
    return phantom_lesions.read(
        DataSpec(
            format="phantom-lesions",
            path=None,
            unit="lesion",
            image_size=(16, 16),
            split=SplitSpec(test=0.3, by="patient"),
            phantom=PhantomSpec(patients=110, seed=3),
        )
    )


def _factory(bench: Bench) -> str:
    """Give the candidate a factory of the same lesions; the digest of its file."""
    table = lesions()
    np.savez(
        bench.path / "lesions.npz",
        images=np.moveaxis(table.images, 1, -1),
        label=np.array(table.labels),
        name=np.array(table.image_names),
        lesion=np.array(table.units),
        patient=np.array(table.groups),
    )
    (bench.path / "mine.py").write_text(FACTORY, encoding="utf-8")
    bench.edit(
        "candidate.yaml",
        DATA,
        "  data:\n    format: factory\n    factory: mine.py:lesions\n    arguments: {path: lesions.npz}\n"
        "    unit: lesion\n    split: {test: 0.3, seed: 1, by: patient}\n",
    )
    return hashlib.sha256((bench.path / "mine.py").read_bytes()).hexdigest()


def _allow(bench: Bench, digest: str) -> None:
    bench.edit("policy.yaml", "  audit:", f'  allow_code: ["mine.py@sha256:{digest}"]\n  audit:')


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.edit("policy.yaml", TWIN_RULE, "")
    return bench


@pytest.mark.slow
def test_a_factory_that_is_not_allowed_does_not_run_and_costs_no_attempt(bench: Bench) -> None:
    digest = _factory(bench)
    before = bench.here("ledger", "show").stdout
    refused = bench.certify()
    assert refused.returncode == 2
    assert f'"mine.py@sha256:{digest}"' in refused.stderr
    assert not (bench.path / "witness").exists()
    assert bench.here("ledger", "show").stdout == before


@pytest.mark.slow
def test_an_allowed_factory_is_certified_without_ever_seeing_the_key(bench: Bench) -> None:
    digest = _factory(bench)
    _allow(bench, digest)
    certified = bench.certify()
    assert certified.returncode == 0, certified.stdout + certified.stderr
    seen = (bench.path / "witness").read_text().split("\n")[:-1]
    assert len(seen) >= 3  # planned, trained on, and unchanged at the end
    assert set(seen) == {"no key"}
    report = " ".join(certified.stdout.split())
    assert f"data were read by code that the policy allows: mine.py@sha256:{digest}" in report
    assert bench.verify().returncode == 0
    assert len((bench.path / "witness").read_text().split("\n")[:-1]) == len(seen)  # nor does verifying run it


@pytest.mark.slow
def test_the_published_layout_of_ham10000_is_certified(bench: Bench) -> None:
    table, root = lesions(), bench.path / "ham10000"
    classes = {"keratosis-like": "bkl", "melanoma-like": "mel", "nevus-like": "nv"}
    rows = []
    for row, label in enumerate(table.labels):
        image = f"ISIC_{24306 + row:07d}"
        part = root / f"HAM10000_images_part_{1 + (row % 2)}"
        part.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.moveaxis(table.images[row], 0, -1)).save(part / f"{image}.jpg", quality=95)
        rows.append(
            {
                "lesion_id": f"HAM_{table.units[row]}",
                "image_id": image,
                "dx": classes[label],
                "dx_type": "histo",
                "age": "80.0",
                "sex": "male",
                "localization": "scalp",
                "dataset": "vidir_modern",
            }
        )
    write_table(root / "HAM10000_metadata.csv", rows, columns=tuple(rows[0]))
    bench.edit(
        "candidate.yaml",
        DATA,
        "  data: {format: ham10000, path: ham10000, unit: lesion_id, split: {test: 0.3, seed: 1}}\n",
    )
    bench.edit("policy.yaml", "unit: lesion,", "unit: lesion_id,")
    certified = bench.certify()
    assert certified.returncode == 0, certified.stdout + certified.stderr
    assert "(lesion_id)" in certified.stdout
    assert bench.verify().returncode == 0
