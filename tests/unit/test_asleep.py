"""A node that its orchestrator powered down until work wants it: no fault, no bar to a verb, and woken only in so many words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.brakes import usable
from fleet.category import SLURM_REBOOT, Category
from fleet.node import Admission, Node, Readiness, Stage
from fleet.observation import NodeSeen
from fleet.plan import Ground, NodeFacts, Plan, SourceIdentity, Verb
from fleet.planning import plan
from fleet.policy import Policy
from fleet.severity import Severity, concerns
from fleet.store import FleetStore
from fleet.workload import Placement
from tests.builders import row
from tests.clocks import START
from tests.fakes import node, pod, request
from widgets.cells import Scene, cells
from widgets.columns import Column

WAKES = "scontrol update NodeName=gpu-1 State=POWER_UP"


def sleeper(**changes: object) -> Node:
    plain = node(readiness=Readiness.UNKNOWN, asleep=WAKES, replaceable=False, reboots=True)
    return replace(plain, **changes)  # type: ignore[arg-type]


def planned(verb: Verb, of: Node, *placements: Placement) -> Plan:
    policy = Policy(categories={"h100": Category("h100", imager=SLURM_REBOOT)})
    facts = {of.key: NodeFacts(of, "1", of.admission is not Admission.OPEN, placements)}
    ground = Ground(facts, identity={"lab": SourceIdentity("lab", "c")})
    return plan(request(verb), ground, policy, START)


@pytest.mark.parametrize("allocatable", [8, None])
def test_it_is_a_notice_and_nothing_worse(allocatable: int | None) -> None:
    of = sleeper(gpus_allocatable=allocatable)
    store = FleetStore(Policy())
    store.apply(NodeSeen(of))
    found = concerns(store.rows_by_key[of.key], START, Policy())
    assert max(each.severity for each in found) is Severity.NOTICE
    assert "asleep" in [each.about for each in found]


def test_the_header_counts_it_in_service_and_not_as_not_ready() -> None:
    store = FleetStore(Policy())
    store.apply(NodeSeen(sleeper()))
    totals = store.groups.fleet
    assert (totals.in_service, totals.not_ready, totals.closed) == (1, 0, 0)
    assert usable(sleeper())
    assert not usable(sleeper(asleep=""))


@pytest.mark.parametrize("verb", [Verb.CORDON, Verb.DRAIN, Verb.RETIRE, Verb.REIMAGE])
def test_no_verb_is_barred_as_from_a_node_that_is_not_heard_of(verb: Verb) -> None:
    assert planned(verb, sleeper(), pod(waits=True)).free_to_run
    assert planned(verb, sleeper(), pod(waits=True)).nodes[0].found.startswith("in-service, open, asleep")


def test_a_drain_of_one_that_is_not_heard_of_is_still_barred() -> None:
    assert not planned(Verb.DRAIN, sleeper(asleep=""), pod()).free_to_run


def test_only_a_reimage_wakes_it_and_says_by_what() -> None:
    woken = f"this wakes a node that sleeps, instead of rebooting it: {WAKES}"
    assert planned(Verb.REIMAGE, sleeper()).nodes[0].warnings[0] == woken
    for verb in (Verb.CORDON, Verb.DRAIN, Verb.RETIRE):
        assert not any("wakes" in says for says in planned(verb, sleeper()).nodes[0].warnings)


def test_a_gate_says_that_nothing_asleep_passes_and_an_uncordon_that_it_sleeps_on() -> None:
    closed = sleeper(admission=Admission.CORDONED)
    (gate,) = (says for says in planned(Verb.GATE, closed).nodes[0].warnings if "sleeps" in says)
    assert gate == f"it sleeps, so that no check can pass: wake it first ({WAKES})"
    assert any("stays asleep" in says for says in planned(Verb.UNCORDON, closed).nodes[0].warnings)


def test_a_row_says_asleep_where_it_would_say_that_nothing_is_heard() -> None:
    scene = Scene(START)
    assert cells(row(of=sleeper()), scene, [Column.STAGE])[0].text == "asleep"
    assert cells(row(of=sleeper(asleep="")), scene, [Column.STAGE])[0].text == "not heard"
    closed = sleeper(admission=Admission.CORDONED)
    assert cells(row(of=closed), scene, [Column.STAGE])[0].text == "cordoned"
    assert cells(row(of=sleeper(stage=Stage.QUARANTINED)), scene, [Column.STAGE])[0].text == "quarantined"
