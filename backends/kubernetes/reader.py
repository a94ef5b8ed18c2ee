"""Authoritative reads of one cluster, for plans and for the checks before each step: never from a cache or a feed.

No read names a resourceVersion, so every one is consistent. A few nodes are read one by one; of many, the lists are cheaper
for the server, since each query by node name may cost it a walk over every pod.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TypeVar
from urllib.parse import quote

from backends.kubernetes.budgets import BUDGETS, BudgetsByNamespace, by_namespace
from backends.kubernetes.claims_reader import ClaimsReader
from backends.kubernetes.connection import Api, Query
from backends.kubernetes.convert import node_of
from backends.kubernetes.errors import Expired
from backends.kubernetes.feeds import NODES, PODS
from backends.kubernetes.gpu_operator import operator_finding
from backends.kubernetes.node_keys import NodeKeys
from backends.kubernetes.permissions import allowed
from backends.kubernetes.placements import kept_out, placement_of
from backends.kubernetes.pods import PodShape
from backends.kubernetes.shapes import KubeObject, NodeShape, Reading
from backends.kubernetes.slurmd_pods import SlurmdPods
from backends.kubernetes.together import together
from fleet.errors import Denied, Garbled, Missing, Unreachable
from fleet.node import NodeKey
from fleet.plan import NodeFacts, Permission, SourceIdentity, Verb

FEW = 20
"""Up to so many nodes are read one by one."""
_PAGE = 500
_DEADLINE = timedelta(seconds=60)
_BUDGETS = "/apis/policy/v1/poddisruptionbudgets"
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
"""What a Node may be called (Kubernetes 1.36, a DNS subdomain)."""
_Object = TypeVar("_Object", bound=KubeObject)


class KubernetesReader:
    """A `fleet.ports.Reader` of one cluster."""

    def __init__(self, api: Api, keys: NodeKeys) -> None:
        self._api = api
        self._keys = keys
        self._slurmd = SlurmdPods.of(keys.policy.joins, api.source)
        self._claims = ClaimsReader(api, self._list)

    @property
    def source(self) -> str:
        return self._api.source

    async def identity(self) -> SourceIdentity:
        """The cluster by the uid of kube-system; by its address where we may not read that. Raises FleetError."""
        try:
            body = await self._api.get("/api/v1/namespaces/kube-system")
            uid = _NAMESPACE.one(body, about=self._api.server).metadata.uid
        except (Denied, Missing):
            uid = None
        return SourceIdentity(self.source, uid or self._api.server, self._api.server)

    async def read(self, nodes: Sequence[NodeKey], *, work: bool = True) -> Mapping[NodeKey, NodeFacts]:
        """Facts of the nodes that are there; without `work` no pod, budget or claim is asked for. Raises FleetError."""
        wanted = tuple(dict.fromkeys(key for key in nodes if key.source == self.source))
        if not wanted:
            return {}
        budgets = asyncio.ensure_future(self._budgets(work=work))
        try:
            many = len(wanted) > FEW
            found = await (
                self._many(wanted, work=work)
                if many
                else together(self._one(key, work=work) for key in wanted)
            )
            covers = await budgets
        finally:
            budgets.cancel()
            await asyncio.gather(budgets, return_exceptions=True)
        there = {key: pair for key, pair in zip(wanted, found, strict=True) if pair is not None}
        if len(there) <= FEW:
            facts = self._facts_of(there, covers)
        else:
            facts = await asyncio.to_thread(self._facts_of, there, covers)
        if not work:
            return facts
        return await self._claims.with_claims(facts, {key: pods for key, (_, pods) in there.items()})

    async def allowed(self, verbs: Sequence[Verb]) -> Mapping[Verb, Permission]:
        """Whether we may, by access reviews. Raises FleetError."""
        return await allowed(self._api, verbs)

    def _facts_of(
        self, found: Mapping[NodeKey, tuple[NodeShape, list[PodShape]]], budgets: BudgetsByNamespace
    ) -> Mapping[NodeKey, NodeFacts]:
        return {key: self._facts(shape, pods, budgets) for key, (shape, pods) in found.items()}

    def _facts(self, shape: NodeShape, pods: Sequence[PodShape], budgets: BudgetsByNamespace) -> NodeFacts:
        node = node_of(shape, self.source, self._keys)
        by_cordon = self._keys.policy.category(node.category).gate_by_cordon
        operator = operator_finding(shape, pods, self.source)
        return NodeFacts(
            node=node,
            version=shape.metadata.resource_version or "",
            unschedulable=shape.unschedulable,
            placements=tuple(placement_of(pod, budgets, self._slurmd) for pod in pods),
            kept_out=() if by_cordon else kept_out(pods, self._keys.ours),
            findings=() if operator is None else (operator,),
        )

    async def _one(self, key: NodeKey, *, work: bool) -> tuple[NodeShape, list[PodShape]] | None:
        if not _NAME.fullmatch(key.name):
            return None  # `..` would be another address
        path = f"/api/v1/nodes/{quote(key.name, safe='')}"
        try:
            node = NODES.one(await self._api.get(path), about=key.name)
        except Missing:
            return None
        if not work:
            return node, []
        pods = await self._list(PODS, "/api/v1/pods", (("fieldSelector", f"spec.nodeName={key.name}"),))
        return node, pods

    async def _many(
        self, keys: Sequence[NodeKey], *, work: bool
    ) -> list[tuple[NodeShape, list[PodShape]] | None]:
        names = {key.name for key in keys}
        nodes = {
            shape.metadata.name: shape
            for shape in await self._list(NODES, "/api/v1/nodes")
            if shape.metadata.name in names
        }
        bound: dict[str, list[PodShape]] = {name: [] for name in nodes}
        every = (("fieldSelector", "spec.nodeName!="),)
        for pod in await self._list(PODS, "/api/v1/pods", every) if work else ():
            node = pod.spec.node_name if pod.spec is not None else None
            if node in bound:
                bound[node].append(pod)
        return [(nodes[key.name], bound[key.name]) if key.name in nodes else None for key in keys]

    async def _budgets(self, *, work: bool) -> BudgetsByNamespace:
        """Every budget of the cluster. Where we may not list them none is named: the eviction API asks them all the same."""
        if not work:
            return {}
        try:
            return by_namespace(await self._list(BUDGETS, _BUDGETS))
        except (Denied, Missing):
            return {}

    async def _list(self, reading: Reading[_Object], path: str, selector: Query = ()) -> list[_Object]:
        """A whole list, in pages; begun anew where it grew too old on the way. Raises Garbled where an object can't be read."""
        for _ in range(3):
            try:
                return await self._pages(reading, path, selector)
            except Expired:
                continue
        raise Unreachable("the list grew too old before it was read, three times", about=path)

    async def _pages(self, reading: Reading[_Object], path: str, selector: Query) -> list[_Object]:
        objects: list[_Object] = []
        token = ""
        while True:
            query = [*selector, ("limit", str(_PAGE)), *([("continue", token)] if token else [])]
            body = await self._api.get(path, query, deadline=_DEADLINE)
            page = await asyncio.to_thread(reading.page, body, about=path)
            if page.unreadable:
                name, why = page.unreadable[0]
                raise Garbled(f"{name or 'an object'} can't be read: {why}", about=path)
            objects.extend(page.items)
            token = page.more
            if not token:
                return objects


_NAMESPACE = Reading(KubeObject)
