"""Whether a step whose outcome was lost took effect: told from the node as it is and as it was recorded, never guessed."""

from __future__ import annotations

from collections.abc import Callable

from backends.kubernetes.boot import lacking
from backends.kubernetes.closing import Change, ForeignHolds, apply_verdict, release
from backends.kubernetes.guarded import NodeEditor, operation_of
from backends.kubernetes.held_by import read_held_by
from backends.kubernetes.node_edit import NodeObject
from backends.kubernetes.our_keys import OurKeys
from backends.kubernetes.recreate import Recreate
from backends.kubernetes.vouched import attest
from fleet.errors import Conflict, Missing
from fleet.operation import Effect
from fleet.plan import (
    ApplyVerdict,
    Attest,
    AwaitBoot,
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
from fleet.ports import Reader
from fleet.verbs.drain_filters import sort_placements

_TOLD = {True: Effect.TOOK, False: Effect.NOT}


class Effects:
    """Reads back what became of a step."""

    def __init__(
        self, reader: Reader, editor: NodeEditor, recreate: Recreate, keys: OurKeys, foreign: ForeignHolds
    ) -> None:
        self._reader = reader
        self._editor = editor
        self._recreate = recreate
        self._keys = keys
        self._foreign = foreign

    async def of(self, step: Step) -> Effect:
        """TOOK, NOT or UNKNOWN. Raises FleetError where the node can't be read."""
        match step.action:
            case Check():
                return Effect.NOT
            case MoveWork() | AwaitBoot():
                return await self._by_facts(step)
            case PutImage() | Create() | Remove():
                return await self._by_uid(step)
            case _:
                return await self._by_marks(step)

    async def _by_facts(self, step: Step) -> Effect:
        facts = (await self._reader.read([step.node])).get(step.node)
        if isinstance(step.action, AwaitBoot):
            return _TOLD[not lacking(step, step.action, facts)]
        if facts is None or (step.before.uid and facts.node.uid != step.before.uid):
            return Effect.UNKNOWN
        if isinstance(step.action, MoveWork):
            return _TOLD[not sort_placements(facts.placements, step.action.options).must_go]
        return Effect.UNKNOWN

    async def _by_uid(self, step: Step) -> Effect:
        try:
            node = await self._editor.read(step.node.name)
        except Missing:
            return _TOLD[isinstance(step.action, Remove)]
        same = node.metadata.uid == step.before.uid
        match step.action:
            case Remove():
                return _TOLD[not same] if step.before.uid else Effect.UNKNOWN
            case PutImage(image=image):
                if same:
                    return Effect.NOT
                return Effect.TOOK if self._recreate.made(node, step, image) else Effect.UNKNOWN
            case _:
                made_by_us = node.annotations.get(self._keys.operation) == operation_of(step.action) != ""
                return Effect.TOOK if made_by_us else Effect.UNKNOWN

    async def _by_marks(self, step: Step) -> Effect:
        """The effect of one guarded patch: it is there whole or not at all."""
        try:
            node = await self._editor.read(step.node.name)
        except Missing:
            return Effect.NOT
        held = read_held_by(node.annotations.get(self._keys.held_by))
        match step.action:
            case Close(hold=hold, stage=stage, gate=gate):
                there = held.of(hold.operation)
                stands = stage is None or node.labels.get(self._keys.lifecycle) == stage.value
                return _TOLD[there is not None and stands and (not gate or node.gated(self._keys))]
            case Release() as lifting:
                return self._would_change(
                    node, lambda there: release(there, lifting, self._keys, self._foreign)
                )
            case Mark(stage=stage):
                return _TOLD[node.labels.get(self._keys.lifecycle) == stage.value]
            case Attest() as word:
                return _TOLD[attest(node, word, self._keys) is None]
            case ApplyVerdict() as verdict:
                return self._would_change(
                    node, lambda there: apply_verdict(there, verdict, self._keys, self._foreign)
                )
            case _:
                return Effect.UNKNOWN

    def _would_change(self, node: NodeObject, edit: Callable[[NodeObject], Change]) -> Effect:
        try:
            return _TOLD[edit(node).patch is None]
        except Conflict:
            return Effect.UNKNOWN
