"""The source tree as the house tests see it: discovered, so that a new module is held to the rules unasked."""

from __future__ import annotations

import ast
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fleet", "backends", "widgets", "tui")
LEFT_BY_TOOLS = {
    *(".git", ".venv", "dist", "__pycache__"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".import_linter_cache", ".hypothesis"),
}


def product_files() -> list[Path]:
    """Every Python file that users get."""
    return sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules_of(package: str) -> list[str]:
    return sorted(module_name(file) for file in (ROOT / package).rglob("*.py"))


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


@cache
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def tracked_files() -> list[Path]:
    """What the repository holds; outside a clone, or without git, everything that no tool left behind."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        return sorted(_walk(ROOT))
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def _walk(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.is_file():
            yield entry
        elif entry.name not in LEFT_BY_TOOLS:
            yield from _walk(entry)


def imported(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """Each import as (local name, dotted name it stands for, line)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.partition(".")[0]
                yield local, alias.name if alias.asname else local, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}", node.lineno


def imported_modules(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Each module that an import statement names, in full, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno


def dotted(node: ast.AST, names: dict[str, str]) -> str | None:
    """What an expression such as `dt.now` stands for in full, given what was imported under which name."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, names)
        return f"{base}.{node.attr}" if base else None
    return None
