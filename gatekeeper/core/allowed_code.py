"""Imports a user's package from exactly the bytes that the policy allows.

A digest of one file says nothing of the files that it imports. So every file of the factory's own package has to
be allowed, its `__init__.py` too unless it is empty: whatever is imported from that package, now or later, is
found here, read once, digested, and run from the bytes that were digested. What other packages are installed is the
affair of whoever runs the gate, as torch is.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from gatekeeper.core.code import CodeFile
from gatekeeper.errors import DataError, GatekeeperError, UnsupportedModelError

T = TypeVar("T")

_INIT = "__init__.py"

Refusal = type[UnsupportedModelError] | type[DataError]
"""What code that may not run is: a network's, or a data set's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedCode:
    """A module, and the files of its package that ran for it.

    Attributes:
        module: the module itself.
        ran: the list that further files join, where a function imports them only when it is called.
    """

    module: ModuleType
    ran: list[CodeFile]

    @property
    def files(self) -> tuple[CodeFile, ...]:
        """The files that have run by now, in that order."""
        return tuple(self.ran)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedFunction:
    """A function of the user's, and the code that it comes from.

    Attributes:
        function: the function.
        code: its module, and the files that ran for it.
    """

    function: Callable[..., object]
    code: ImportedCode


def import_function(factory: str, *, allow: tuple[CodeFile, ...], refusal: Refusal) -> ImportedFunction:
    """A function of the user's, and what ran to define it.

    Args:
        factory: `package.module:function`, or `path/to/file.py:function`, relative to the working directory.
        allow: what the policy allows.
        refusal: what is raised where the code may not run, or isn't there.

    Raises:
        UnsupportedModelError, DataError: as `refusal` says; also where importing fails.
    """
    place, _, name = factory.rpartition(":")
    imported = guarded(factory, lambda: _import(place, allow, refusal, factory=factory), refusal=refusal)
    function = getattr(imported.module, name, None)
    if not callable(function):
        raise refusal(f"{place} has no function {name}", where=factory)
    return ImportedFunction(function=function, code=imported)


def guarded(factory: str, action: Callable[[], T], *, refusal: Refusal) -> T:
    """What foreign code returns; whatever it raises is the candidate's fault, not a bug of gatekeeper's."""
    try:
        return action()
    except GatekeeperError:
        raise
    except (Exception, SystemExit) as error:  # nor may it end the process as if all were done
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise refusal(
            f"the factory {factory} failed: {type(error).__name__}: {error}", where=f"{last.filename}:{last.lineno}"
        ) from error


def _import(place: str, allow: tuple[CodeFile, ...], refusal: Refusal, *, factory: str) -> ImportedCode:
    if place.endswith(".py"):
        return import_file(Path(place), allow=allow, refusal=refusal)
    try:
        return import_module(place, allow=allow, refusal=refusal)
    except _NoSourceError as error:
        hint = "install its package, or name a file, from the working directory on: path/to/file.py:function"
        raise refusal(f"there is {error.msg}", where=factory, hint=hint) from error


def import_module(name: str, *, allow: tuple[CodeFile, ...], refusal: Refusal = UnsupportedModelError) -> ImportedCode:
    """A module that lies on Python's path.

    Args:
        name: its dotted name.
        allow: what the policy allows.
        refusal: what is raised.

    Raises:
        UnsupportedModelError, DataError: the module isn't there, a file isn't allowed, or the package is gatekeeper's.
    """
    package = name.partition(".")[0]
    roots = tuple(Path(entry) for entry in sys.path if entry)
    return _imported(name, _AllowedFinder(package, roots=roots, file=None, allow=allow, refusal=refusal))


