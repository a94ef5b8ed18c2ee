"""Nodes in service go on being checked: one that begins to fail is flagged once it has failed for a while; nothing is closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fleet.category import Category, CheckPolicy
from fleet.flag import Flag
from fleet.health import Verdict
from fleet.node import Admission, Condition, Node, Readiness, Stage
from fleet.observation import LastKnown, Listed, NodeGone, NodeSeen, Observation, TelemetrySeen
from fleet.policy import Policy
from fleet.severity import FLAG, Severity, concerns
from fleet.sightings import Sightings
from fleet.store import FleetStore
from fleet.telemetry import NodeTelemetry
from fleet.watch import Watch
from tests import builders
from tests.clocks import START, ManualClock

AFTER = timedelta(minutes=1)
FINE = NodeTelemetry(
    START,
    gpus_seen=8,
    gpu_util=50.0,
    xid=0,
    row_remap_failure=False,
    remap_pending=False,
    remapped_rows=0,
    ecc_dbe=0,
    slowed=False,
    recovery_action=0,
    temp_margin_min=20,
)
BAD = replace(FINE, ecc_dbe=2)


class Seat:
    """A store, a watch over it and the clock that both are on."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy(flag_after=AFTER)
        self.clock = ManualClock()
        self.store = FleetStore(self.policy)
        self.watch = Watch(self.store, self.policy, self.clock)
        self.told: list[Observation] = []
        self.sightings = Sightings()

    def sees(self, node: Node, telemetry: NodeTelemetry | None = FINE) -> None:
        self.store.apply_all([NodeSeen(node), TelemetrySeen(node.key, telemetry)])

    async def after(self, span: timedelta = timedelta(0)) -> tuple[Flag, ...]:
        """The flags of the one node once `span` has passed and the watch has looked."""
        await self.clock.advance(span)
        await self.watch.one_round(self._report)
        (row,) = self.store.rows()
        return row.flags

    def _report(self, observations: Sequence[Observation]) -> None:
        self.told += observations
        for observation in observations:
            self.sightings.hear(self.store, observation, self.clock.now())
        self.store.apply_all(observations)


def node(**changes: Any) -> Node:
    return replace(builders.node(), **changes)


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"xid": 79}, "xid"),
        ({"row_remap_failure": True}, "row-remap"),
        ({"remap_pending": True}, "row-remap-pending"),
        ({"remapped_rows": 513}, "remapped-rows"),
        ({"ecc_dbe": 1}, "ecc-dbe"),
        ({"slowed": True}, "clock-events"),
        ({"temp_margin_min": 0}, "temp-margin"),
        ({"recovery_action": 2}, "recovery-action"),
    ],
)
async def test_a_gpu_that_begins_to_fail_is_flagged_and_the_node_left_open(
    changes: dict[str, Any], check: str
) -> None:
    seat = Seat()
    seat.sees(node())
    assert await seat.after() == ()
    seat.sees(node(), replace(FINE, **changes))
    assert await seat.after() == ()
    assert await seat.after(AFTER - timedelta(seconds=1)) == ()
    (flag,) = await seat.after(timedelta(seconds=1))
    assert (flag.check, flag.since) == (check, START)
    assert flag.value
    (row,) = seat.store.rows()
    assert row.node.admission is Admission.OPEN
    assert row.severity >= Severity.SUSPECT


@pytest.mark.parametrize(
    "changes",
    [
        {"xid": 13},
        {"remapped_rows": 512},
        {"recovery_action": 3},
        {"temp_margin_min": 1},
        {"gpu_temp_max": 95.0},
    ],
)
async def test_what_only_warns_is_no_flag(changes: dict[str, Any]) -> None:
    seat = Seat()
    seat.sees(node(), replace(FINE, **changes))
    await seat.after()
    assert await seat.after(AFTER) == ()


async def test_a_bad_condition_of_the_node_is_flagged_too() -> None:
    seat = Seat()
    seat.sees(node(conditions=(Condition("GpuNvlinkWatch", "True", bad=True),)))
    await seat.after()
    (flag,) = await seat.after(AFTER)
    assert flag.check == "conditions"
    assert "GpuNvlinkWatch" in flag.value


async def test_a_value_that_flickers_is_never_flagged_and_a_flag_does_not_flicker_off() -> None:
    seat = Seat()
    for turn in range(10):
        seat.sees(node(), replace(FINE, slowed=turn % 2 == 0))
        assert await seat.after(timedelta(seconds=30)) == ()
    seat.sees(node(), replace(FINE, slowed=True))
    await seat.after()
    (flag,) = await seat.after(AFTER)
    for turn in range(10):
        seat.sees(node(), replace(FINE, slowed=turn % 2 == 1))
        assert await seat.after(timedelta(seconds=30)) == (flag,)
    seat.sees(node(), FINE)
    assert await seat.after() == (flag,)
    assert await seat.after(AFTER) == ()


async def test_a_flag_tells_what_its_check_showed_last() -> None:
    seat = Seat()
    seat.sees(node(), replace(FINE, ecc_dbe=2))
    await seat.after()
    (before,) = await seat.after(AFTER)
    seat.sees(node(), replace(FINE, ecc_dbe=5))
    (after,) = await seat.after()
    assert after.since == before.since
    assert "5" in after.value


