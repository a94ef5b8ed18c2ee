"""What a machine is right now, and that one whose other side can't be told is not worked on by one side alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fleet.feeds import FeedHealth, FeedState
from fleet.machine import JoinBy, JoinRule, Tie
from fleet.node import NodeKey
from fleet.observation import FeedChanged, NodeSeen
from fleet.policy import Policy
from fleet.store import FleetStore
from tests.builders import NOW, node
from tests.clocks import ManualClock
from tui.ties import tie_of

BOTH = ("prod", "lab")
KUBE, SLURM = NodeKey("prod", "gpu1"), NodeKey("lab", "gpu1")


def fleet(
    rule: JoinRule, *keys: NodeKey, live: tuple[str, ...] = ("prod/nodes", "prod/pods", "lab/nodes")
) -> FleetStore:
    store = FleetStore(Policy(joins=(rule,)))
    for feed in live:
        source, _, name = feed.partition("/")
        store.apply(FeedChanged(FeedState(source, name, FeedHealth.LIVE, NOW, heard=NOW)))
    store.apply_all(NodeSeen(node(key.name, source=key.source)) for key in keys)
    return store


def tie(store: FleetStore, key: NodeKey = KUBE, sources: tuple[str, ...] = BOTH) -> Tie | None:
    return tie_of(store, ManualClock(NOW), sources, key)


def test_a_machine_is_its_two_sides_slurm_first_by_whichever_it_is_named() -> None:
    store = fleet(JoinRule(*BOTH), KUBE, SLURM)
    assert tie(store, KUBE) == tie(store, SLURM) == Tie(KUBE, (SLURM, KUBE))
    store = fleet(JoinRule(*BOTH, shows_slurm=True), KUBE, SLURM)
    assert tie(store, KUBE) == Tie(SLURM, (SLURM, KUBE))


def test_a_node_that_has_no_other_side_is_worked_on_as_ever() -> None:
    store = fleet(JoinRule(*BOTH), KUBE)
    assert tie(store) is None
    assert tie(store, NodeKey("west", "gpu1"), (*BOTH, "west")) is None


@pytest.mark.parametrize("keys", [(KUBE,), (KUBE, SLURM)])
@pytest.mark.parametrize(
    ("health", "why", "says"),
    [
        (
            FeedHealth.UNREACHABLE,
            "Unable to contact slurm controller",
            "lab/nodes is unreachable: Unable to contact",
        ),
        (FeedHealth.STARTING, "", "lab/nodes has not answered"),
        (FeedHealth.DENIED, "", "lab/nodes is denied"),
    ],
)
def test_a_feed_that_is_not_live_stops_it_saying_which(
    keys: tuple[NodeKey, ...], health: FeedHealth, why: str, says: str
) -> None:
    store = fleet(JoinRule(*BOTH), *keys)
    store.apply(FeedChanged(FeedState("lab", "nodes", health, NOW, why=why)))
    found = tie(store)
    assert found is not None
    assert says in found.says
    assert found.go_on == "wait until lab answers"


def test_a_feed_that_fell_silent_is_stale_and_stops_it() -> None:
    store = fleet(JoinRule(*BOTH), KUBE, SLURM)
    found = tie_of(store, ManualClock(NOW + timedelta(minutes=10)), BOTH, KUBE)
    assert found is not None
    assert "lab/nodes is stale" in found.says


def test_where_pods_tell_the_pods_must_be_live() -> None:
    store = fleet(JoinRule(*BOTH, JoinBy.SLINKY), KUBE, live=("prod/nodes", "lab/nodes"))
    found = tie(store)
    assert found is not None
    assert "prod/pods has not answered" in found.says


@pytest.mark.parametrize(
    ("key", "there", "flag"), [(KUBE, "prod", "--slurm"), (SLURM, "lab", "--context prod")]
)
def test_a_rule_whose_other_source_is_not_part_of_the_fleet_stops_it(
    key: NodeKey, there: str, flag: str
) -> None:
    found = tie(fleet(JoinRule(*BOTH), key), key, (there,))
    assert found is not None
    assert "which is not part of this fleet" in found.says
    assert flag in found.go_on


def test_several_that_claim_one_machine_stop_it_naming_them() -> None:
    store = FleetStore(Policy(joins=(JoinRule(*BOTH, JoinBy.PATTERN, pattern="gpu.*", template="gpu1"),)))
    store.apply_all(
        NodeSeen(node(key.name, source=key.source)) for key in (KUBE, NodeKey("prod", "gpu1b"), SLURM)
    )
    found = tie(store)
    assert found is not None
    assert found.says == "several nodes claim to be one machine: prod/gpu1, lab/gpu1, prod/gpu1b"
