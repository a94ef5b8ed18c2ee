"""States, flags and suffixes of every version, and what they mean together."""

from __future__ import annotations

import pytest

from backends.slurm.states import FLAGS, STATES, read_state
from fleet.node import Admission, Readiness, Stage

IN_SERVICE, DRAINED, DRAINING = Stage.IN_SERVICE, Stage.DRAINED, Stage.DRAINING
OPEN, CORDONED = Admission.OPEN, Admission.CORDONED
READY, NOT_READY, UNKNOWN = Readiness.READY, Readiness.NOT_READY, Readiness.UNKNOWN


@pytest.mark.parametrize(
    ("text", "stage", "admission", "readiness"),
    [
        ("IDLE", IN_SERVICE, OPEN, READY),
        ("ALLOCATED", IN_SERVICE, OPEN, READY),
        ("MIXED+PLANNED", IN_SERVICE, OPEN, READY),
        ("IDLE+DRAIN", DRAINED, CORDONED, READY),
        ("MIXED+DRAIN", DRAINING, CORDONED, READY),
        ("IDLE+COMPLETING+DRAIN", DRAINING, CORDONED, READY),
        ("ALLOCATED+FAIL", DRAINING, CORDONED, READY),
        ("DOWN", IN_SERVICE, CORDONED, READY),
        ("DOWN+NOT_RESPONDING", IN_SERVICE, CORDONED, UNKNOWN),
        ("DOWN+DRAIN+NOT_RESPONDING", DRAINED, CORDONED, UNKNOWN),
        ("IDLE+DRAIN+REBOOT_REQUESTED", DRAINED, CORDONED, READY),
        ("DOWN+DRAIN+REBOOT_ISSUED", Stage.REIMAGING, CORDONED, UNKNOWN),
        ("IDLE+CLOUD+POWERED_DOWN", IN_SERVICE, OPEN, UNKNOWN),
        ("IDLE+DRAIN+INVALID_REG", DRAINED, CORDONED, NOT_READY),
        ("IDLE+MAINT+RESERVED", IN_SERVICE, CORDONED, READY),
        ("IDLE+RESERVED", IN_SERVICE, OPEN, READY),
        ("IDLE+DYNAMIC_NORM+NOT_RESPONDING", IN_SERVICE, OPEN, UNKNOWN),
        ("FUTURE", Stage.PROVISIONING, CORDONED, UNKNOWN),
        ("UNKNOWN+DRAIN", DRAINED, CORDONED, UNKNOWN),
        ("ERROR", IN_SERVICE, CORDONED, NOT_READY),
        ("IDLE+SOMETHING_NEW", IN_SERVICE, OPEN, READY),
        ("", IN_SERVICE, OPEN, UNKNOWN),
    ],
)
def test_a_state_and_its_flags_mean_one_thing(
    text: str, stage: Stage, admission: Admission, readiness: Readiness
) -> None:
    for spelling in (text, text.lower()):
        state = read_state(spelling)
        assert (state.stage, state.admission, state.readiness) == (stage, admission, readiness)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("DOWN*", "DOWN+NOT_RESPONDING"),
        ("DOWN*+DRAIN", "DOWN+DRAIN+NOT_RESPONDING"),
        ("IDLE~", "IDLE+POWERED_DOWN"),
        ("idle#", "IDLE+POWERING_UP"),
        ("idle%", "IDLE+POWERING_DOWN"),
        ("mix$", "MIXED+MAINT"),
        ("idle@", "IDLE+REBOOT_REQUESTED"),
        ("boot^", "IDLE+REBOOT_ISSUED"),
        ("mix-", "MIXED+PLANNED"),
        ("alloc", "ALLOCATED"),
        ("drng@", "ALLOCATED+DRAIN+REBOOT_REQUESTED"),
        ("drain*", "IDLE+DRAIN+NOT_RESPONDING"),
        ("fail*", "IDLE+FAIL+NOT_RESPONDING"),
        ("resv", "IDLE+RESERVED"),
        ("RESERVED", "IDLE+RESERVED"),
        ("maint", "IDLE+MAINT"),
        ("inval", "IDLE+INVALID_REG"),
        ("nonsense", "UNKNOWN+NONSENSE"),
    ],
)
def test_old_suffixes_and_short_words_are_the_same_flags(text: str, means: str) -> None:
    assert read_state(text).text == means


def test_a_sleeping_node_is_not_failed() -> None:
    state = read_state("DOWN+CLOUD+POWERED_DOWN")
    assert (state.asleep, state.bad) == (True, False)


def test_a_node_that_boots_or_wakes_is_moving_and_one_that_drains_for_days_is_not() -> None:
    moving = ["DOWN+DRAIN+REBOOT_ISSUED", "IDLE+DRAIN+REBOOT_REQUESTED", "IDLE+CLOUD+POWERING_UP"]
    assert all(read_state(text).moving for text in moving)
    assert not any(read_state(text).moving for text in ("MIXED+DRAIN", "MIXED+REBOOT_REQUESTED", "IDLE"))


def test_every_pair_of_a_state_and_a_flag_can_be_read() -> None:
    texts = [f"{state}+{flag}" for state in STATES for flag in FLAGS]
    assert [read_state(text).text for text in texts] == texts


def test_slurms_own_word_for_maintenance_keeps_a_node_closed() -> None:
    state = read_state("IDLE+MAINTENANCE+RESERVED")
    assert (state.text, state.admission) == ("IDLE+MAINT+RESERVED", Admission.CORDONED)
