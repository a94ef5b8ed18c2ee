"""What the journal tells on the command line: columns with a heading, and times that say their zone."""

from __future__ import annotations

from argparse import Namespace
from datetime import timedelta, timezone

import pytest

from fleet.journal import Kind, Record
from tests.builders import NOW
from tests.fakes import MemoryJournal
from tui.headless.history import audit
from tui.headless.shapes import record_shape


def _record(state: str, says: str) -> Record:
    """An outcome at two in the morning, UTC plus two."""
    at = NOW.replace(hour=2, minute=30).astimezone(timezone(timedelta(hours=2)))
    return Record(at, Kind.OUTCOME, "qd-1", "oncall@desk", "cordon", node="h100-001", state=state, says=says)


async def _told(record: Record, capsys: pytest.CaptureFixture[str], *, json: bool = False) -> str:
    journal = MemoryJournal()
    await journal.append([record])
    await audit(journal, Namespace(json=json, limit=10))
    return capsys.readouterr().out


async def test_the_audit_has_a_heading_and_its_times_are_utc(capsys: pytest.CaptureFixture[str]) -> None:
    head, line = (await _told(_record("done", "cordoned"), capsys)).splitlines()
    assert head.split() == ["TIME", "(UTC)", "BY", "OPERATION", "RECORD", "VERB", "NODE", "STATE", "SAYS"]
    assert line[head.index("TIME") :].startswith(f"{NOW:%Y-%m-%d} 02:30:00  oncall@desk  qd-1")
    assert line[head.index("NODE") :].startswith("h100-001")
    assert line[head.index("SAYS") :] == "cordoned"


async def test_an_audited_word_of_many_lines_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    told = (await _told(_record("failed", "no\nway\x1b[31m"), capsys)).splitlines()
    assert len(told) == 2
    assert "\x1b" not in told[1]


async def test_the_audit_as_json_is_the_record_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    told = await _told(_record("done", "cordoned"), capsys, json=True)
    assert '"at": "' + str(record_shape(_record("done", "cordoned"))["at"]) in told
    assert "TIME" not in told
