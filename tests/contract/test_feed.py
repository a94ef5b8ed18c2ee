"""What the feeds show of a cluster on good days and bad ones, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from backends.simulated.objects import NODES, PODS, Json
from fleet.feeds import FeedHealth
from fleet.node import Admission
from fleet.workload import NodeWork
from tests.contract.followed import Followed, followed

UNREACHABLE, LIVE, STARTING = FeedHealth.UNREACHABLE, FeedHealth.LIVE, FeedHealth.STARTING


def cordon(node: Json) -> None:
    node["spec"]["unschedulable"] = True


async def a_change_arrives(at: Followed, name: str) -> None:
    """Somebody cordons a node, and the store shows it."""
    at.edit(name, cordon)
    await at.until(lambda: at.row(name).node.admission is Admission.CORDONED, f"{name} is shown cordoned")


def open_node(at: Followed) -> str:
    return next(name for name in at.names if at.row(name).node.admission is Admission.OPEN)


async def test_a_fleet_is_listed_and_its_work_is_known() -> None:
    async with followed() as at:
        await at.until_live()
        assert len(at.names) == 6
        assert all(at.row(name).work is not None for name in at.names)
        assert any(at.row(name).work != NodeWork() for name in at.names)
        assert at.went_through() == [STARTING, LIVE]
        assert at.state().heard is not None


async def test_the_gpus_in_use_are_those_that_live_pods_ask_for() -> None:
    async with followed() as at:
        await at.until_live()
        for name in at.names:
            asked = 0
            for pod in at.simulation.store.pods_on(name):
                if pod["status"]["phase"] in ("Succeeded", "Failed"):
                    continue
                limits = [each.get("resources", {}).get("limits", {}) for each in pod["spec"]["containers"]]
                asked += sum(int(each.get("nvidia.com/gpu", 0)) for each in limits)
            work = at.row(name).work
            assert work is not None
            assert work.gpus_used == asked


async def test_a_change_a_deletion_and_a_new_node_arrive_by_the_watch() -> None:
    async with followed() as at:
        await at.until_live()
        name = open_node(at)
        await a_change_arrives(at, name)
        assert [hold.by for hold in at.row(name).node.holds] == ["unknown"]
        at.simulation.store.delete(NODES, name)
        await at.until(lambda: name not in at.names, "the node is gone")
        at.simulation.store.create(NODES, {"metadata": {"name": "new-1"}, "spec": {}, "status": {}})
        await at.until(lambda: "new-1" in at.names, "the new node is there")
        assert at.row("new-1").work == NodeWork()


async def test_a_pod_that_goes_takes_its_work_along() -> None:
    async with followed() as at:
        await at.until_live()
        name, pods = next(
            (name, pods)
            for name in at.names
            if (pods := at.simulation.store.pods_on(name)) and at.row(name).work != NodeWork()
        )
        for pod in list(pods):
            at.simulation.store.delete(PODS, pod["metadata"]["name"], pod["metadata"]["namespace"])
        await at.until(lambda: at.row(name).work == NodeWork(), "the node has no work")


async def survives(at: Followed, trouble: Callable[[], None]) -> list[FeedHealth]:
    """Whatever `trouble` is, a later change arrives. Gives the healths that the nodes feed had."""
    await at.until_live()
    trouble()
    await a_change_arrives(at, open_node(at))
    return at.went_through()


async def test_watches_that_end_cleanly_go_on_where_they_were() -> None:
    async with followed() as at:
        lists = [path for _, path in at.simulation.api.requests if "limit=" in path]
        assert await survives(at, at.simulation.api.cut_watches) == [STARTING, LIVE]
        again = [path for _, path in at.simulation.api.requests if "limit=" in path]
        assert len(again) - len(lists) == 2


async def test_one_watch_that_breaks_off_is_taken_up_without_a_word() -> None:
    async with followed() as at:
        assert await survives(at, lambda: at.simulation.api.cut_watches(abrupt=True)) == [STARTING, LIVE]


async def test_a_version_that_is_too_old_leads_to_a_new_list_that_removes_the_absent() -> None:
    async with followed() as at:
        await at.until_live()
        gone = open_node(at)
        await at.simulation.api.go_down()
        await at.until(lambda: at.health() is UNREACHABLE, "the feed is unreachable")
        at.simulation.store.delete(NODES, gone)
        at.simulation.api.forget_history()
        await at.simulation.api.come_back()
        await at.until(lambda: gone not in at.names, "the deleted node is gone")
        await at.until(lambda: at.health() is LIVE, "the feed is live again")


async def test_a_server_that_is_down_is_said_since_when_and_why_and_nothing_is_removed() -> None:
    async with followed() as at:
        await at.until_live()
        names = at.names
        await at.simulation.api.go_down()
        await at.until(lambda: at.health() is UNREACHABLE, "the feed is unreachable")
        state = at.state()
        assert "refused" in state.why or "closed" in state.why
        assert state.heard is not None
        assert state.since >= state.heard
        await at.clock.advance(timedelta(minutes=5))
        assert at.names == names
        await at.simulation.api.come_back()
        await at.until(lambda: at.health() is LIVE, "the feed is live again")
        assert at.went_through() == [STARTING, LIVE, UNREACHABLE, LIVE]


async def test_a_cluster_that_is_down_from_the_start_is_waited_for() -> None:
    async with followed(before=lambda simulation: simulation.api.throttle(2, retry_after=3)) as at:
        await at.until_live()
        assert FeedHealth.THROTTLED in at.went_through("nodes") + at.went_through("pods")


async def test_tokens_that_are_refused_are_a_denial_until_they_are_accepted() -> None:
    async with followed(before=lambda simulation: simulation.api.reject_tokens()) as at:
        await at.until(lambda: at.health() is FeedHealth.DENIED, "the feed is denied")
        assert "credentials" in at.state().why
        at.simulation.api.accept_tokens()
        await at.until_live()


async def test_where_pods_are_denied_the_nodes_are_shown_all_the_same() -> None:
    async with followed(before=lambda simulation: simulation.api.deny("list", "pods")) as at:
        await at.until(
            lambda: at.health("pods") is FeedHealth.DENIED and at.health() is LIVE, "pods are denied"
        )
        # Not the address first: a narrow screen cuts off what comes after it.
        assert at.state("pods").why.startswith("pods is forbidden")
        assert len(at.names) == 6
        assert all(at.row(name).work is None for name in at.names)
        at.simulation.api.allow("list", "pods")
        await at.until_live()
        assert all(at.row(name).work is not None for name in at.names)


async def test_a_denied_list_of_a_fleet_that_is_known_removes_nothing() -> None:
    async with followed() as at:
        await at.until_live()
        names = at.names
        at.simulation.api.deny("*", "nodes")
        at.simulation.api.forget_history()
        at.simulation.api.cut_watches()
        await at.until(lambda: at.health() is FeedHealth.DENIED, "the feed is denied")
        assert at.names == names


async def test_a_silent_watch_is_stale_until_there_is_word() -> None:
    async with followed(silence=timedelta(milliseconds=300)) as at:
        at.simulation.api.go_silent()
        await at.until(lambda: at.health() is FeedHealth.STALE, "the feed is stale")
        assert "no word" in at.state().why
        at.simulation.api.speak_again()
        await at.until(lambda: at.health() is LIVE, "the feed is live again")


async def test_after_an_outage_the_fleet_is_listed_anew() -> None:
    """A server put back from a backup answers a watch from its lost future with silence, so its word is asked for whole."""
    async with followed() as at:
        await at.until_live()
        await at.simulation.api.go_down()
        await at.until(lambda: at.health() is UNREACHABLE, "the feed is unreachable")
        before = lists(at)
        await at.simulation.api.come_back()
        await at.until(lambda: at.health() is LIVE, "the feed is live again")
        assert lists(at) > before


def lists(at: Followed) -> int:
    """How many lists of nodes were asked for so far."""
    return sum("/api/v1/nodes" in path and "watch=" not in path for _, path in at.simulation.api.requests)
