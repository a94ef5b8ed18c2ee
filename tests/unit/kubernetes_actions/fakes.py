"""An API server of one node that answers as it is told, and a reader that tells what it is given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from backends.kubernetes.actions import KubernetesWriter
from backends.kubernetes.connection import Api
from fleet.errors import Conflict, FleetError, Missing
from fleet.node import Admission, Node, NodeKey, Readiness
from fleet.plan import Action, Before, NodeFacts, Permission, SourceIdentity, Step, Verb
from fleet.workload import Placement
from tests.clocks import ManualClock

KEY = NodeKey("lab", "n1")
Json = dict[str, Any]


class FakeApi:
    """Keeps one Node, and answers evictions as scripted. `before` runs ahead of each request and may raise."""

    source = "lab"

    def __init__(self) -> None:
        self.node: Json | None = {
            "metadata": {"name": "n1", "uid": "u1", "resourceVersion": "1", "labels": {}, "annotations": {}},
            "spec": {},
        }
        self.sent: list[tuple[str, str, Json]] = []
        self.fail: list[FleetError | None] = []
        self.evicted: list[str] = []
        self.refusals: dict[str, list[FleetError]] = {}
        self.versions = 1

    async def get(self, path: str, query: Sequence[tuple[str, str]] = (), **_: object) -> bytes:
        if self.node is None:
            raise Missing("not found", about=path)
        return json.dumps(self.node).encode()

    async def send(self, method: str, path: str, body: bytes = b"", **_: object) -> bytes:
        sent: Json = json.loads(body) if body else {}
        self.sent.append((method, path, sent))
        if path.endswith("/eviction"):
            return self._evict(sent)
        error = self.fail.pop(0) if self.fail else None
        if error is not None:
            raise error
        if method == "DELETE":
            return self._delete(sent)
        if method == "POST":
            self.node = sent
            sent["metadata"] |= {"uid": f"u{len(self.sent) + 1}", "resourceVersion": "1"}
            return json.dumps(sent).encode()
        return self._patch(sent)

    def touch(self, **annotations: str) -> None:
        """Somebody else changes the node."""
        if self.node is not None:
            self.versions += 1
            self.node["metadata"]["resourceVersion"] = str(self.versions)
            self.node["metadata"]["annotations"].update(annotations)

    def _evict(self, sent: Json) -> bytes:
        name = sent["metadata"]["name"]
        if refusals := self.refusals.get(name):
            raise refusals.pop(0)
        self.evicted.append(name)
        return b"{}"

    def _delete(self, sent: Json) -> bytes:
        if self.node is None:
            raise Missing("not found")
        guard = sent["preconditions"]
        meta = self.node["metadata"]
        if (guard["uid"], guard["resourceVersion"]) != (meta["uid"], meta["resourceVersion"]):
            raise Conflict("the precondition failed")
        self.node = None
        return b"{}"

    def _patch(self, sent: Json) -> bytes:
        if self.node is None:
            raise Missing("not found")
        meta = self.node["metadata"]
        if sent["metadata"].pop("resourceVersion") != meta["resourceVersion"]:
            raise Conflict("the object has been modified")
        merge(self.node, sent)
        self.touch()
        return json.dumps(self.node).encode()


class FakeReader:
    """Tells the placements it is given, in turn; the last for good."""

    source = "lab"

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.turns: list[tuple[Placement, ...] | FleetError] = [()]
        self.node = Node(
            KEY, uid="u1", admission=Admission.CORDONED, readiness=Readiness.READY, replaceable=True
        )
        self.looks = 0

    async def identity(self) -> SourceIdentity:
        return SourceIdentity("lab")

    async def read(self, nodes: Sequence[NodeKey], *, work: bool = True) -> Mapping[NodeKey, NodeFacts]:
        turn = self.turns[min(self.looks, len(self.turns) - 1)]
        self.looks += 1
        if isinstance(turn, FleetError):
            raise turn
        if self.api.node is None:
            return {}
        return {KEY: NodeFacts(self.node, unschedulable=True, placements=turn)}

    async def allowed(self, verbs: Sequence[Verb]) -> Mapping[Verb, Permission]:
        return dict.fromkeys(verbs, Permission.ALLOWED)


class Lab:
    """A writer over the fakes, and the clock that it sleeps on."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.reader = FakeReader(self.api)
        self.clock = ManualClock()
        self.writer = KubernetesWriter(cast("Api", self.api), self.reader, self.clock)

    def step(self, action: Action, before: Before | None = None) -> Step:
        return Step("lab/n1/1", KEY, action, "does it", Before(uid="u1") if before is None else before)


def merge(target: Json, patch: Json) -> None:
    """RFC 7386."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            merge(target.setdefault(key, {}), value)
        else:
            target[key] = value
