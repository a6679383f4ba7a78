"""The commands of documentation pages, taken from their code blocks, so that a test can run what a reader types.

A block's first line says what becomes of it:

    ```sh                   run by the fast tests and by the slow ones
    ```sh slow              run by the slow tests alone: it trains, or builds on what was trained
    ```sh elsewhere         run by nobody: it needs data, hardware or a service that a test doesn't have
    ```python slow          the same of Python
    ```yaml policy.yaml     a file that the reader saves under that name

A comment `# exit code 1` at the end of a command says how it ends; otherwise it ends with 0.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(r"^```(\w+)(?: +(\S+))? *\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_HERE_DOCUMENT = re.compile(r"^(.*)<<-? *['\"]?(\w+)['\"]?\n.*?^\2$\n?", flags=re.MULTILINE | re.DOTALL)
_EXIT_CODE = re.compile(r"# exit code (\d+)")
_END = "END_OF_THE_BLOCK"


@dataclass(frozen=True, kw_only=True)
class Block:
    """A code block: its language, what stands behind that, and its text."""

    language: str
    mark: str | None
    text: str


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of a page, as a shell takes it apart, and the exit code that the page promises."""

    words: tuple[str, ...]
    code: int

    def __str__(self) -> str:
        return " ".join(self.words)


def blocks(page: str) -> list[Block]:
    """Every code block of a page, in its order."""
    return [Block(language=found[1], mark=found[2], text=found[3]) for found in _BLOCK.finditer(page)]


def commands(block: Block) -> Iterator[Command]:
    """The commands of a shell block that has one on each line; what a command reads from the block is none."""
    text = _HERE_DOCUMENT.sub(r"\1\n", block.text.replace("\\\n", " "))
    for line in text.splitlines():
        words, code = shlex.split(line, comments=True), _EXIT_CODE.search(line)
        if words:
            yield Command(words=tuple(words), code=int(code[1]) if code else 0)


def script(page: str) -> str:
    """A shell script that does what a page says, from top to bottom, and stops where something ends otherwise."""
    return "set -eu\n" + "".join(_scripted(block) for block in blocks(page) if block.mark != "elsewhere")


def _scripted(block: Block) -> str:
    if block.language == "yaml" and block.mark:
        return f"cat > {block.mark} <<'{_END}'\n{block.text}{_END}\n"
    if block.language == "python":
        return f"python - <<'{_END}'\n{block.text}{_END}\n"
    return _checked(block.text) if block.language == "sh" else ""


def _checked(text: str) -> str:
    """A block whose commands end as their comments say."""
    failing = re.compile(r"^(.*?)\s+# exit code (\d+).*$", flags=re.MULTILINE)
    return failing.sub(r"code=0; \1 || code=$?; test $code -eq \2", text)
