"""Each rule of `tests.house.rules` catches what it is for, and the product keeps them all."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house import rules
from tests.house.source import ROOT, module_name, parsed, product_files, tracked_files

LONGEST = 450
WIRING = ROOT / "tui/wiring.py"


def where(file: Path, line: int) -> str:
    return f"{file.relative_to(ROOT)}:{line}"


def python_files() -> list[Path]:
    return sorted({*product_files(), *(file for file in tracked_files() if file.suffix == ".py")})


@pytest.mark.parametrize(
    "caught",
    [
        "except Exception:",
        "except:",
        "except BaseException as e:",
        "except (OSError, Exception):",
        "except builtins.Exception:",
    ],
)
def test_a_broad_except_is_found(caught: str) -> None:
    tree = ast.parse(f"try:\n    x()\n{caught}\n    pass\n")
    assert list(rules.broad_excepts(tree)) == [3]


def test_a_broad_suppress_is_found() -> None:
    tree = ast.parse("with contextlib.suppress(Exception):\n    x()\n")
    assert list(rules.broad_excepts(tree)) == [1]


def test_a_named_except_is_free() -> None:
    tree = ast.parse("try:\n    x()\nexcept (OSError, ValueError):\n    pass\n")
    assert list(rules.broad_excepts(tree)) == []


@pytest.mark.parametrize(
    ("source", "use"),
    [
        ("from datetime import datetime\ndatetime.now(UTC)", "datetime.datetime.now"),
        ("import datetime as dt\ndt.datetime.utcnow()", "datetime.datetime.utcnow"),
        ("from datetime import date\ndate.today()", "datetime.date.today"),
        ("import time\nf(clock=time.monotonic)", "time.monotonic"),
        ("from time import time_ns as t\nt()", "time.time_ns"),
        ("import random\nrandom.shuffle(x)", "random.shuffle"),
        ("import random\nrandom.Random()", "random.Random()"),
        ("from uuid import uuid4\nuuid4()", "uuid.uuid4"),
        ("import asyncio\nasyncio.sleep(0.1)", "asyncio.sleep"),
    ],
)
def test_time_and_chance_that_nobody_handed_in_are_found(source: str, use: str) -> None:
    assert (use, 2) in list(rules.uninjected(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "import random\nrandom.Random(7)",
        "def f(chance: random.Random): ...\nimport random",
        "import asyncio\nasyncio.sleep(0)",
        "from datetime import datetime\ndatetime.fromisoformat(x)",
        "clock.now()",
        "import time\ntime.strptime(x)",
    ],
)
def test_what_was_handed_in_is_free(source: str) -> None:
    assert list(rules.uninjected(ast.parse(source))) == []


def test_a_name_that_says_nothing_is_found() -> None:
    tree = ast.parse("class NodeManager: ...\ndef handle_key(): ...\n")
    assert [name for name, _ in rules.worn_out_names("fleet.utils", tree)] == [
        "fleet.utils",
        "NodeManager",
        "handle_key",
    ]


def test_a_banner_is_found_and_a_comment_is_not() -> None:
    assert list(rules.banners("# ------\n# why\nx = 1  # ----\n    #=====\n")) == [1, 4]


def test_nobody_catches_everything() -> None:
    assert [where(file, line) for file in python_files() for line in rules.broad_excepts(parsed(file))] == []


def test_only_wiring_takes_time_and_chance_from_the_machine() -> None:
    files = [file for file in product_files() if file != WIRING]
    found = [f"{where(file, line)} {use}" for file in files for use, line in rules.uninjected(parsed(file))]
    assert found == []


def test_names_say_what_a_thing_is() -> None:
    found = [
        f"{where(file, line)} {name}"
        for file in product_files()
        for name, line in rules.worn_out_names(module_name(file), parsed(file))
    ]
    assert found == []


def test_no_section_banners() -> None:
    found = [
        where(file, line)
        for file in python_files()
        for line in rules.banners(file.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_every_module_says_why_it_exists() -> None:
    assert [where(file, 1) for file in product_files() if not ast.get_docstring(parsed(file))] == []


def test_no_file_is_a_hall() -> None:
    lengths = {where(file, 1): len(file.read_text(encoding="utf-8").splitlines()) for file in product_files()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}
