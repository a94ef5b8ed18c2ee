"""A served cluster of a few objects and a client that speaks plain HTTP to it, for the tests of the API server."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp

from backends.simulated.kubernetes_api import KubernetesApi
from backends.simulated.objects import NAMESPACES, NODES, PDBS, PODS, Json, ObjectStore
from backends.simulated.patches import MERGE
from tests.clocks import ManualClock

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


class Answer:
    """One answer, read to its end."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def names(self) -> list[str]:
        return [each["metadata"]["name"] for each in self.json["items"]]


class Stream:
    """One watch."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def event(self) -> Any:
        """The next event; None at the clean end of the stream."""
        async with asyncio.timeout(5):
            line = await self.response.content.readline()
        return json.loads(line) if line else None

    async def told(self) -> tuple[str, str]:
        """Type and object name of the next event."""
        event = await self.event()
        return event["type"], event["object"]["metadata"]["name"]


class Cluster:
    """A running API server with its store, its clock and a client."""

    def __init__(self, api: KubernetesApi, clock: ManualClock, session: aiohttp.ClientSession) -> None:
        self.api = api
        self.store = api.store
        self.clock = clock
        self._session = session

    async def ask(
        self, method: str, path: str, body: Any = None, *, headers: Json | None = None, media: str = ""
    ) -> Answer:
        sent = {"Content-Type": media or "application/json", **(headers or {})}
        content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self._session.request(method, self.api.url + path, data=content, headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask(
            "GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )

    async def patch(self, path: str, body: Any, media: str = MERGE) -> Answer:
        return await self.ask("PATCH", path, body, media=media)

    @asynccontextmanager
    async def advancing(self) -> AsyncIterator[None]:
        """Let time pass a second at a time, whenever something on the server waits for it."""

        async def pass_time() -> None:
            while True:
                await asyncio.sleep(0)
                if self.clock.sleepers:
                    await self.clock.advance(timedelta(seconds=1))

        passing = asyncio.ensure_future(pass_time())
        try:
            yield
        finally:
            passing.cancel()

    @asynccontextmanager
    async def watch(self, path: str, accept: str = "application/json") -> AsyncIterator[Stream]:
        async with self._session.get(self.api.url + path, headers={"Accept": accept}) as response:
            assert response.status == 200
            yield Stream(response)


def node(name: str, **labels: str) -> Json:
    return {"metadata": {"name": name, "labels": dict(labels)}, "spec": {}, "status": ready()}


def pod(name: str, on: str = "", namespace: str = "default", phase: str = "Running", **labels: str) -> Json:
    spec: Json = {"containers": [{"name": "main", "image": "work"}], "terminationGracePeriodSeconds": 30}
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {**spec, "nodeName": on} if on else spec,
        "status": {"phase": phase, **ready()},
    }


def ready() -> Json:
    return {"conditions": [{"type": "Ready", "status": "True", "reason": "Fine", "message": ""}]}


def budget(
    store: ObjectStore, name: str, *, allowed: int, healthy: int, wanted: int, app: str = "web"
) -> None:
    """A budget whose status has been worked out."""
    spec = {"minAvailable": wanted, "selector": {"matchLabels": {"app": app}}}
    store.create(PDBS, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
    status = {
        "observedGeneration": 1,
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": wanted,
    }
    store.update(PDBS, name, lambda obj: obj.update(status=status), "default")


def new_store(clock: ManualClock, history: int = 1000) -> ObjectStore:
    uids = itertools.count(1)
    store = ObjectStore(clock, lambda: f"uid-{next(uids)}", history=history)
    for name in ("default", "kube-system", "kube-node-lease"):
        store.create(NAMESPACES, {"metadata": {"name": name}, "status": {"phase": "Active"}})
    return store


@asynccontextmanager
async def served(
    *, token: str | None = None, anonymous: bool = True, history: int = 1000
) -> AsyncIterator[Cluster]:
    """A cluster of three namespaces, two nodes and a pod on each."""
    clock = ManualClock()
    store = new_store(clock, history)
    for name, category in (("gpu-1", "h100"), ("gpu-2", "a100")):
        store.create(NODES, node(name, category=category))
        store.create(PODS, pod(f"work-{name}", name, app="web"))
    api = KubernetesApi(store, clock, token=token, anonymous=anonymous)
    await api.start()
    try:
        async with aiohttp.ClientSession(
            auto_decompress=False, headers={"Accept-Encoding": "identity"}
        ) as session:
            yield Cluster(api, clock, session)
    finally:
        await api.stop()
