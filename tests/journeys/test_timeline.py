"""A node's timeline on its screen: found by its key, filtered, turned round, and written to a file that is never written over."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from fleet.errors import Denied
from fleet.holder import Hold, HolderKind
from fleet.node import Condition, Node, NodeKey
from fleet.timeline import Entry, EntryKind, Weight
from tests.driver import Driver, at_the_desk
from tests.fakes import SOURCE
from tui.commands import (
    CORDON,
    OPEN,
    TIMELINE,
    TIMELINE_BACK,
    TIMELINE_KINDS,
    TIMELINE_LOCAL,
    TIMELINE_ORDER,
    TIMELINE_SPAN,
    TIMELINE_WRITE,
)
from tui.note_file import write_new

NODE = NodeKey(SOURCE, "h100-001")
FELL = "XID 79 (RC_GPU_HAS_FALLEN_OFF_THE_BUS) on GPU 3"


class Past:
    """A source of the past that tells one XID, or fails."""

    name = "Prometheus"

    def __init__(self, ago: timedelta | None) -> None:
        self._ago = ago
        self.asked: list[timedelta] = []

    async def past(self, node: Node, since: datetime, until: datetime) -> Sequence[Entry]:
        self.asked.append(until - since)
        if self._ago is None:
            raise Denied("events: list is not permitted", about="lab")
        return [
            Entry(
                until - self._ago,
                EntryKind.XID,
                FELL,
                "prometheus",
                weight=Weight.BAD,
                within=timedelta(minutes=6),
            )
        ]


async def open_timeline(at: Driver, past: Past, name: str = "h100-001") -> None:
    at.deck.chroniclers = (past,)
    await at.select(name)
    await at.press(TIMELINE)
    await at.sees(f"Timeline of {name}")
    await at.until(lambda: bool(past.asked), "the reading")


async def test_the_timeline_tells_what_was_done_what_was_seen_and_what_others_tell() -> None:
    async with at_the_desk((120, 40)) as at:
        await at.select("h100-001")
        await at.press(CORDON)
        await at.confirm("fan swap")
        await at.ended()
        await open_timeline(at, Past(timedelta(hours=2)))
        await at.sees(
            "cordon began: fan swap (plan ", "cordon ended: done", FELL, "or up to 6m before", "times in UTC"
        )
        assert at.text().index("cordon ended") < at.text().index(FELL) < at.text().index("gate PASS")
        await at.press(TIMELINE_ORDER)
        await at.sees("oldest first")
        assert at.text().index("gate PASS") < at.text().index(FELL)
        await at.press(TIMELINE_BACK)
        await at.sees_no("Timeline of")


async def test_a_change_that_is_seen_stays_on_the_timeline_after_it_went() -> None:
    async with at_the_desk() as at:
        lab = at.fleet.lab
        lab.change(NODE, holds=(Hold("NVSentinel", "fatal XID", HolderKind.CONTROLLER),))
        lab.show(NODE)
        lab.change(NODE, holds=())
        lab.show(NODE)
        await open_timeline(at, Past(None))
        await at.sees(
            "held by NVSentinel: fatal XID", "no longer held by NVSentinel", "not read", "events: list is not"
        )


async def test_one_kind_alone_is_shown_and_the_window_goes_round() -> None:
    async with at_the_desk() as at:
        past = Past(timedelta(hours=2))
        await open_timeline(at, past)
        await at.press(TIMELINE_KINDS)
        await at.sees("everything")
        await at.press("down", "enter")
        await at.sees("xid alone", FELL)
        assert "gate PASS" not in at.text()
        await at.press(TIMELINE_SPAN)
        await at.sees("last 30d")
        await at.until(lambda: past.asked[-1] == timedelta(days=30), "the longer reading")


async def test_a_note_is_written_to_a_new_file_and_its_path_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with at_the_desk((120, 40)) as at:
        await open_timeline(at, Past(timedelta(hours=2)))
        await at.sees(FELL)
        for number in (1, 2):
            await at.press(TIMELINE_WRITE)
            await at.until(lambda wanted=number: len(list(tmp_path.iterdir())) == wanted, "the file")  # type: ignore[misc]
        await at.sees("written to")
        await at.until(lambda: "-2.md" in "".join(at.text().split()), "the path, however it wraps")
    notes = sorted(tmp_path.iterdir())
    assert len(notes) == 2
    assert all(note.read_text().startswith("# Timeline of h100-001\n") for note in notes)


async def test_a_folder_that_can_not_be_written_to_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_the_desk() as at:
        await open_timeline(at, Past(timedelta(hours=2)))
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        await at.press(TIMELINE_WRITE)
        await at.sees("can't be written")


async def test_the_node_screen_of_a_narrow_terminal_leads_there_too() -> None:
    async with at_the_desk((80, 24)) as at:
        await at.select("h100-001")
        await at.press(OPEN, TIMELINE)
        await at.sees("Timeline of h100-001")


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_hostile_texts_are_painted_as_texts(size: tuple[int, int]) -> None:
    hostile = "[bold]x[/] \x1b[31m | `" + "a" * 40_000
    async with at_the_desk(size) as at:
        node = at.fleet.lab.facts[NODE].node
        bad = Condition("Evil", "True", True, hostile, hostile, at.deck.clock.now())
        at.fleet.lab.facts[NODE] = replace(at.fleet.lab.facts[NODE], node=replace(node, conditions=(bad,)))
        at.fleet.lab.show(NODE)
        await open_timeline(at, Past(timedelta(hours=2)))
        await at.sees("[bold]x[/]")
        assert "\x1b" not in at.text()


def test_a_name_of_a_file_is_made_of_any_nodes_name(tmp_path: Path) -> None:
    now = datetime.fromisoformat("2026-03-01T03:00:00+00:00")
    first = write_new("x", "../../etc/x y", now, tmp_path)
    second = write_new("y", "../../etc/x y", now, tmp_path)
    assert (first.name, second.name) == (
        "timeline-etc-x-y-20260301T030000Z.md",
        "timeline-etc-x-y-20260301T030000Z-2.md",
    )
    assert (first.read_text(), second.read_text()) == ("x", "y")


async def test_local_times_where_the_machine_is_in_utc_are_said_to_be_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with at_the_desk((80, 24)) as at:
        await open_timeline(at, Past(timedelta(hours=1)))
        with in_zone(monkeypatch, "UTC"):
            await at.press(TIMELINE_LOCAL)
            await at.sees("this machine's own zone is UTC", "times in UTC")
        with in_zone(monkeypatch, "JST-9"):
            await at.press(TIMELINE_LOCAL)
            await at.sees("times in JST")
            await at.press(TIMELINE_LOCAL)
            await at.sees("times in UTC")


@contextmanager
def in_zone(monkeypatch: pytest.MonkeyPatch, zone: str) -> Iterator[None]:
    """This machine stands in that zone until the block ends."""
    try:
        with monkeypatch.context() as here:
            here.setenv("TZ", zone)
            time.tzset()
            yield
    finally:
        time.tzset()