async def test_what_is_not_known_any_more_raises_and_takes_back_nothing() -> None:
    seat = Seat()
    seat.sees(node(), replace(FINE, ecc_dbe=2))
    await seat.after()
    (flag,) = await seat.after(AFTER)
    seat.sees(node(), None)
    await seat.after()
    assert await seat.after(10 * AFTER) == (flag,)
    fresh = Seat()
    fresh.sees(node(), None)
    await fresh.after()
    assert await fresh.after(10 * AFTER) == ()


async def test_a_node_that_is_closed_has_no_flags() -> None:
    seat = Seat()
    seat.sees(node(), replace(FINE, ecc_dbe=2))
    await seat.after()
    assert await seat.after(AFTER) != ()
    seat.sees(node(admission=Admission.CORDONED), replace(FINE, ecc_dbe=2))
    assert await seat.after() == ()
    seat.sees(node(admission=Admission.CORDONED, stage=Stage.DRAINED), replace(FINE, ecc_dbe=3))
    assert await seat.after(AFTER) == ()


@pytest.mark.parametrize(
    ("then", "shows", "says"),
    [
        (node(), FINE, "ecc-dbe passes again"),
        (node(admission=Admission.CORDONED), BAD, "ecc-dbe no longer watched: the node was closed"),
        (node(admission=Admission.CORDONED), FINE, "ecc-dbe no longer watched: the node was closed"),
        (node(stage=Stage.DRAINING), BAD, "ecc-dbe no longer watched: the node is draining"),
    ],
)
async def test_a_flag_ends_as_passed_only_where_the_check_passes(
    then: Node, shows: NodeTelemetry, says: str
) -> None:
    seat = Seat()
    seat.sees(node(), BAD)
    await seat.after()
    assert await seat.after(AFTER) != ()
    seat.sees(then, shows)
    await seat.after()
    assert await seat.after(AFTER) == ()
    assert [entry.says for entry in seat.sightings.of(node().key)][1:] == [says]


async def test_the_category_rules_what_is_flagged() -> None:
    rules = {
        "ecc-dbe": CheckPolicy(limit=5),
        "clock-events": CheckPolicy(severity=Verdict.WARN),
        "row-remap-pending": CheckPolicy(enabled=False),
    }
    seat = Seat(Policy(flag_after=AFTER, categories={"h100": Category("h100", checks=rules)}))
    seat.sees(node(), replace(FINE, ecc_dbe=5, slowed=True, remap_pending=True))
    await seat.after()
    assert await seat.after(AFTER) == ()


async def test_an_xid_that_ages_out_of_the_sites_window_is_flagged_no_longer() -> None:
    window = {"xid": CheckPolicy(window=timedelta(hours=2))}
    seat = Seat(Policy(flag_after=AFTER, any_other=Category("*", checks=window)))
    shown = replace(FINE, xid=79, xid_at=START - timedelta(hours=1, minutes=50))
    seat.sees(node(), shown)
    await seat.after()
    assert [flag.check for flag in await seat.after(AFTER)] == ["xid"]
    await seat.after(timedelta(minutes=10))
    seat.sees(node(), replace(shown, gpu_util=60.0))
    await seat.after()
    assert await seat.after(AFTER) == ()


async def test_a_node_that_is_gone_is_forgotten() -> None:
    seat = Seat()
    seat.sees(node(), replace(FINE, ecc_dbe=2))
    await seat.after()
    seat.store.apply(NodeGone(node().key))
    await seat.watch.one_round(seat._report)
    seat.sees(node(), replace(FINE, ecc_dbe=2))
    assert await seat.after(AFTER) == ()
    assert await seat.after(AFTER) != ()


async def test_only_nodes_whose_facts_changed_are_looked_at_again() -> None:
    seat = Seat()
    for number in range(50):
        seat.sees(builders.node(f"gpu-{number:03}"))
    await seat.watch.one_round(seat._report)
    assert seat.watch.looked_at == 50
    for number in range(50):
        busier = replace(FINE, gpu_util=number + 1.0, power_watts=number + 1.0)
        seat.store.apply(TelemetrySeen(builders.node(f"gpu-{number:03}").key, busier))
    seat.store.apply(TelemetrySeen(builders.node("gpu-007").key, replace(FINE, ecc_dbe=1)))
    await seat.watch.one_round(seat._report)
    assert seat.watch.looked_at == 1


async def test_the_concern_of_a_flag_says_what_fails_and_since_when() -> None:
    seat = Seat()
    seat.sees(node(), replace(FINE, ecc_dbe=2))
    await seat.after()
    await seat.after(AFTER)
    (row,) = seat.store.rows()
    (concern,) = [each for each in concerns(row, seat.clock.now(), seat.policy) if each.about == FLAG]
    assert concern.text == "fails in service since 03-01 03:00 UTC: ecc-dbe: 2 uncorrected memory errors"


async def test_a_node_that_is_only_last_known_is_not_said_to_fail_now() -> None:
    seat, bad = Seat(), node(readiness=Readiness.NOT_READY)
    seat.store.apply(LastKnown(bad.key.source, START - timedelta(hours=8)))
    seat.sees(bad)
    await seat.after()
    assert await seat.after(2 * AFTER) == ()
    seat.store.apply(Listed(bad.key.source, frozenset({bad.key.name})))
    await seat.after()
    (flag,) = await seat.after(AFTER)
    assert (flag.check, flag.since) == ("ready", START + 2 * AFTER)
