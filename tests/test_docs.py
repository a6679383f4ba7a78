from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest

from gatekeeper.cli.main import app
from gatekeeper.core.adversary import REALISTIC, RELAXED, WEIGHTS_ONLY, WORST_CASE
from gatekeeper.core.data_spec import DATA_FORMATS
from gatekeeper.core.model_spec import Network
from gatekeeper.core.rule_names import worst_name
from gatekeeper.errors import GatekeeperError
from gatekeeper.pipeline.inputs import read_candidate, read_policy
from gatekeeper.report import render_text
from gatekeeper.report.implied_rules import implied_meanings
from tests.facts import sample_facts, sample_policy
from tests.hostile import report_of
from tests.page_commands import Command, blocks, commands

ROOT = Path(__file__).resolve().parent.parent
_HEAD = f"{'0' * 32}:3:{'0' * 64}"
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


def test_the_readme_shows_the_rules_and_adversaries_that_the_demo_prints() -> None:
    sample = next(block.text for block in blocks(README) if block.language == "text")
    policy = read_policy(ROOT / "policies" / "demo.yaml")
    worst = [worst_name(rule.id) for rule in policy.risk_rules if rule.worst_max is not None]
    found = [meaning.rule for meaning in implied_meanings(policy)] + [rule.id for rule in policy.rules] + worst
    shown = re.findall(r"^ PASS   (\S+)", sample, flags=re.MULTILINE)
    assert len(shown) == len(found)
    for name, real in zip(shown, found, strict=True):
        assert name == real or real.startswith(name.removesuffix("…")), name
    assert f"{len(found)} checks, {len(found)} passed" in sample
    for adversary in (WORST_CASE, RELAXED, *REALISTIC, WEIGHTS_ONLY):
        assert re.search(rf"^ {adversary.title}  ", sample, flags=re.MULTILINE), adversary.title


def test_the_readmes_sample_is_laid_out_as_a_report_is() -> None:
    sample = next(block.text for block in blocks(README) if block.language == "text").splitlines()
    report = render_text(report_of(sample_policy(), sample_facts()), width=200).splitlines()
    assert [len(line.split("·")) for line in sample[:2]] == [len(line.split("·")) for line in report[:2]]
    for first in ("rule", "adversary"):
        shown, real = (next(line for line in lines if line.split()[:1] == [first]) for lines in (sample, report))
        columns = [column for column in re.split(r"\s{2,}", shown.strip()) if column != "…"]
        assert re.split(r"\s{2,}", real.strip())[: len(columns)] == columns


def _pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _commands() -> Iterator[tuple[str, Command]]:
    """Every gatekeeper command in the shell blocks of every page."""
    for page in _pages():
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language == "sh":
                yield from ((page.name, each) for each in commands(block) if each.words[0].endswith("gatekeeper"))


@pytest.mark.parametrize(("page", "command"), list(_commands()), ids=str)
def test_commands_in_the_documents_parse(page: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")  # which docs/mlflow.md exports
    words = itertools.takewhile(lambda word: word not in {">", "|", "&&"}, command.words)
    name, *rest = [_HEAD if word == "ID:LENGTH:DIGEST" else word for word in words]
    assert name.removeprefix(".venv/bin/") == "gatekeeper"
    current: click.Command = app
    while isinstance(current, click.Group):
        name, *rest = rest
        current = current.commands[name]
    with contextlib.suppress(click.exceptions.Exit):  # options that print something and exit
        current.make_context(name, rest)


def _links(page: Path) -> list[tuple[Path, str]]:
    """Every file that a page links to, with the heading that it points at."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)]+)\)", text)
    parts = [target.partition("#") for target in targets if not target.startswith("http")]
    return [((page.parent / path).resolve() if path else page, anchor) for path, _, anchor in parts]


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", _pages(), ids=lambda page: page.name)
def test_links_in_the_documents_lead_somewhere(page: Path) -> None:
    for target, anchor in _links(page):
        assert target.exists(), target
        assert not anchor or anchor in _anchors(target), f"{target.name}#{anchor}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            waiting += [target for target, _ in _links(page)]
    assert set(_pages()) - reached == set(), "docs/index.md says which page answers what"


def test_the_files_and_tests_that_contributors_are_sent_to_exist() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:gatekeeper|tests|\.ci)/[\w./-]+)`", page)
    assert len(paths) > 40
    for path in paths:
        assert (ROOT / path.replace("NAME.py", "")).exists(), path


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


def test_every_variable_of_the_environment_that_is_ours_is_documented() -> None:
    page = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "gatekeeper" / "cli").glob("*.py"))
    named = {name for source in sources for name in re.findall(r"\"(GATEKEEPER_[A-Z_]+)\"", source)}
    assert len(named) >= 3
    assert {name for name in named if f"`{name}`" not in page} == set()


def test_every_package_is_described() -> None:
    for path in (ROOT / "gatekeeper").rglob("*.py"):
        assert path.read_text(encoding="utf-8").lstrip().startswith('"""'), path
