"""The writing half of the Kubernetes backend: every step of a plan, done to one cluster, and read back.

Only the dispatcher is given this. A node's admission, stage and holds change in one guarded patch (`guarded`, `closing`);
work moves by eviction (`evictions`); nodes without a machine are made and deleted (`recreate`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from backends.kubernetes.boot import await_boot
from backends.kubernetes.closing import Change, apply_verdict, close, mark, release
from backends.kubernetes.connection import Api
from backends.kubernetes.effects import Effects
from backends.kubernetes.evictions import Move
from backends.kubernetes.guarded import DRY, NodeEditor, expect_same
from backends.kubernetes.held_by import holds_of
from backends.kubernetes.holders import foreign_holds
from backends.kubernetes.manifests import again
from backends.kubernetes.node_edit import NodeObject
from backends.kubernetes.our_keys import OurKeys
from backends.kubernetes.recreate import Recreate
from backends.kubernetes.vouched import attest
from fleet.errors import Missing, Rejected
from fleet.holder import Hold
from fleet.node import Stage
from fleet.operation import Effect, Outcome, Progress, StepState
from fleet.plan import (
    Action,
    ApplyVerdict,
    Attest,
    AwaitBoot,
    Before,
    Check,
    Close,
    Create,
    Mark,
    MoveWork,
    PutImage,
    Release,
    Remove,
    Step,
)
from fleet.ports import Clock, Reader

_NOT_YET_GATED = (Stage.PROVISIONING.value, Stage.REIMAGING.value)


class KubernetesWriter:
    """`fleet.ports.Writer` for one cluster. `prefix` begins every key it writes."""

    def __init__(self, api: Api, reader: Reader, clock: Clock, *, prefix: str = "node.lab/") -> None:
        self._api = api
        self._reader = reader
        self._clock = clock
        self._keys = OurKeys(prefix)
        self._editor = NodeEditor(api, clock, self._keys)
        self._recreate = Recreate(api, reader, self._editor, clock, self._keys)
        self._effects = Effects(reader, self._editor, self._recreate, self._keys, self._foreign)

    @property
    def source(self) -> str:
        return self._api.source

    async def prepare(self, step: Step) -> Step:
        """The step with the node as it is now: uid, boot, and for PutImage what makes the Node again.

        An AwaitBoot keeps what was recorded before the boot. A Node that is not there leaves the step as it is, where
        the step makes one, and where it was prepared before.
        """
        if isinstance(step.action, AwaitBoot):
            return step
        try:
            node = await self._editor.read(step.node.name)
        except Missing:
            if isinstance(step.action, Create | Remove) or step.before.manifest:
                return step
            raise
        if isinstance(step.action, Create):
            return step
        if isinstance(step.action, PutImage) and self._recreate.made(node, step, step.action.image):
            return step
        if not (node.metadata.uid == step.before.uid and node.metadata.deletion_timestamp):
            expect_same(step, node, self._keys)
        return replace(step, before=self._before(step, node, await self._manifest(step, node)))

    async def perform(self, step: Step, progress: Callable[[Progress], None]) -> Outcome:
        """Do one step to its end. See `fleet.ports.Writer.perform` for what it raises."""
        match step.action:
            case MoveWork() as action:
                move = Move(
                    step,
                    action,
                    api=self._api,
                    reader=self._reader,
                    editor=self._editor,
                    clock=self._clock,
                    report=progress,
                )
                return await move.run()
            case PutImage() as action:
                return await self._recreate.put_image(step, action, progress)
            case AwaitBoot() as action:
                outcome = await await_boot(
                    step, action, reader=self._reader, clock=self._clock, report=progress
                )
                await self._reached_the_gate(step)
                return outcome
            case Create() as action:
                return await self._recreate.create(step, action, progress)
            case Remove():
                return await self._recreate.remove(step, progress)
            case Check():
                raise Rejected(
                    "a check is the runner's: it comes here as the verdict it led to", about=step.id
                )
            case action:
                return await self._editor.change(step, self._edit(action))

    async def effect_of(self, step: Step) -> Effect:
        """Whether a step whose outcome was lost took effect. Raises FleetError where the node can't be read."""
        return await self._effects.of(step)

    async def dry_run(self, step: Step) -> Outcome:
        """Ask the server whether it would take a step's patch, permissions and version included. Changes nothing."""
        if isinstance(step.action, Close | Release | ApplyVerdict | Attest | Mark):
            return await self._editor.change(step, self._edit(step.action), query=DRY)
        return Outcome(step.id, step.node, StepState.SKIPPED, "only changes of a Node can be tried dry")

    def _edit(self, action: Action) -> Callable[[NodeObject], Change]:
        keys = self._keys
        match action:
            case Close():
                return lambda node: close(node, action, keys)
            case Release():
                return lambda node: release(node, action, keys, self._foreign)
            case ApplyVerdict():
                return lambda node: apply_verdict(node, action, keys, self._foreign)
            case Attest():
                return lambda node: Change(attest(node, action, keys), "written on the node")
            case Mark():
                return lambda node: mark(node, action, keys)
            case _:
                raise Rejected(f"{type(action).__name__} is no change of a Node")

    async def _reached_the_gate(self, step: Step) -> None:
        """Write that a node which has booted behind the gate is now gated."""

        def edit(node: NodeObject) -> Change:
            if node.closed(self._keys) and node.labels.get(self._keys.lifecycle) in _NOT_YET_GATED:
                return mark(node, Mark(Stage.GATED), self._keys)
            return Change(None, "as it was")

        await self._editor.change(replace(step, before=Before()), edit)

    async def _manifest(self, step: Step, node: NodeObject) -> str:
        if not isinstance(step.action, PutImage) or node.metadata.deletion_timestamp:
            return step.before.manifest
        facts = (await self._reader.read([step.node], work=False)).get(step.node)
        wanted = facts.node.image.desired if facts is not None else None
        return again(node, step.action, self._keys, wanted=wanted).text()

    def _before(self, step: Step, node: NodeObject, manifest: str) -> Before:
        keys, notes = self._keys, node.annotations
        planned, boot = step.before, node.boot_id
        if planned.uid:  # what was found before our own first step is kept: a cancel puts that back
            return replace(planned, uid=node.metadata.uid, boot_id=boot, manifest=manifest)
        holds = holds_of(notes.get(keys.held_by), notes.get(keys.unreadable))
        return Before(node.metadata.uid, boot, planned.image, node.unschedulable, holds, manifest)

    def _foreign(self, node: NodeObject) -> tuple[Hold, ...]:
        return foreign_holds(node, self._keys)
