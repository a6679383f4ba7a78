"""What a reader of the tutorial types works, in the order of the page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command_line import gatekeeper
from tests.page_commands import Block, Command, blocks, commands, script

ROOT = Path(__file__).resolve().parent.parent
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")


def test_a_block_is_taken_apart() -> None:
    page = "```sh slow\na b \\\n  c  # why\n\nd 'e # f'  # exit code 3\n```\n```yaml x.yaml\nk: 1\n```\n"
    first, second = blocks(page)
    assert (first.language, first.mark, second) == ("sh", "slow", Block(language="yaml", mark="x.yaml", text="k: 1\n"))
    assert [command.words for command in commands(first)] == [("a", "b", "c"), ("d", "e # f")]
    assert [command.code for command in commands(first)] == [0, 3]


def test_what_a_command_reads_is_no_command() -> None:
    (block,) = blocks("```sh\ncat > x <<END\nit's no command\nEND\na b\n```\n")
    assert [command.words for command in commands(block)] == [("cat", ">", "x"), ("a", "b")]


def test_the_script_stops_where_a_command_ends_otherwise(tmp_path: Path) -> None:
    page = "```sh\nfalse  # exit code 1\ntouch a\ntrue  # exit code 1\ntouch b\n```\n```sh elsewhere\ntouch c\n```\n"
    assert subprocess.run(["sh", "-c", script(page)], cwd=tmp_path, check=False).returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def _small_images(root: Path) -> None:
    """What the fast commands need of the tutorial's data: class folders of a few images."""
    rng = np.random.default_rng(1)
    for digit in "38":
        (root / digit).mkdir(parents=True)
        for number in range(5):
            Image.fromarray(rng.integers(256, size=(8, 8), dtype=np.uint8)).save(root / digit / f"{number}.png")


def _run(command: Command) -> None:
    assert command.words[0] == "gatekeeper", "what needs a shell is marked slow"
    ran = gatekeeper(*command.words[1:])
    assert ran.code == command.code, f"{command}: {ran.stderr}"


def test_the_tutorials_quick_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _small_images(tmp_path / "images")
    ran, exported = 0, list[list[str]]()
    for block in blocks(TUTORIAL):
        if block.language == "yaml" and block.mark:
            Path(block.mark).write_text(block.text, encoding="utf-8")
        elif block.language == "sh" and block.mark is None:
            for command in commands(block):
                if command.words[0] == "export":
                    exported.append(command.words[1].split("=", 1))
                    continue
                for name, value in exported:  # a command forgets the passphrase that it has read
                    monkeypatch.setenv(name, value)
                _run(command)
                ran += 1
    assert ran >= 9
    assert Path("policy.lock.yaml").exists()


@pytest.mark.slow
def test_the_tutorial_works_from_top_to_bottom(tmp_path: Path) -> None:
    bin_directory = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_directory}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", script(TUTORIAL)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert re.search(r"^VERIFIED release$", done.stdout, flags=re.MULTILINE)
    points = json.loads((tmp_path / "frontier" / "frontier.json").read_text(encoding="utf-8"))["points"]
    assert [point["outcome"] for point in points] == ["refused", "approved"]


@pytest.mark.slow
def test_what_epsilon_promises_is_what_the_calculator_says() -> None:
    page = (ROOT / "docs" / "threat-models.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (8|1e\d+) \| (\S+) \| (\S+) % \| (\S+) \| (\S+) \|$", page, flags=re.MULTILINE)
    assert len(rows) == 5
    for epsilon, noise, picked, one_step, all_steps in rows:
        setting = ("--units", "8000", "--expected-batch", "256", "--epochs", "50", "--delta", "1e-6")
        ran = gatekeeper("budget", *setting, "--epsilon", epsilon, "--pixels", "3x64x64", "--format", "json")
        answer = json.loads(ran.stdout)
        risk = answer["risk"]
        assert noise == f"{answer['noise_multiplier']:.4g}"
        assert 0 <= float(picked) - 100 * risk["worst_case"]["value"] < 0.1  # an upper bound stays one
        assert one_step == f"{risk['realistic_one_step']['median_ncc']:.3f}"
        assert all_steps == f"{risk['realistic_all_steps']['median_ncc']:.3f}"
