"""docs/slurm.md shows the tables that the code reads by."""

from __future__ import annotations

from pathlib import Path

from backends.slurm.holders import PROGRAMS
from backends.slurm.states import SUFFIXES, table

TEXT = (Path(__file__).parents[3] / "docs" / "slurm.md").read_text()


def test_the_state_table_in_the_docs_is_the_one_that_is_read_by() -> None:
    assert table() in TEXT


def test_every_suffix_and_every_program_is_in_the_docs() -> None:
    missing = [f"`{suffix}` {flag}" for suffix, flag in SUFFIXES.items() if f"`{suffix}` {flag}" not in TEXT]
    missing += [prefix for prefix, program in PROGRAMS if f"| `{prefix}` | {program} |" not in TEXT]
    assert missing == []
