"""The Events of a node, asked of a real API: the field selector takes those of one node, and no others."""

from __future__ import annotations

from datetime import timedelta

from backends.kubernetes.past_events import NodeEvents
from fleet.timeline import EntryKind
from tests.contract.orchestrator import Json, Orchestrator


def event(name: str, about: Json, reason: str, at: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": about,
        "reason": reason,
        "message": "told by a test",
        "type": "Warning",
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": {"component": "quarterdeck-test"},
    }


async def test_only_the_events_of_the_node_itself_are_told(orchestrator: Orchestrator) -> None:
    key, other = await orchestrator.node(), await orchestrator.node()
    node = (await orchestrator.facts(key)).node
    now = orchestrator.clock.now()
    at = f"{now - timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}"
    for number, name in enumerate((key.name, other.name)):
        about = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": name}
        made = event(orchestrator.unique(f"event-{number}"), about, f"Test{number}", at)
        await orchestrator.make("/api/v1/namespaces/default/events", made)
    events = NodeEvents({orchestrator.source: orchestrator.api})
    found = await events.past(node, now - timedelta(hours=1), now + timedelta(minutes=1))
    ours = [entry for entry in found if entry.by == "quarterdeck-test"]
    assert [(entry.says, entry.kind) for entry in ours] == [("Test0: told by a test", EntryKind.EVENT)]
