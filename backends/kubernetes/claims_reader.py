"""Reads fresh, for plans and checks, which GPUs claims give out on nodes whose agents count none, and which pods have them.

Where the group is not served, or may not be read, such nodes are left as they are: how many GPUs they have is not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from backends.kubernetes.claim_shapes import CLAIMS, GROUP, SLICES
from backends.kubernetes.claims import Claims, Slices
from backends.kubernetes.claims_feed import LOOK_AGAIN, OF_DRIVER, served
from backends.kubernetes.connection import Api, Query
from backends.kubernetes.pods import PodShape
from backends.kubernetes.work import counts_none, with_offer
from fleet.errors import Denied, FleetError, Garbled, Missing, Rejected
from fleet.node import NodeKey
from fleet.plan import NodeFacts

Lists = Callable[[Any, str, Query], Awaitable[list[Any]]]
"""A whole list of one kind at a path, in pages."""


class ClaimsReader:
    """What a cluster's reader asks beside nodes and pods. `lists` is the reader's own way to list.

    Which version of the group is served is asked once, again where it is gone, and now and then where none was.
    """

    def __init__(self, api: Api, lists: Lists) -> None:
        self._api = api
        self._lists = lists
        self._group: str | None = None
        self._asked = 0.0

    async def with_claims(
        self, facts: Mapping[NodeKey, NodeFacts], pods: Mapping[NodeKey, Sequence[PodShape]]
    ) -> Mapping[NodeKey, NodeFacts]:
        """The facts, with what claims tell of those nodes whose agents count no GPUs.

        What can't be read keeps nobody from reading the nodes. Raises FleetError where the server is away, or asks us to slow down.
        """
        asking = [key for key, found in facts.items() if counts_none(found.node)]
        if not asking:
            return facts
        try:
            try:
                told = await self._by_claims(asking, facts, pods)
            except Missing:
                self._group = None  # the version that was served is not any more
                told = await self._by_claims(asking, facts, pods)
        except (Missing, Denied, Garbled, Rejected) as error:
            told = _untold(asking, facts, pods, error)
        return {**facts, **told}

    async def _by_claims(
        self,
        asking: Sequence[NodeKey],
        facts: Mapping[NodeKey, NodeFacts],
        pods: Mapping[NodeKey, Sequence[PodShape]],
    ) -> Mapping[NodeKey, NodeFacts]:
        """The facts of those nodes that slices tell of. Raises FleetError."""
        group = await self._served()
        if not group:
            return {}
        slices = await self._slices(group, asking)
        offered = [key for key in asking if slices.offer(key.name) is not None]
        using = {
            pod.metadata.namespace or ""
            for key in offered
            for pod in pods[key]
            if pod.spec is not None and pod.spec.resource_claims
        }
        claims = await self._claims(group, using)
        return await asyncio.to_thread(lambda: {key: _told(facts[key], slices, claims) for key in offered})

    async def _served(self) -> str:
        now = self._api.clock.monotonic()
        look_again = self._group == "" and now - self._asked >= LOOK_AGAIN.total_seconds()
        if self._group is None or look_again:
            version = await served(self._api)
            self._group, self._asked = f"/apis/{GROUP}/{version}" if version else "", now
        return self._group

    async def _slices(self, group: str, nodes: Sequence[NodeKey]) -> Slices:
        slices = Slices()
        of_node = f",spec.nodeName={nodes[0].name}" if len(nodes) == 1 else ""
        selector = (("fieldSelector", OF_DRIVER + of_node),)
        listed = await self._lists(SLICES, f"{group}/resourceslices", selector)
        await asyncio.to_thread(slices.put, listed)
        return slices

    async def _claims(self, group: str, namespaces: set[str]) -> Claims:
        claims = Claims()
        for namespace in sorted(namespaces):
            listed = await self._lists(CLAIMS, f"{group}/namespaces/{namespace}/resourceclaims", ())
            await asyncio.to_thread(claims.put, listed)
        return claims


def _untold(
    asking: Sequence[NodeKey],
    facts: Mapping[NodeKey, NodeFacts],
    pods: Mapping[NodeKey, Sequence[PodShape]],
    error: FleetError,
) -> Mapping[NodeKey, NodeFacts]:
    """The facts of those nodes on which pods have devices by claims, saying that how many is not known."""
    found: dict[NodeKey, NodeFacts] = {}
    for key in asking:
        using = sum(bool(pod.spec is not None and pod.spec.resource_claims) for pod in pods[key])
        if using:
            who = "1 pod holds" if using == 1 else f"{using} pods hold"
            found[key] = replace(facts[key], untold=f"how many GPUs {who} by claims is not known: {error}")
    return found


def _told(facts: NodeFacts, slices: Slices, claims: Claims) -> NodeFacts:
    """One node's facts with its offer, and each of its pods with the devices that it has by claims."""
    name = facts.node.key.name
    kinds = slices.kinds(name)
    held = claims.held({pool for pool, _ in kinds}, kinds)

    def devices(uid: str) -> int:
        return sum(uid in device.pods for device in held)

    placements = tuple(replace(each, gpus=devices(each.uid) or each.gpus) for each in facts.placements)
    return replace(facts, node=with_offer(facts.node, slices.offer(name)), placements=placements)
