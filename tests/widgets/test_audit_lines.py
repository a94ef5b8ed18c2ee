"""The audit trail at every width: nothing wider than the terminal, what goes on hangs below the time, no text is lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fleet.journal import Kind, Record
from tests.builders import NOW
from widgets.audit_lines import audit_lines
from widgets.fitting import width_of

LONG = "evicted 14 pods; budget research/llm-pretrain let none go for 12 minutes, then the deadline passed"


def record(kind: Kind = Kind.OUTCOME, days: int = 0, **fields: Any) -> Record:
    given = {
        "verb": "drain",
        "node": "gpu-h100-001.rack7.dc1.example",
        "state": "failed",
        "says": LONG,
        **fields,
    }
    return Record(NOW - timedelta(days=days), kind, "20260301-0300-a1b2c3d4", "oncall@desk", **given)


def text(width: int, *records: Record) -> list[str]:
    lines = ["".join(part for part, _ in line).rstrip() for line in audit_lines(records, width)]
    assert all(width_of(line) <= width for line in lines)
    return lines


@pytest.mark.parametrize("width", [40, 80, 109, 110, 120, 200])
def test_a_record_fits_any_width_and_loses_no_word(width: int) -> None:
    day, *rest = text(width, record())
    assert day == "2026-03-01, Sunday"
    assert rest[0].startswith("  03:00:00  failed")
    assert all(line.startswith("            ") for line in rest[1:])
    words = " ".join(" ".join(rest).split())
    assert LONG in words
    assert "by oncall@desk, 20260301-0300-a1b2c3d4" in words


def test_a_day_has_its_heading_once() -> None:
    told = text(120, record(says="b"), record(says="a"), record(days=1, says="c"))
    assert [line for line in told if line[:2] == "20"] == ["2026-03-01, Sunday", "2026-02-28, Saturday"]


def test_an_intent_is_told_by_its_outcome() -> None:
    assert text(120, record(Kind.INTENT)) == []


def test_markup_and_escapes_stay_texts() -> None:
    told = "".join(text(80, record(node="[bold]x[/]", says="\x1b[31mred" + "a" * 5000)))
    assert "[bold]x[/]" in told
    assert "\x1b" not in told
