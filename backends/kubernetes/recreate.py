"""The imager `recreate`, and the two other steps that make or delete a Node: provision and retire.

A Node is deleted by uid and version, only while it is closed and a consistent list shows no pod bound to it but those that
belong to the node itself. What makes it again was written down before (`Before.manifest`), so that a crash between the
delete and the create loses nothing: performing the step once more makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec

from backends.kubernetes.connection import Api
from backends.kubernetes.errors import AlreadyThere
from backends.kubernetes.guarded import (
    MANAGED,
    NODES,
    TRIES,
    NodeEditor,
    expect_alone,
    expect_same,
    node_path,
    operation_of,
    to_its_end,
)
from backends.kubernetes.manifests import again, anew
from backends.kubernetes.node_edit import NodeObject, read_node
from backends.kubernetes.our_keys import KWOK, OurKeys, slug
from fleet.errors import (
    Blocked,
    Conflict,
    Garbled,
    Missing,
    OutcomeUnknown,
    Rejected,
    Throttled,
    TimedOut,
    Unreachable,
)
from fleet.operation import Outcome, Progress, StepState, Waiting
from fleet.plan import Create, NodeFacts, PutImage, Step
from fleet.ports import Clock, Reader
from fleet.workload import Keeper

IMAGER = "recreate"
GONE_WITHIN = timedelta(minutes=2)
MADE_WITHIN = timedelta(minutes=2)
"""How long a create is tried again where the API server is away, before the step is left to be resumed."""
PAUSE = timedelta(seconds=1)
PAGE = 100


class _Preconditions(msgspec.Struct, rename="camel", omit_defaults=True):
    uid: str
    resource_version: str | None = None


class _DeleteOptions(msgspec.Struct, rename="camel"):
    preconditions: _Preconditions
    api_version: str = "v1"
    kind: str = "DeleteOptions"


class _NodeList(msgspec.Struct):
    items: list[NodeObject] | None = None


class Recreate:
    """Deletes and creates Nodes for one source."""

    def __init__(self, api: Api, reader: Reader, editor: NodeEditor, clock: Clock, keys: OurKeys) -> None:
        self._api = api
        self._reader = reader
        self._editor = editor
        self._clock = clock
        self._keys = keys

    async def put_image(self, step: Step, action: PutImage, report: Callable[[Progress], None]) -> Outcome:
        """Delete the Node and create it at the image. Raises Blocked, Conflict, Missing, and OutcomeUnknown once it is deleted."""
        if action.imager != IMAGER:
            raise Rejected(f"this source has no imager {action.imager!r}", about=step.node.name)
        for _ in range(TRIES):
            try:
                node = await self._editor.read(step.node.name)
            except Missing:
                if not step.before.manifest:
                    raise
                return await to_its_end(self._make(step, step.before.manifest, report))
            if self.made(node, step, action.image):
                return Outcome(
                    step.id, step.node, StepState.SKIPPED, "made already", f"uid {node.metadata.uid}"
                )
            manifest = await self._manifest(step, action, node)
            outcome = await to_its_end(self._replace(step, node, manifest, report))
            if outcome is not None:
                return outcome
            await self._clock.sleep(PAUSE)
        raise Conflict(f"it changed under each of {TRIES} tries", about=step.node.name)

    async def create(self, step: Step, action: Create, report: Callable[[Progress], None]) -> Outcome:
        """Make a new gated node. Raises Rejected on a fleet of machines, Conflict where the name is taken."""
        siblings = await self._nodes((("labelSelector", f"{self._keys.category}={slug(action.category)}"),))
        like = next((node for node in siblings if self._is_model(node)), None)
        if like is None and not any(KWOK in node.annotations for node in await self._nodes()):
            raise Rejected(
                "nodes are made on a simulated or KWOK fleet only; here machines register themselves"
            )
        manifest = anew(step.node.name, action, self._keys, like)
        return await to_its_end(self._make(step, manifest.text(), report))

    def _is_model(self, node: NodeObject) -> bool:
        """Whether a new node of its category may have its hardware: what a drill gave its own node is nobody else's."""
        return KWOK in node.annotations and self._keys.drill not in node.annotations

    async def remove(self, step: Step, report: Callable[[Progress], None]) -> Outcome:
        """Delete the Node by uid and wait until it is gone. Raises Blocked while pods are bound, Conflict, TimedOut."""
        for _ in range(TRIES):
            try:
                node = await self._editor.read(step.node.name)
            except Missing:
                return Outcome(step.id, step.node, StepState.SKIPPED, "gone already")
            if not self._going(step, node):
                expect_same(step, node, self._keys)
                facts = await self._may_go(step, node)
                if facts.node.owner:
                    raise Blocked(f"{facts.node.owner} owns it and would bring it back", about=node.name)
                if not await to_its_end(self._delete(node)):
                    await self._clock.sleep(PAUSE)
                    continue
            await self._until_gone(step, node, report)
            return Outcome(step.id, step.node, StepState.DONE, "removed", f"uid {node.metadata.uid}")
        raise Conflict(f"it changed under each of {TRIES} tries", about=step.node.name)

    async def _manifest(self, step: Step, action: PutImage, node: NodeObject) -> str:
        """What makes this Node again, as it is now: a hold written since the step was prepared is not lost."""
        if not step.before.manifest:
            raise Rejected(
                "the step was not prepared: nothing says how to make the node again", about=node.name
            )
        if self._going(step, node):
            return step.before.manifest
        expect_same(step, node, self._keys)
        facts = await self._may_go(step, node)
        return again(node, action, self._keys, wanted=facts.node.image.desired).text()

    def _going(self, step: Step, node: NodeObject) -> bool:
        """Whether this is the recorded Node, deleted already and kept by a finalizer."""
        return node.metadata.uid == step.before.uid and node.metadata.deletion_timestamp is not None

    async def _may_go(self, step: Step, node: NodeObject) -> NodeFacts:
        """The facts that let the Node be deleted. Raises Blocked or Conflict where they don't."""
        expect_alone(step, node, self._keys)
        facts = (await self._reader.read([step.node])).get(step.node)
        if facts is None or facts.node.uid != node.metadata.uid:
            raise Conflict("it changed under us", about=node.name)
        if not node.closed(self._keys):
            raise Conflict("somebody opened it", about=node.name)
        bound = [item.label for item in facts.placements if item.keeper not in (Keeper.DAEMON, Keeper.MIRROR)]
        if bound:
            more = f" and {len(bound) - 3} more" if len(bound) > 3 else ""
            raise Blocked(f"still bound to it: {', '.join(bound[:3])}{more}", about=node.name)
        if isinstance(step.action, PutImage):
            if not facts.node.replaceable:
                raise Blocked(
                    "it has a machine behind it: recreate serves KWOK and simulated nodes only",
                    about=node.name,
                )
            for reason in filter(None, (facts.node.owner, facts.node.upgrade)):
                raise Blocked(f"somebody else works on it: {reason}", about=node.name)
        return facts

    async def _replace(
        self, step: Step, node: NodeObject, manifest: str, report: Callable[[Progress], None]
    ) -> Outcome | None:
        """Delete and create; None where the Node changed, or may have, so that it has to be looked at again."""
        if not self._going(step, node) and not await self._delete(node):
            return None
        await self._until_gone(step, node, report)
        return await self._make(step, manifest, report)

    async def _delete(self, node: NodeObject) -> bool:
        """Delete exactly this version of the Node; False where it has to be looked at again."""
        guard = _Preconditions(node.metadata.uid, node.metadata.resource_version)
        body = msgspec.json.encode(_DeleteOptions(guard))
        try:
            await self._api.send("DELETE", node_path(node.name), body)
        except (Conflict, OutcomeUnknown):
            return False
        except Missing:
            return True
        return True

    async def _until_gone(self, step: Step, node: NodeObject, report: Callable[[Progress], None]) -> None:
        until = self._clock.monotonic() + GONE_WITHIN.total_seconds()
        while True:
            try:
                there = await self._editor.read(node.name)
            except Missing:
                return
            except (Unreachable, Throttled) as error:
                report(Progress(step.id, step.node, f"deleted; can't see yet whether it is gone: {error}"))
            else:
                if there.metadata.uid != node.metadata.uid:
                    return
                waiting = Waiting("the old Node", "to go: a finalizer holds it")
                report(Progress(step.id, step.node, "deleted, not gone yet", (waiting,)))
            if self._clock.monotonic() >= until:
                raise TimedOut(
                    "it is marked as deleted and does not go: a finalizer holds it", about=node.name
                )
            await self._clock.sleep(PAUSE)

    async def _make(self, step: Step, manifest: str, report: Callable[[Progress], None]) -> Outcome:
        """Create the Node, again while the API server is away. Raises OutcomeUnknown where it could not be made in time."""
        until = self._clock.monotonic() + MADE_WITHIN.total_seconds()
        while True:
            try:
                made = read_node(await self._api.send("POST", NODES, manifest.encode(), query=MANAGED))
            except AlreadyThere:
                return await self._already(step)
            except (Unreachable, Throttled, OutcomeUnknown) as error:
                report(Progress(step.id, step.node, f"can't make the Node yet, trying again: {error}"))
                if self._clock.monotonic() >= until:
                    says = f"the Node is not made yet, resume makes it: {error.message}"
                    raise OutcomeUnknown(says, about=step.node.name) from error
                await self._clock.sleep(PAUSE)
                continue
            return Outcome(step.id, step.node, StepState.DONE, "made", f"uid {made.metadata.uid}")

    async def _already(self, step: Step) -> Outcome:
        node = await self._editor.read(step.node.name)
        operation = operation_of(step.action)
        if operation == "" or node.annotations.get(self._keys.operation) != operation:
            raise Conflict("a node of that name is there already, and not of this operation", about=node.name)
        return Outcome(step.id, step.node, StepState.DONE, "made", f"uid {node.metadata.uid}")

    def made(self, node: NodeObject, step: Step, image: str) -> bool:
        """Whether this is the Node that this very operation made of the one recorded."""
        return (
            node.metadata.uid != step.before.uid != ""
            and node.annotations.get(self._keys.operation) == operation_of(step.action) != ""
            and node.annotations.get(self._keys.image) == image
        )

    async def _nodes(self, query: tuple[tuple[str, str], ...] = ()) -> list[NodeObject]:
        """At most one page of nodes, enough to see what kind of fleet it is."""
        body = await self._api.get(NODES, (*query, ("limit", str(PAGE))))
        try:
            return msgspec.json.decode(body, type=_NodeList).items or []
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Garbled(f"the list of nodes can't be read: {error}") from error
