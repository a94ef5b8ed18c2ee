"""The incident note: whatever stands in the texts, a table stays a table, and shows them as they are."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest
from markdown_it import MarkdownIt

from fleet.node import NodeKey
from fleet.text import clean
from fleet.timeline import Entry, EntryKind, timeline
from fleet.timeline_markdown import escaped, markdown_of, zone_of
from tests.builders import NOW

KEY = NodeKey("prod", "gpu-001")
HOSTILE = (
    "a | b || c",
    "`code` ``more`` `unclosed",
    "<script>alert(1)</script> &amp; &lt;",
    "[link](http://evil.example/) ![img](x) <http://a.example>",
    "**bold** __bold__ *i* _i_ ~~gone~~ # no heading",
    "back\\slash \\| and \\` at the end \\",
    "line\none | two\r\n| three |",
    "\x1b[31mred\x1b[0m [red]rich[/] $x^2$ @team",
    "www.evil.example and HTTPS://Evil.example/x",
    "| --- |",
    "",
)


def cells(note: str) -> list[list[str]]:
    """The table's rows as a reader of Markdown shows them."""
    rows: list[list[str]] = []
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(note)
    for number, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        if token.type in ("td_open", "th_open"):
            inline = tokens[number + 1]
            kinds = {child.type for child in inline.children or ()}
            assert kinds <= {"text", "text_special"}, kinds
            rows[-1].append("".join(child.content for child in inline.children or ()))
    return rows


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_shown_as_it_stands_and_breaks_no_table(text: str) -> None:
    entry = Entry(NOW, EntryKind.HOLD, text, "node", text, operation=text)
    head, row = cells(markdown_of(timeline(KEY, [entry], NOW), UTC))
    assert head == ["time", "kind", "what", "by", "source", "operation"]
    shown = clean(text)
    assert row == ["2026-03-01 03:00:00", "hold", shown, shown, "node", shown]


def test_the_note_says_whose_it_is_its_window_its_zone_and_what_was_not_read() -> None:
    told = timeline(KEY, (), NOW, since=NOW - timedelta(hours=24), silent=["journal: disk | full"])
    note = markdown_of(told, UTC, by="oncall@desk", category="h100")
    assert note.startswith("# Timeline of gpu-001\n")
    assert "- from 2026-02-28 03:00:00 to 2026-03-01 03:00:00, times in UTC" in note
    assert "- category: h100" in note
    assert r"- written by oncall\@desk" in note
    assert "Nothing is known to have happened." in note
    assert r"- journal: disk \| full" in note


def test_a_time_is_in_the_zone_asked_for_and_an_unknown_one_says_so() -> None:
    entries = [
        Entry(NOW, EntryKind.XID, "79", "prometheus", within=timedelta(minutes=6)),
        Entry(None, EntryKind.XID, "48", "telemetry"),
    ]
    zone = timezone(timedelta(hours=1), "CET")
    note = markdown_of(timeline(KEY, entries, NOW), zone)
    assert "times in CET (UTC+0100)" in note
    assert [row[0] for row in cells(note)[1:]] == ["unknown", "2026-03-01 04:00:00 (or up to 6 min before)"]


def test_a_zone_without_a_name_is_its_offset_alone() -> None:
    assert zone_of(NOW, timezone(timedelta(hours=-3, minutes=-30))) == "UTC-0330"
    assert zone_of(NOW, UTC) == "UTC"


def test_a_very_long_text_is_cut() -> None:
    assert len(escaped("a" * 40_000)) <= 600
