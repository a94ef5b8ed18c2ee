"""What people vouched for, as a Node keeps it: written beside what others wrote, and nothing of it trusted to be well formed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.kubernetes.node_edit import read_node
from backends.kubernetes.our_keys import OurKeys
from backends.kubernetes.vouched import attest, read_accepted, read_repair
from fleet.health import Acceptance, Repair
from fleet.plan import Attest

KEYS = OurKeys()
AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
WORD = Acceptance("telemetry", "oncall@desk", "power event", AT, AT + timedelta(hours=4))
REPAIR = Repair("oncall@desk", "new GPU 3", AT, "gate d1 2026-03-01T02:00:00+00:00")


class Lab:
    """One Node whose annotations take our patches."""

    def __init__(self, **annotations: str) -> None:
        self.object: dict[str, Any] = {
            "metadata": {"name": "gpu-1", "uid": "u1", "resourceVersion": "7", "annotations": annotations},
            "spec": {},
        }

    def take(self, action: Attest) -> dict[str, Any] | None:
        patch = attest(read_node(json.dumps(self.object).encode()), action, KEYS)
        if patch is None:
            return None
        changed: dict[str, Any] = json.loads(patch)
        self.object["metadata"]["annotations"].update(changed["metadata"].get("annotations", {}))
        return changed

    @property
    def notes(self) -> dict[str, str]:
        found: dict[str, str] = self.object["metadata"]["annotations"]
        return found


def test_an_acceptance_is_written_under_the_version_it_was_read_at_and_nothing_else_is_touched() -> None:
    lab = Lab(team="a")
    changed = lab.take(Attest(AT, acceptance=WORD))
    assert changed is not None
    assert changed["metadata"]["resourceVersion"] == "7"
    assert "spec" not in changed
    assert read_accepted(lab.notes[KEYS.accepted]) == (WORD,)
    assert lab.notes["team"] == "a"
    assert lab.take(Attest(AT, acceptance=WORD)) is None


def test_another_acceptance_stands_beside_it_and_one_of_the_same_check_takes_its_place() -> None:
    lab = Lab()
    lab.take(Attest(AT, acceptance=WORD))
    other = Acceptance("xid", "colleague", "known", AT, AT + timedelta(hours=1))
    lab.take(Attest(AT, acceptance=other))
    longer = Acceptance("telemetry", "colleague", "still", AT, AT + timedelta(hours=6))
    lab.take(Attest(AT, acceptance=longer))
    assert read_accepted(lab.notes[KEYS.accepted]) == (other, longer)


def test_what_has_ended_goes_with_the_next_one() -> None:
    lab = Lab()
    lab.take(Attest(AT, acceptance=WORD))
    later = Acceptance("xid", "oncall", "known", AT + timedelta(hours=5), AT + timedelta(hours=6))
    lab.take(Attest(AT + timedelta(hours=5), acceptance=later))
    assert read_accepted(lab.notes[KEYS.accepted]) == (later,)


def test_a_repair_is_written_and_read_back() -> None:
    lab = Lab()
    lab.take(Attest(AT, repair=REPAIR))
    assert read_repair(lab.notes[KEYS.repair]) == REPAIR
    assert KEYS.accepted not in lab.notes


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "null",
        "{}",
        "[1]",
        "[{}]",
        '[{"check":"xid"}]',
        '[{"check":"xid","since":"2026-03-01T03:00:00Z","until":"soon"}]',
        '[{"since":"2026-03-01T03:00:00Z","until":"2026-03-01T04:00:00Z"}]',
        "\ud800",
    ],
)
def test_what_can_not_be_read_accepts_nothing_and_mends_nothing(text: str | None) -> None:
    assert read_accepted(text) == ()
    assert read_repair(text) is None


def test_words_from_outside_are_made_fit_to_show() -> None:
    text = json.dumps(
        [{"check": "xid", "by": "\x1b[31mx" * 10_000, "since": AT.isoformat(), "until": AT.isoformat()}]
    )
    (word,) = read_accepted(text)
    assert len(word.by) <= 200
    assert "\x1b" not in word.by


@given(st.text(max_size=300))
def test_no_text_breaks_the_reading(text: str) -> None:
    assert read_accepted(text) == ()
    assert read_repair(text) is None
