from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import click
import pytest

from gatekeeper.cli.main import app
from gatekeeper.core.data_spec import DATA_FORMATS
from gatekeeper.core.model_spec import Network
from gatekeeper.errors import GatekeeperError
from gatekeeper.pipeline.inputs import read_candidate, read_policy

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_names_every_command_and_none_that_is_not_there() -> None:
    table = set(re.findall(r"^\| `gatekeeper (\w+)", README, flags=re.MULTILINE))
    assert table == set(app.commands)


def test_every_command_and_option_has_help() -> None:
    def walk(command: click.Command) -> None:
        assert command.help, command.name
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name not in {"candidate", "policy"}:
                assert parameter.help, f"{command.name} {parameter.name}"
        if isinstance(command, click.Group):
            for sub in command.commands.values():
                walk(sub)

    walk(app)


def test_the_readme_names_every_data_format() -> None:
    assert set(re.findall(r"^\| `([\w-]+)` \|", README, flags=re.MULTILINE)) == set(DATA_FORMATS)


def test_the_readme_names_every_network() -> None:
    assert set(re.findall(r"^\| `network: ([\w-]+)` \|", README, flags=re.MULTILINE)) == set(get_args(Network))


def _commands(text: str) -> list[str]:
    """Every gatekeeper command in the shell blocks of a document, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line.removeprefix(".venv/bin/") for line in lines if "gatekeeper " in line and not line.startswith("pip")]


@pytest.mark.parametrize("line", _commands(README))
def test_commands_in_the_readme_parse(line: str) -> None:
    words = line.split()
    assert words[0] == "gatekeeper"
    command: click.Command = app
    rest = words[1:]
    while isinstance(command, click.Group):
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context(words[1], rest)


def test_links_in_the_documents_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("path", sorted((ROOT / "policies").glob("*.yaml")), ids=lambda path: path.name)
def test_every_ready_policy_loads(path: Path) -> None:
    assert read_policy(path).rules


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_candidate_loads(path: Path) -> None:
    assert read_candidate(path).name


def test_the_error_tree_in_the_docstring_is_the_real_one() -> None:
    import gatekeeper.errors as errors

    drawn = dict(re.findall(r"^[│├└─ ]*(\w+) +([\d*])  ", errors.__doc__ or "", flags=re.MULTILINE))
    real = {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, GatekeeperError)
    }
    assert set(drawn) == set(real)
    for name, code in drawn.items():
        assert code == "*" or int(code) == real[name].exit_code


def test_the_architecture_page_names_every_part() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    parts = {
        p.name + ("/" if p.is_dir() else "") for p in (ROOT / "gatekeeper").iterdir() if not p.name.startswith("_")
    }
    for part in parts - {"py.typed", "version.py"}:
        assert f"`{part}`" in page, part


def test_every_package_is_described() -> None:
    for path in (ROOT / "gatekeeper").rglob("*.py"):
        assert path.read_text(encoding="utf-8").lstrip().startswith('"""'), path
