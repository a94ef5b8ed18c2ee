"""What doctor says of the join rules."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from fleet.machine import JoinBy, JoinRule
from fleet.observation import NodeSeen
from fleet.policy import Policy
from fleet.remark import Remark
from fleet.store import FleetStore
from tests.builders import node
from tui.headless.joins import of_joins


def told(rule: JoinRule, *names: tuple[str, str], sources: tuple[str, ...] = ("prod", "lab")) -> list[Remark]:
    policy = Policy(joins=(rule,))
    store = FleetStore(policy)
    store.apply_all(NodeSeen(node(name, source=source)) for source, name in names)
    deck = SimpleNamespace(policy=policy, store=store, sources=sources)
    return list(of_joins(cast("Any", deck)))


def test_how_many_machines_a_rule_found_and_who_is_left_alone() -> None:
    (only,) = told(
        JoinRule("prod", "lab"), ("prod", "gpu1"), ("lab", "gpu1"), ("prod", "web1"), ("lab", "gpu2")
    )
    assert (only.ok, only.says) == (True, "1 machine by name; 1 of Slurm and 1 of Kubernetes alone")


def test_a_rule_that_joins_nobody_is_bad_and_says_where_to_look() -> None:
    (only,) = told(JoinRule("prod", "lab", JoinBy.SLINKY), ("prod", "k1"), ("lab", "slinky-0"))
    assert only.ok is False
    assert "docs/slurm.md" in only.mend


def test_a_source_that_is_missing_is_named() -> None:
    (only,) = told(JoinRule("prod", "clstr"), ("prod", "k1"))
    assert only.ok is False
    assert "clstr is not part of this fleet" in only.says
    assert "prod, lab" in only.mend


def test_nodes_that_claim_one_machine_are_named() -> None:
    rule = JoinRule("prod", "lab", JoinBy.PATTERN, pattern="k.*", template="gpu1")
    _, rivals = told(rule, ("prod", "k1"), ("prod", "k2"), ("lab", "gpu1"))
    assert rivals.ok is False
    assert rivals.says == "several nodes claim one machine: prod/k1, prod/k2"