def import_file(path: Path, *, allow: tuple[CodeFile, ...], refusal: Refusal = UnsupportedModelError) -> ImportedCode:
    """A file as a module of its own, which the policy knows by the file's name.

    Raises:
        UnsupportedModelError, DataError: as `import_module`; or the file's name can't be a module's.
    """
    if not path.stem.isidentifier():
        raise refusal(f"{path.name} can't be imported: its name is none in Python", where=str(path))
    return _imported(path.stem, _AllowedFinder(path.stem, roots=(), file=path, allow=allow, refusal=refusal))


class _NoSourceError(ModuleNotFoundError):
    """A module of the package that isn't there; that of another package is Python's own error."""


class _AllowedFinder(MetaPathFinder):
    """Finds the modules of one package; those of others are left to Python."""

    def __init__(
        self,
        package: str,
        *,
        roots: tuple[Path, ...],
        file: Path | None,
        allow: tuple[CodeFile, ...],
        refusal: Refusal,
    ) -> None:
        self.package = package
        self.refusal = refusal
        self.ran: list[CodeFile] = []
        self._roots = roots
        self._file = file
        self._allow = allow

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a module of the package lies, and its bytes, which must be allowed."""
        if fullname.partition(".")[0] != self.package:
            return None
        location = self._file or _locate(fullname, self._roots)
        if location is None or (self._file and fullname != self.package):
            raise _NoSourceError(f"no source file of a module named {fullname!r}", name=fullname)
        is_package = location.name == _INIT or location.is_dir()
        content = b"" if location.is_dir() else location.read_bytes()
        if not is_package or content.strip():
            self._check(location.name if self._file else fullname, content, location)
        spec = spec_from_loader(fullname, _BytesLoader(content), origin=str(location), is_package=is_package)
        if spec is None:
            return None
        spec.has_location = not location.is_dir()  # gives the module its __file__
        if is_package:
            spec.submodule_search_locations = [str(location if location.is_dir() else location.parent)]
        return spec

    def _check(self, name: str, content: bytes, location: Path) -> None:
        code = CodeFile(name=name, sha256=hashlib.sha256(content).hexdigest())
        if code not in self._allow:
            raise self.refusal(
                f"the policy doesn't allow the code of {name}",
                where=str(location),
                hint=f'whoever answers for the policy may, having read it, add to spec.allow_code: "{code}"',
            )
        self.ran.append(code)


class _BytesLoader(Loader):
    """Runs a module from bytes in hand: the file may have changed since."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's source."""
        origin = module.__spec__.origin if module.__spec__ else None
        exec(compile(self._content, origin or "<factory>", "exec", dont_inherit=True), module.__dict__)


def _imported(name: str, finder: _AllowedFinder) -> ImportedCode:
    """Import `name` through `finder`, which stays: what the package imports later is checked as well."""
    _forget(finder.package)
    if finder.package in sys.modules or finder.package in sys.stdlib_module_names:
        raise finder.refusal(
            f"{finder.package} is a package that gatekeeper itself uses",
            hint="write a module of your own, which may import it",
        )
    sys.meta_path.insert(0, finder)
    try:
        module = importlib.import_module(name)
    except BaseException:
        _forget(finder.package)
        raise
    return ImportedCode(module=module, ran=finder.ran)


def _forget(package: str) -> None:
    """Undo an earlier import of the same package through a finder of ours."""
    for finder in [f for f in sys.meta_path if isinstance(f, _AllowedFinder) and f.package == package]:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[name]


def _locate(fullname: str, roots: tuple[Path, ...]) -> Path | None:
    """A module's file as Python would find it: `module.py`, a package's `__init__.py`, or a folder without one."""
    *parents, last = fullname.split(".")
    for parent in parents:
        location = _locate(parent, roots)
        if location is None or (location.suffix == ".py" and location.name != _INIT):
            return None
        roots = (location if location.is_dir() else location.parent,)
    folders = [root / last for root in roots]
    for folder in folders:
        for file in (folder / _INIT, folder.with_name(f"{last}.py")):
            if file.is_file():
                return file
    return next((folder for folder in folders if folder.is_dir()), None)
