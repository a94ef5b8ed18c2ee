"""Takes a drill's objects away, in an order in which a crash loses sight of none: the namespace, by which it is found, last.

Only what is the drill's own goes: a node by the name that follows from the namespace, with no machine behind it and nobody
else's work on it. What has to stay is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote

import msgspec

from backends.kubernetes.connection import Api, Query
from backends.kubernetes.drill_objects import BUDGET, WORK, node_of
from backends.kubernetes.feeds import PODS
from backends.kubernetes.guarded import node_path
from backends.kubernetes.node_edit import read_node
from backends.kubernetes.our_keys import KWOK
from backends.kubernetes.pods import keeper_of
from fleet.errors import FleetError, Missing, Unreachable
from fleet.ports import Clock
from fleet.workload import Keeper

GONE_WITHIN = timedelta(seconds=60)
PAUSE = timedelta(seconds=0.5)
_NOW = msgspec.json.encode(
    {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Background"}
)


class Clearing:
    """Removes the ground of one drill. What is refused is told, and the rest is removed all the same."""

    def __init__(self, api: Api, clock: Clock, namespace: str) -> None:
        self._api = api
        self._clock = clock
        self._namespace = namespace
        self._node = node_of(namespace)
        self._left: list[str] = []

    async def clear(self) -> Sequence[str]:
        """Gives what could not be removed, in words; empty where nothing is left.

        Raises Unreachable as soon as the server is away: what of it was ever made can't be told then.
        """
        inside = f"/namespaces/{quote(self._namespace, safe='')}"
        await self._delete(f"/apis/policy/v1{inside}/poddisruptionbudgets/{BUDGET}", f"budget {BUDGET}")
        await self._delete(f"/apis/apps/v1{inside}/deployments/{WORK}", f"deployment {WORK}")
        await self._clear_pods(f"/api/v1{inside}/pods")
        await self._clear_node()
        if not self._left:
            await self._delete(f"/api/v1{inside}", f"namespace {self._namespace}", wait=True)
        elif not any(line.startswith("namespace ") for line in self._left):
            self._left.append(f"namespace {self._namespace}, by which the next drill finds the rest")
        return tuple(self._left)

    async def _clear_pods(self, path: str) -> None:
        """End the pods at once, again as long as any comes back, until there are none."""
        until = self._clock.monotonic() + GONE_WITHIN.total_seconds()
        try:
            while pods := PODS.page(await self._api.get(path)).items:
                if self._clock.monotonic() > until:
                    self._left.append(f"pod {pods[0].metadata.name} in {self._namespace}")
                    return
                for pod in pods:
                    try:
                        await self._api.send("DELETE", f"{path}/{quote(pod.metadata.name, safe='')}", _NOW)
                    except Missing:
                        continue
                await self._clock.sleep(PAUSE)
        except Missing:
            return
        except Unreachable:
            raise
        except FleetError as error:
            self._left.append(f"pods in {self._namespace}: {error}")

    async def _clear_node(self) -> None:
        try:
            node = read_node(await self._api.get(node_path(self._node)), about=self._node)
            if KWOK not in node.annotations:
                self._left.append(f"node {self._node}: it has a machine behind it, so it is not the drill's")
                return
            bound = await self._foreign()
        except Missing:
            return
        except Unreachable:
            raise
        except FleetError as error:
            self._left.append(f"node {self._node}: {error}")
            return
        if bound:
            self._left.append(f"node {self._node}: work of others is bound to it ({bound[0]})")
            return
        await self._delete(node_path(self._node), f"node {self._node}", uid=node.metadata.uid, wait=True)

    async def _foreign(self) -> list[str]:
        query: Query = (("fieldSelector", f"spec.nodeName={self._node}"),)
        pods = PODS.page(await self._api.get("/api/v1/pods", query)).items
        return [
            f"{pod.metadata.namespace}/{pod.metadata.name}"
            for pod in pods
            if pod.metadata.namespace != self._namespace
            and not pod.finished
            and keeper_of(pod.metadata) not in (Keeper.DAEMON, Keeper.MIRROR)
        ]

    async def _delete(self, path: str, what: str, *, uid: str = "", wait: bool = False) -> None:
        options: dict[str, object] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
        }
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self._api.send("DELETE", path, msgspec.json.encode(options))
            if wait and not await self._gone(path):
                self._left.append(f"{what}: it is on its way out, but not gone yet")
        except Missing:
            return
        except Unreachable:
            raise
        except FleetError as error:
            self._left.append(f"{what}: {error}")

    async def _gone(self, path: str) -> bool:
        until = self._clock.monotonic() + GONE_WITHIN.total_seconds()
        while self._clock.monotonic() <= until:
            try:
                await self._api.get(path)
            except Missing:
                return True
            await self._clock.sleep(PAUSE)
        return False
