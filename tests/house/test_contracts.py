"""The import contracts hold, and each of them catches the violation it is there for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import PACKAGES, ROOT, imported_modules, module_name, modules_of, parsed, pyproject

CONTRACTS = {contract["name"] for contract in pyproject()["tool"]["importlinter"]["contracts"]}
LAYERS = "Layers: the application over paint and edge, which are strangers, over the domain"
PLANTED = [
    (LAYERS, "fleet/planted.py", "import tui"),
    (LAYERS, "backends/simulated/planted.py", "import widgets"),
    (LAYERS, "widgets/planted.py", "import backends.simulated"),
    (LAYERS, "widgets/planted.py", "import tui"),
    ("Only tui.wiring names a backend", "tui/planted.py", "import backends.simulated"),
    ("The domain stands on the standard library alone", "fleet/planted.py", "import msgspec"),
    ("The edge knows nothing of the screen", "backends/simulated/planted.py", "from textual.app import App"),
    ("Backends are strangers to each other", "backends/planted.py", "import backends.simulated"),
]
CLIENTS = {
    "kubernetes": {"backends.kubernetes"},
    "prometheus_api_client": {"backends.prometheus"},
    "pynvml": {"backends.nvml"},
}
"""Who may import a client: the one backend that translates it."""
PAINTERS = {"rich", "textual", *PACKAGES}
APPLICATION = {*PAINTERS, "platformdirs"}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", program, "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_every_contract_holds() -> None:
    linted = lint(ROOT)
    assert linted.returncode == 0, linted.stdout
    assert f"{len(CONTRACTS)} kept, 0 broken" in linted.stdout


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("contract", "file", "line"), PLANTED)
def test_a_planted_violation_is_caught(copied: Path, contract: str, file: str, line: str) -> None:
    (copied / file).write_text(f'"""Planted."""\n\n{line}\n')
    linted = lint(copied)
    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert f"{contract} BROKEN" in " ".join(linted.stdout.split())


def test_every_contract_has_its_planted_violation() -> None:
    assert {contract for contract, _, _ in PLANTED} == CONTRACTS


def outside(package: str) -> list[tuple[str, str]]:
    """(importer, top-level name) for everything that a package imports from elsewhere but the standard library."""
    files = {module_name(file): file for file in (ROOT / package).rglob("*.py")}
    found = {
        (importer, module.partition(".")[0])
        for importer, file in files.items()
        for module, _ in imported_modules(parsed(file))
    }
    return sorted((importer, top) for importer, top in found if top not in sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("package", "allowed"),
    [("fleet", {"fleet"}), ("widgets", PAINTERS - {"tui", "backends"}), ("tui", APPLICATION)],
)
def test_a_package_imports_only_what_it_may(package: str, allowed: set[str]) -> None:
    assert [(importer, top) for importer, top in outside(package) if top not in allowed] == []


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_a_client_is_known_to_its_own_backend_alone(client: str) -> None:
    strangers = [
        module
        for package in PACKAGES
        for module in modules_of(package)
        for name, _ in imported_modules(parsed(_file_of(module)))
        if name.partition(".")[0] == client and not any(module.startswith(home) for home in CLIENTS[client])
    ]
    assert strangers == []


def _file_of(module: str) -> Path:
    path = ROOT / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
