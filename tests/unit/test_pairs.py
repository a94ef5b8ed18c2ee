"""Two nodes that are one machine: how the rules find them, and that the machine is shown and counted once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.holder import Hold, HolderKind
from fleet.machine import POD_NODE, JoinBy, JoinRule, disagree, own_holds, truths
from fleet.node import Admission, Condition, Node, NodeKey, Readiness, Stage
from fleet.observation import Listed, NodeGone, NodeSeen, WorkSeen
from fleet.policy import Policy
from fleet.selection import parse
from fleet.severity import Severity, concerns
from fleet.store import FleetStore
from fleet.view import FleetView
from fleet.workload import NodeWork, WorkloadId
from tests.builders import NOW, node
from tui import why_not
from tui.command import Standing

KUBE, SLURM = "prod", "lab"
BY_NAME = JoinRule(KUBE, SLURM)


def kube(name: str = "gpu1", **changes: object) -> Node:
    return replace(node(name, source=KUBE, category="h100"), **changes)  # type: ignore[arg-type]


def slurm(name: str = "gpu1", **changes: object) -> Node:
    return replace(node(name, source=SLURM, category="train"), **changes)  # type: ignore[arg-type]


def fleet(rule: JoinRule, *nodes: Node) -> FleetStore:
    store = FleetStore(Policy(joins=(rule,)))
    store.apply_all(NodeSeen(each) for each in nodes)
    return store


def twin(store: FleetStore, source: str, name: str = "gpu1") -> NodeKey | None:
    row = store.record(NodeKey(source, name))
    assert row is not None
    return row.twin.key if row.twin else None


def test_equal_names_are_one_machine_whichever_is_seen_first() -> None:
    for nodes in ((kube(), slurm()), (slurm(), kube())):
        store = fleet(BY_NAME, *nodes)
        assert twin(store, KUBE) == NodeKey(SLURM, "gpu1")
        assert twin(store, SLURM) == NodeKey(KUBE, "gpu1")


def test_without_a_rule_equal_names_are_two_machines() -> None:
    store = FleetStore()
    store.apply_all([NodeSeen(kube()), NodeSeen(slurm())])
    assert twin(store, KUBE) is None
    assert store.groups.fleet.nodes == 2


@pytest.mark.parametrize("by", [JoinBy.LABEL, JoinBy.ANNOTATION])
def test_a_key_of_the_kubernetes_node_names_its_slurm_node(by: JoinBy) -> None:
    store = fleet(
        JoinRule(KUBE, SLURM, by, key="site/slurm"),
        kube("ip-10-0-0-1", known_as=(("site/slurm", "gpu1"),)),
        slurm(),
    )
    assert twin(store, SLURM) == NodeKey(KUBE, "ip-10-0-0-1")


def test_a_pattern_and_a_template_make_the_slurm_name() -> None:
    rule = JoinRule(KUBE, SLURM, JoinBy.PATTERN, pattern=r"([a-z]+)-0*(\d+)\.site\.example", template=r"\1\2")
    store = fleet(rule, kube("gpu-001.site.example"), kube("gpu-001"), slurm())
    assert twin(store, SLURM) == NodeKey(KUBE, "gpu-001.site.example")
    assert twin(store, KUBE, "gpu-001") is None


@pytest.mark.parametrize("by", [JoinBy.SLINKY, JoinBy.SOPERATOR, JoinBy.PODS])
def test_a_pod_of_slurmd_ties_the_node_that_it_runs_on(by: JoinBy) -> None:
    store = fleet(JoinRule(KUBE, SLURM, by, key="app=slurmd"), kube("k1"), kube("k2"), slurm("slurm-0"))
    assert twin(store, SLURM, "slurm-0") is None
    store.apply(WorkSeen(NodeKey(KUBE, "k1"), NodeWork(8, hosts=("slurm-0",), host_gpus=8)))
    assert twin(store, SLURM, "slurm-0") == NodeKey(KUBE, "k1")
    store.apply(WorkSeen(NodeKey(KUBE, "k1"), NodeWork()))
    store.apply(WorkSeen(NodeKey(KUBE, "k2"), NodeWork(8, hosts=("slurm-0",), host_gpus=8)))
    assert twin(store, SLURM, "slurm-0") == NodeKey(KUBE, "k2")
    assert twin(store, KUBE, "k1") is None


def test_what_slinky_writes_into_the_comment_ties_before_any_pod_is_listed() -> None:
    store = fleet(
        JoinRule(KUBE, SLURM, JoinBy.SLINKY), kube("k1"), slurm("slurm-0", known_as=((POD_NODE, "k1"),))
    )
    assert twin(store, KUBE, "k1") == NodeKey(SLURM, "slurm-0")


def test_two_that_claim_one_machine_are_neither_and_say_so() -> None:
    rule = JoinRule(KUBE, SLURM, JoinBy.LABEL, key="site/slurm")
    marks = (("site/slurm", "gpu1"),)
    store = fleet(rule, kube("k1", known_as=marks), kube("k2", known_as=marks), slurm())
    for key in (NodeKey(KUBE, "k1"), NodeKey(KUBE, "k2"), NodeKey(SLURM, "gpu1")):
        row = store.record(key)
        assert row is not None
        assert row.twin is None
        assert row.pair is not None
        assert key not in row.pair.rivals
        assert len(row.pair.rivals) == 2
        (concern, *_) = concerns(row, NOW, store.policy)
        assert "several nodes claim one machine" in concern.text
    store.apply(NodeGone(NodeKey(KUBE, "k2")))
    assert twin(store, KUBE, "k1") == NodeKey(SLURM, "gpu1")


def test_a_machine_and_its_gpus_are_counted_once() -> None:
    store = fleet(BY_NAME, kube(), slurm(), kube("gpu2"), slurm("gpu9"))
    totals = store.groups.fleet
    assert (totals.nodes, totals.gpus_capacity, totals.gpus_usable, totals.in_service) == (3, 24, 24, 3)
    store.adopt(store.policy)
    assert store.groups.fleet == totals


def test_a_machine_is_one_line_of_the_table_under_the_side_that_the_rule_shows() -> None:
    for rule, category in ((BY_NAME, "h100"), (JoinRule(KUBE, SLURM, shows_slurm=True), "train")):
        view = FleetView(fleet(rule, kube(), slurm()), NOW)
        (shown,) = view.nodes()
        assert shown.source == rule.shown
        assert {group.category for group in view._buckets} == {category}


def test_a_line_goes_when_its_node_turns_out_to_be_a_side_of_another() -> None:
    store = fleet(BY_NAME, slurm())
    view, seen = FleetView(store, NOW), store.revision
    assert view.nodes() == [NodeKey(SLURM, "gpu1")]
    store.apply(NodeSeen(kube()))
    view.refresh(store.changes_since(seen), NOW, resort=True)
    assert view.nodes() == [NodeKey(KUBE, "gpu1")]
    seen = store.revision
    store.apply(Listed(KUBE, frozenset()))
    view.refresh(store.changes_since(seen), NOW, resort=True)
    assert view.nodes() == [NodeKey(SLURM, "gpu1")]
    assert store.groups.fleet.nodes == 1


def test_a_machine_is_in_service_by_both_sides_or_not() -> None:
    closed = slurm(admission=Admission.CORDONED, stage=Stage.DRAINED)
    totals = fleet(BY_NAME, kube(), closed).groups.fleet
    assert (totals.in_service, totals.closed, totals.gpus_usable, totals.gpus_capacity) == (0, 1, 0, 8)


def test_the_other_sides_change_is_a_change_of_the_line() -> None:
    store = fleet(BY_NAME, kube(), slurm())
    seen = store.revision
    store.apply(NodeSeen(slurm(admission=Admission.CORDONED)))
    assert NodeKey(KUBE, "gpu1") in store.changes_since(seen).keys
    row = store.record(NodeKey(KUBE, "gpu1"))
    assert row is not None
    assert row.severity is Severity.SUSPECT


def test_both_truths_are_told_in_their_own_words_slurm_first() -> None:
    held = Hold("root", "dust", HolderKind.UNNAMED)
    closed = slurm(
        admission=Admission.CORDONED, holds=(held,), conditions=(Condition("State", "IDLE+DRAIN", None),)
    )
    assert disagree(kube(), closed)
    told = "Slurm lab: IDLE+DRAIN by root: dust; Kubernetes prod: open"
    assert truths(kube(), closed, SLURM) == truths(closed, kube(), SLURM) == told


def test_an_agent_that_is_silent_on_the_other_side_is_a_fault_of_the_machine() -> None:
    store = fleet(BY_NAME, kube(), slurm(readiness=Readiness.UNKNOWN))
    row = store.record(NodeKey(KUBE, "gpu1"))
    assert row is not None
    assert "Slurm lab: not heard of" in [concern.text for concern in concerns(row, NOW, store.policy)]
    assert store.groups.fleet.not_ready == 1


def test_gpus_in_use_are_the_jobs_and_not_the_pod_that_holds_all_for_them() -> None:
    store = fleet(JoinRule(KUBE, SLURM, JoinBy.SLINKY), kube("k1"), slurm("slurm-0"))
    job = WorkloadId("ml", "Job", "41")
    store.apply(WorkSeen(NodeKey(KUBE, "k1"), NodeWork(8, pods=1, hosts=("slurm-0",), host_gpus=8)))
    row = store.record(NodeKey(KUBE, "k1"))
    assert row is not None
    assert row.work is None, "the jobs are not known yet"
    store.apply(WorkSeen(NodeKey(SLURM, "slurm-0"), NodeWork(3, workloads=(job,))))
    row = store.record(NodeKey(KUBE, "k1"))
    assert row is not None
    assert row.work is not None
    assert (row.work.gpus_used, row.work.workloads) == (3, (job,))
    assert store.groups.fleet.gpus_free == 5


def test_a_selection_finds_a_machine_by_either_sides_source_and_name() -> None:
    store = fleet(JoinRule(KUBE, SLURM, JoinBy.SLINKY), kube("k1"), slurm("slurm-0"))
    store.apply(WorkSeen(NodeKey(KUBE, "k1"), NodeWork(hosts=("slurm-0",))))
    row = store.record(NodeKey(KUBE, "k1"))
    assert row is not None
    for text in ("source=prod", "source=lab", "name=k1", "name=slurm-0", "slurm-0", "category=train"):
        assert parse(text).matches(row), text
    assert not parse("source=elsewhere").matches(row)


def test_a_hold_that_slinky_carried_over_is_not_the_sides_own() -> None:
    ours = Hold("oncall", "dust")
    carried = Hold("slurm-operator", "slurm-operator: node k1 was cordoned", HolderKind.CONTROLLER)
    assert own_holds(slurm(holds=(carried,)), kube(holds=(ours,))) == ()
    assert own_holds(slurm(holds=(carried,)), kube()) == (carried,), "the other side is not held at all"
    assert own_holds(slurm(holds=(carried,)), kube(holds=(carried,))) == (carried,), "nobody began it"


def test_what_we_hold_on_the_other_side_alone_is_ours_to_undo() -> None:
    ours = Hold("oncall@desk", "dust", operation="op-1")
    store = fleet(BY_NAME, kube(), slurm(admission=Admission.CORDONED, holds=(ours,)))
    row = store.record(NodeKey(KUBE, "gpu1"))
    assert row is not None
    assert row.holds == (ours,)
    assert why_not.undo(Standing(store.policy, (row,))) is None
