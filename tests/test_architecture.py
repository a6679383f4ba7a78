"""The dependency rules, executed on the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gatekeeper"
STAGES = {
    "config",
    "data",
    "privacy",
    "ledger",
    "training",
    "evaluation",
    "audit",
    "cache",
    "gate",
    "export",
    "signing",
    "report",
    "rundir",
    "tracking",
}

# Where each heavy third party may be imported: prefixes of module paths.
HOMES = {
    "torch": ("training", "audit.attacks", "export"),
    "opacus": ("training",),
    "onnx": ("export", "evaluation"),
    "onnxruntime": ("export", "evaluation"),
    "yaml": ("config",),
    "cryptography": ("signing", "training", "cache"),
    "rfc3161_client": ("signing",),
    "securesystemslib": ("signing",),
    "mpmath": ("training",),
    "mlflow": ("tracking.server",),
    "requests": ("tracking.server",),
    "google": ("tracking.server",),
    "matplotlib": ("report.frontier_plot", "report.html.plots"),
    "jinja2": ("report.html.rendering",),
    "markupsafe": ("report.html",),
    "click": ("cli",),
    "rich": ("cli", "report"),
    "PIL": ("data", "audit.contact_sheet"),
    "nibabel": ("data",),
    "pydicom": ("data",),
    "sklearn": ("data",),
    "safetensors": ("training",),
    "sqlalchemy": ("ledger",),
    "numpy": ("data", "privacy", "training", "evaluation", "audit", "export"),
    "scipy": ("privacy", "training", "evaluation", "audit"),
}


def _modules() -> list[tuple[str, Path]]:
    return [
        (".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"), path)
        for path in sorted(PACKAGE.rglob("*.py"))
    ]


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if not _is_type_checking(child):
            yield child
            yield from _walk(child)


def _imports(path: Path) -> set[str]:
    """Every module that a file imports at run time, at any depth of nesting."""
    found = set()
    for node in _walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or ""}
            if node.module == "gatekeeper":
                found |= {f"gatekeeper.{alias.name}" for alias in node.names}
    return found


def _own(imports: set[str]) -> set[str]:
    """The top-level parts of gatekeeper among imports."""
    return {name.split(".")[1] for name in imports if name.startswith("gatekeeper.")}


def _under(module: str, homes: tuple[str, ...]) -> bool:
    return any(module == home or module.startswith(home + ".") for home in homes)


MODULES = _modules()


@pytest.mark.parametrize(("module", "path"), MODULES, ids=[module or "gatekeeper" for module, _ in MODULES])
def test_dependencies_follow_the_rules(module: str, path: Path) -> None:
    imports = _imports(path)
    own, top = _own(imports), module.split(".")[0]
    third_party = {name.split(".")[0] for name in imports} - set(sys.stdlib_module_names) - {"gatekeeper"}
    if top in {"core", "errors", "version"}:
        assert not third_party
        assert own <= {"core", "errors"}
    elif top in STAGES:
        assert own <= {"core", "errors", top}, "a stage imports another"
    elif top == "pipeline":
        assert "cli" not in own
    elif top == "cli":
        assert own <= {"pipeline", "report", "core", "errors", "rundir", "version", "cli"}
    for name in third_party:
        assert _under(module, HOMES[name]), f"{name} is imported outside its home"


def test_the_gate_uses_the_standard_library_only() -> None:
    files = list((PACKAGE / "gate").glob("*.py"))
    assert files
    names = {name.split(".")[0] for file in files for name in _imports(file)}
    assert names <= set(sys.stdlib_module_names) | {"gatekeeper"}


def test_a_forbidden_import_would_be_seen(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text("def f():\n    from gatekeeper.training import loop\n    import torch\n")
    assert _own(_imports(sample)) == {"training"}
    assert "torch" in _imports(sample)


def _loaded(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after running `code`."""
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(result.stdout.split("\n"))


HELP = "from gatekeeper.cli.main import app, boundary; boundary(lambda: app({arguments}, standalone_mode=False))"

HEAVY = {"torch", "opacus", "onnx", "onnxruntime", "scipy.optimize", "scipy.stats", "sklearn"}


def test_help_loads_nothing_heavy() -> None:
    loaded = _loaded(HELP.format(arguments=["--help"]))
    assert not loaded & (HEAVY | {"numpy", "scipy", "yaml", "cryptography", "rich"})


@pytest.mark.parametrize(
    "command",
    [
        "certify",
        "verify",
        "policy",
        "candidate",
        "keys",
        "runs",
        "report",
        "sign",
        "init",
        "budget",
        "weights",
        "frontier",
        "explain",
        "refuse",
        "approve",
        "waiver",
        "trust",
        "timestamp",
        "check",
        "data",
        "mlflow",
    ],
)
def test_each_commands_help_loads_nothing_heavy(command: str) -> None:
    loaded = _loaded(HELP.format(arguments=[command, "--help"]))
    assert not loaded & (HEAVY | {"numpy", "scipy"})


def test_the_verification_path_loads_no_torch() -> None:
    loaded = _loaded(
        "import gatekeeper.pipeline.verification, gatekeeper.pipeline.judgement, gatekeeper.signing.verification\n"
        "import gatekeeper.pipeline.rejudging, gatekeeper.cache, gatekeeper.gate.rejudging\n"
        "import gatekeeper.privacy, gatekeeper.audit.bounds, gatekeeper.gate"
    )
    assert not loaded & HEAVY


def test_files_and_functions_stay_small() -> None:
    long_files, long_functions = [], []
    for module, path in MODULES:
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > 400:
            long_files.append(module)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                body = [n for n in node.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
                if body and (body[-1].end_lineno or 0) - body[0].lineno + 1 > 60:
                    long_functions.append(f"{module}.{node.name}")
    assert not long_files
    assert not long_functions


def test_no_name_of_a_machine_or_registry_is_in_the_tree() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    words = ["py" + "pi.org", "pytorch" + ".org/whl", "/ro" + "ot/", "/wo" + "rk/", "registry.np" + "mjs"]
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".yaml", ".toml", ".json", ""} and path.is_file():
            text = path.read_text(encoding="utf-8", errors="ignore")
            assert not [word for word in words if word in text], name
