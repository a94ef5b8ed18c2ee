"""The wheel holds the four packages, all of their files, and nothing else."""

from __future__ import annotations

import configparser
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import fleet
from tests.house.source import PACKAGES, ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"]))
    return zipfile.Path(built)


def names(wheel: zipfile.Path) -> set[str]:
    return {name for name in wheel.root.namelist() if not name.endswith("/")}


def product_files() -> set[str]:
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*"))
    return {
        str(file.relative_to(ROOT)) for file in files if file.is_file() and "__pycache__" not in file.parts
    }


def metadata(wheel: zipfile.Path) -> zipfile.Path:
    return wheel / f"quarterdeck-{fleet.__version__}.dist-info"


def test_its_top_level_names_are_the_packages(wheel: zipfile.Path) -> None:
    top = {name.partition("/")[0] for name in names(wheel)}
    assert top == {*PACKAGES, metadata(wheel).name}


def test_every_file_of_the_packages_is_in_it(wheel: zipfile.Path) -> None:
    shipped = {name for name in names(wheel) if name.startswith(tuple(f"{package}/" for package in PACKAGES))}
    assert shipped == product_files()


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_find_its_types(wheel: zipfile.Path, package: str) -> None:
    assert f"{package}/py.typed" in names(wheel)


def test_the_styles_are_in_it(wheel: zipfile.Path) -> None:
    styles = {name for name in names(wheel) if name.endswith(".tcss")}
    assert styles


def test_it_brings_both_commands(wheel: zipfile.Path) -> None:
    scripts = configparser.ConfigParser()
    scripts.read_string((metadata(wheel) / "entry_points.txt").read_text(encoding="utf-8"))
    assert dict(scripts["console_scripts"]) == {
        "quarterdeck": "tui.__main__:main",
        "kubectl-quarterdeck": "tui.__main__:main",
    }


def test_it_carries_the_license(wheel: zipfile.Path) -> None:
    assert (metadata(wheel) / "licenses" / "LICENSE").read_text(encoding="utf-8") == Path(
        ROOT, "LICENSE"
    ).read_text()
