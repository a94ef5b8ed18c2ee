"""The annotation that says who keeps a node closed."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.kubernetes.held_by import UNREADABLE, Entry, HeldBy, holds_of, read_held_by
from fleet.errors import Rejected
from fleet.holder import Hold, HolderKind

HOLD = Hold(
    by="oncall@ops",
    reason="maintenance",
    verb="cordon",
    operation="op-1",
    since=datetime(2026, 3, 1, 3, 0, tzinfo=UTC),
    found="open",
    step="n1/1-close",
    plan_hash="abc",
)


def test_a_hold_is_read_as_it_was_written() -> None:
    text = HeldBy().with_(Entry.of(HOLD)).text()
    assert holds_of(text, None) == (HOLD,)


def test_nothing_is_nobody() -> None:
    assert read_held_by(None).text() is None
    assert holds_of("", None) == ()
    assert holds_of("[]", None) == ()


def test_an_entry_of_a_later_version_keeps_what_we_do_not_know() -> None:
    text = '[{"by": "colleague", "ticket": {"id": 7}}]'
    written = read_held_by(text).with_(Entry.of(HOLD)).text()
    assert written is not None
    assert json.loads(written)[0] == {"by": "colleague", "ticket": {"id": 7}}


def test_an_entry_that_cannot_be_read_stays_and_counts_as_a_hold() -> None:
    held = read_held_by('["somebody", {"by": 5}]').with_(Entry.of(HOLD))
    left, lifted = held.without(lambda entry: True)
    assert [entry.operation for entry in lifted] == ["op-1"]
    assert json.loads(left.text() or "") == ["somebody", {"by": 5}]
    assert [hold.by for hold in left.holds()] == [UNREADABLE]
    assert left.holds()[0].kind is HolderKind.UNNAMED


@pytest.mark.parametrize("text", ["not json", "{}", "[", "null", '"x"', "[1,]"])
def test_a_text_that_is_no_list_is_a_hold_that_cannot_be_read(text: str) -> None:
    assert [hold.by for hold in holds_of(text, None)] == [UNREADABLE]


def test_what_was_set_aside_is_shown_as_a_hold() -> None:
    assert [hold.by for hold in holds_of(None, "scribble")] == [UNREADABLE]


def test_a_long_reason_is_trimmed() -> None:
    entry = Entry.of(Hold("oncall", reason="x" * 40_000))
    assert len(entry.reason) == 1000


def test_half_a_character_does_not_stop_a_cordon() -> None:
    assert (
        HeldBy().with_(Entry.of(Hold("oncall", reason="a\ud800b"))).text()
        == '[{"by":"oncall","reason":"a?b"}]'
    )


def test_more_holds_than_fit_are_refused_in_words() -> None:
    held = HeldBy()
    for number in range(80):
        held = held.with_(Entry.of(Hold(f"oncall-{number}", reason="x" * 1000)))
    with pytest.raises(Rejected, match="too many holds"):
        held.text(node="n1")


def test_escapes_are_taken_out_for_the_screen() -> None:
    (hold,) = holds_of('[{"by": "a\\u001b[31mb", "since": "yesterday"}]', None)
    assert hold.by == "ab"
    assert hold.since is None


@given(st.text())
def test_no_text_at_all_makes_it_fail(text: str) -> None:
    assert read_held_by(text).unreadable in (0, 1) or text.lstrip().startswith("[")
