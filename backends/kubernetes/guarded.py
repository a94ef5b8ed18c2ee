"""Changes one Node under the version it was read at: read, check that the step still makes sense, edit, patch, or begin again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from backends.kubernetes.closing import Change
from backends.kubernetes.connection import MERGE_PATCH, Api, Query
from backends.kubernetes.held_by import holds_of
from backends.kubernetes.node_edit import NodeObject, read_node
from backends.kubernetes.our_keys import FIELD_MANAGER, OurKeys
from fleet import alone
from fleet.errors import Conflict
from fleet.operation import Outcome, StepState
from fleet.plan import Action, ApplyVerdict, Check, Close, Create, PutImage, Release, Remove, Step
from fleet.ports import Clock

NODES = "/api/v1/nodes"
MANAGED: Query = (("fieldManager", FIELD_MANAGER),)
DRY: Query = (*MANAGED, ("dryRun", "All"))
TRIES = 6
FIRST_PAUSE = timedelta(milliseconds=50)

DENIED_FOR = timedelta(minutes=1)
"""How long a refusal of what was allowed before may be a server that has just come up and knows no roles yet."""

T = TypeVar("T")


def node_path(name: str) -> str:
    """Where a Node lives."""
    return f"{NODES}/{quote(name, safe='')}"


def operation_of(action: Action) -> str:
    """The operation an action belongs to, where it says so."""
    match action:
        case Close(hold=hold) | PutImage(hold=hold) | Create(hold=hold):
            return hold.operation
        case Check(operation=operation) | ApplyVerdict(operation=operation) | Remove(operation=operation):
            return operation
        case Release(operations=(operation, *_)):
            return operation
        case _:
            return ""


def expect_same(step: Step, node: NodeObject, keys: OurKeys) -> None:
    """Raise Conflict where the node is not the machine the step was planned for, nor one this operation made of it."""
    operation = operation_of(step.action)
    made_by_us = operation != "" and node.annotations.get(keys.operation) == operation
    if step.before.uid and node.metadata.uid != step.before.uid and not made_by_us:
        raise Conflict("another machine has this name now than the one that was planned for", about=node.name)
    if node.metadata.deletion_timestamp and not made_by_us:
        raise Conflict("it is being deleted", about=node.name)


def expect_alone(step: Step, node: NodeObject, keys: OurKeys) -> None:
    """See `fleet.alone.expect_alone`, over the holds that are on the node."""
    held = holds_of(node.annotations.get(keys.held_by), node.annotations.get(keys.unreadable))
    alone.expect_alone(step, held)


def denial_may_pass(clock: Clock, allowed_at: float | None) -> bool:
    """Whether to ask again after a refusal; `allowed_at` is when the same was last allowed, on the monotonic clock."""
    return allowed_at is not None and clock.monotonic() - allowed_at < DENIED_FOR.total_seconds()


async def to_its_end(call: Coroutine[Any, Any, T]) -> T:
    """Await `call`; a cancel waits until it has ended, so that no change is left half sent."""
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise


class NodeEditor:
    """Reads Nodes and changes them with the version they were read at as the precondition."""

    def __init__(self, api: Api, clock: Clock, keys: OurKeys) -> None:
        self._api = api
        self._clock = clock
        self._keys = keys

    async def read(self, name: str) -> NodeObject:
        """The Node now, not from a cache. Raises Missing and other FleetErrors."""
        return read_node(await self._api.get(node_path(name)), about=name)

    def closed(self, node: NodeObject) -> bool:
        """Whether the scheduler is kept away from it."""
        return node.closed(self._keys)

    async def change(
        self, step: Step, edit: Callable[[NodeObject], Change], *, query: Query = MANAGED
    ) -> Outcome:
        """Apply `edit` to the node as it is now, again on each Conflict. Raises Conflict after several, or from `edit`."""
        name, pause = step.node.name, FIRST_PAUSE
        for _ in range(TRIES):
            node = await self.read(name)
            expect_same(step, node, self._keys)
            expect_alone(step, node, self._keys)
            change = edit(node)
            if change.patch is None:
                return Outcome(step.id, step.node, StepState.SKIPPED, change.says)
            try:
                body = await to_its_end(self._patch(name, change.patch, query))
            except Conflict:
                await self._clock.sleep(pause)
                pause *= 2
                continue
            version = read_node(body, about=name).metadata.resource_version
            return Outcome(step.id, step.node, StepState.DONE, change.says, f"resourceVersion {version}")
        raise Conflict(f"it changed under each of {TRIES} tries", about=name)

    async def _patch(self, name: str, patch: bytes, query: Query) -> bytes:
        return await self._api.send("PATCH", node_path(name), patch, content_type=MERGE_PATCH, query=query)
