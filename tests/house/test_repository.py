"""What the repository holds: the agreed top level, public registries only, nobody's machine, working scripts."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.house.source import PACKAGES, ROOT, pyproject, tracked_files
from tests.servers import require

TOP_LEVEL = {
    *PACKAGES,
    *("tests", "benchmarks", "docs", "deploy", "screenshots"),
    *("pyproject.toml", "uv.lock", "README.md", "Makefile", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"),
    *(".ci", ".gitignore", ".gitattributes", ".editorconfig", ".pre-commit-config.yaml"),
}
PUBLIC_HOSTS = {"pypi.org", "files.pythonhosted.org"}
# Each in two halves, so that this file does not hold what it looks for.
FOREIGN = [
    "".join(halves)
    for halves in (
        ("/wo", "rk/"),
        ("/opt/", "pypi"),
        ("/opt/", "wheels"),
        ("/root", "/."),
        (".py", "env"),
        ("sub", "agent"),
        ("sub-", "agent"),
        ("cla", "ude"),
        ("anth", "ropic"),
        ("open", "ai"),
        ("chat", "gpt"),
        ("co-authored", "-by"),
        ("b-", "seed"),
    )
]
MAKE_TARGETS = {"run", "test", "check", "test-cluster", "bench", "screenshots"}


def text_of(file: Path) -> str:
    return file.read_bytes().decode("utf-8", errors="ignore").lower()


def test_the_top_level_is_the_agreed_one() -> None:
    assert {file.relative_to(ROOT).parts[0] for file in tracked_files()} - TOP_LEVEL == set()


@pytest.mark.parametrize("word", FOREIGN)
def test_nothing_of_the_place_it_was_written_in(word: str) -> None:
    assert [str(file.relative_to(ROOT)) for file in tracked_files() if word in text_of(file)] == []


def test_the_lock_names_the_public_registry_alone() -> None:
    links = re.findall(r'https?://[^"\s]+', (ROOT / "uv.lock").read_text(encoding="utf-8"))
    assert {urlsplit(link).hostname for link in links} == PUBLIC_HOSTS


def test_no_index_is_configured() -> None:
    uv = pyproject()["tool"].get("uv", {})
    assert {"index", "index-url", "extra-index-url", "find-links"} & set(uv) == set()


def test_the_lock_is_of_this_pyproject() -> None:
    lock = (ROOT / "uv.lock").read_text(encoding="utf-8")
    for requirement in pyproject()["project"]["dependencies"]:
        name = re.match(r"[\w.-]+", requirement)
        assert name
        assert f'\nname = "{name[0]}"\n' in lock


@pytest.mark.parametrize("script", ["setup", "servers", "run"])
def test_a_script_reads_and_may_run(script: str) -> None:
    file = ROOT / ".ci" / script
    assert file.stat().st_mode & 0o111
    shell = file.read_text(encoding="utf-8").splitlines()[0].split("/")[-1].split()[-1]
    assert subprocess.run([shell, "-n", file], check=False).returncode == 0


def test_make_alone_lists_its_targets() -> None:
    listed = subprocess.run([require("make"), "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(re.findall(r"^make ([\w-]+)", listed.stdout, flags=re.MULTILINE)) >= MAKE_TARGETS


def test_setup_refuses_what_it_does_not_know() -> None:
    done = subprocess.run([ROOT / ".ci/setup", "everything"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "setup: usage: .ci/setup run|dev\n")
