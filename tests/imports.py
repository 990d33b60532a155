"""Which files of the project a module imports, directly or not, wherever in it."""

import ast
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent


def project_files(module: str, is_silent: Callable[[str], bool] = lambda _: False) -> set[str]:
    """`module`'s own file and all that it needs, as paths from the project's folder.

    Empty files are left out, because nothing can be edited in them. So are silent files, and
    what only these need.
    """
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if name in found or path is None or is_silent(path.relative_to(ROOT).as_posix()):
            continue
        found[name] = path
        waiting.append(name.rpartition(".")[0])  # a package's __init__ runs first
        waiting += imported_names(path)
    return {path.relative_to(ROOT).as_posix() for path in found.values() if path.stat().st_size}


def imported_names(path: Path) -> list[str]:
    """The names of all modules that a file imports, of which some may be functions or classes."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _file(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split(".")) if module else ROOT / "none"
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)
