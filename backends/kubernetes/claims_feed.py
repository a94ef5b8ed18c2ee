"""Follows the slices and the claims of a cluster that gives GPUs out by claims, and tells anew of the nodes that they are about.

It has no state of its own to show: while either can't be followed, what claims give out is unknown again, and a cluster that does
not serve the group, or does not let us look, is as it was. Slices are asked for of NVIDIA's driver alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from backends.kubernetes.claim_shapes import CLAIMS, GROUP, SLICES, VERSIONS, ClaimShape, SliceShape
from backends.kubernetes.claims import DRIVER, Claims, Slices
from backends.kubernetes.connection import SILENCE, Api
from backends.kubernetes.shapes import KubeObject, Page, WatchEvent
from backends.kubernetes.watch import ListWatch, tell
from backends.kubernetes.work import Roster
from fleet.errors import FleetError, Missing
from fleet.feeds import FeedHealth
from fleet.node import NodeKey
from fleet.observation import FeedChanged, NodeSeen, Observation, WorkSeen
from fleet.ports import Clock, Report

OF_DRIVER = f"spec.driver={DRIVER}"
LOOK_AGAIN = timedelta(minutes=10)
"""Between two looks at whether the group is served: an upgrade of the cluster brings it."""
TRY_AGAIN = timedelta(minutes=1)
"""Between two looks where the server was away, and at whether what can't be followed any more is still served."""
_WELL = (FeedHealth.STARTING, FeedHealth.LIVE)

Shape = TypeVar("Shape", bound=KubeObject)


class _Group(msgspec.Struct):
    class Version(msgspec.Struct):
        version: str = ""

    versions: list[Version] | None = None


async def served(api: Api) -> str:
    """The best version of the group that the cluster serves and we can read; empty where there is none. Raises FleetError."""
    try:
        group = msgspec.json.decode(await api.get(f"/apis/{GROUP}"), type=_Group)
    except (Missing, msgspec.DecodeError, UnicodeDecodeError):
        return ""
    names = {each.version for each in group.versions or ()}
    return next((version for version in VERSIONS if version in names), "")


class Index(Protocol):
    """What is kept of one kind; `put` and `drop` give what they touched."""

    def put(self, objects: Any, /) -> set[str]: ...
    def drop(self, shape: Any, /) -> set[str]: ...


Kept = TypeVar("Kept", bound=Index)


class KeptIntake(Generic[Shape, Kept]):
    """One kind, kept in an index. `told` makes the observations of what was touched, None for everything.

    `turned` is set where all of it became known, or unknown, between two lists: that is too much to tell at once.
    """

    def __init__(
        self,
        make: Callable[[], Kept],
        told: Callable[[set[str] | None], Iterable[Observation]],
        turned: asyncio.Event,
    ) -> None:
        self._make = make
        self._told = told
        self._turned = turned
        self._next = make()
        self._unreadable: set[str] = set()
        self.index: Kept | None = None
        self.broken = False

    @property
    def known(self) -> bool:
        """Whether all of it is known now."""
        return self.index is not None and not self.broken and not self._unreadable

    @property
    def note(self) -> str:
        return ""

    def begin(self) -> None:
        self._next = self._make()
        self._unreadable = set()

    def page(self, page: Page[Shape]) -> Sequence[Observation]:
        self._next.put(page.items)
        self._unreadable.update(name for name, _ in page.unreadable)
        return ()

    def complete(self) -> Iterable[Observation]:
        self.index = self._next
        return self._told(None)

    def event(self, event: WatchEvent[Shape]) -> Sequence[Observation]:
        known = self.known
        if event.unreadable is not None:
            self._unreadable.add(event.unreadable[0])
        if event.shape is None or self.index is None:
            self._note_turn(known)
            return ()
        self._unreadable.discard(event.shape.metadata.name)
        deleted = event.type == "DELETED"
        touched = self.index.drop(event.shape) if deleted else self.index.put([event.shape])
        self._note_turn(known)
        return tuple(self._told(touched))

    def _note_turn(self, known: bool) -> None:
        if known != self.known:
            self._turned.set()


class ClaimsFeed:
    """A `fleet.ports.Feed` of what claims give out, begun once `after` has been listed."""

    def __init__(
        self,
        api: Api,
        roster: Roster,
        *,
        clock: Clock,
        chance: Random,
        after: asyncio.Event,
        silence: timedelta = SILENCE,
    ) -> None:
        self._api = api
        self._roster = roster
        self._clock = clock
        self._chance = chance
        self._after = after
        self._silence = silence
        self._turned = asyncio.Event()
        self._begin()
        self._about: set[str] = set()  # every node that anything was told of

    async def follow(self, report: Report) -> None:
        """Report until cancelled. Where the group is not served it is looked for now and then, and nothing is told."""
        await self._after.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell_turns(report))
            while True:
                await self._follow(await self._version(), report)

    def _begin(self) -> None:
        """Know nothing yet."""
        self._slices = KeptIntake[SliceShape, Slices](Slices, self._of_slices, self._turned)
        self._claims = KeptIntake[ClaimShape, Claims](Claims, self._of_claims, self._turned)

    async def _follow(self, version: str, report: Report) -> None:
        """Report until that version is not served any more."""
        self._begin()
        group = f"/apis/{GROUP}/{version}"
        slices = self._watch(f"{group}/resourceslices", SLICES, self._slices, (("fieldSelector", OF_DRIVER),))
        claims = self._watch(f"{group}/resourceclaims", CLAIMS, self._claims, ())
        async with asyncio.TaskGroup() as tasks:
            following = (
                tasks.create_task(slices.follow(self._heard(self._slices, report))),
                tasks.create_task(claims.follow(self._heard(self._claims, report))),
            )
            await self._not_served(version)
            for each in following:
                each.cancel()

    async def _not_served(self, version: str) -> None:
        """Return once the cluster serves another version, or none. It is asked only while something can't be followed."""
        while True:
            await self._clock.sleep(TRY_AGAIN)
            if not (self._slices.broken or self._claims.broken):
                continue
            with suppress(FleetError):
                if await served(self._api) != version:
                    return

    async def _tell_turns(self, report: Report) -> None:
        """Tell of every node each time that what claims give out became unknown, or known again."""
        while True:
            await self._turned.wait()
            self._turned.clear()
            await tell(report, self._everything())

    async def _version(self) -> str:
        while True:
            try:
                if version := await served(self._api):
                    return version
            except FleetError:
                await self._clock.sleep(TRY_AGAIN)
            else:
                await self._clock.sleep(LOOK_AGAIN)

    def _watch(
        self, path: str, reading: Any, intake: Any, selector: tuple[tuple[str, str], ...]
    ) -> ListWatch[Any]:
        return ListWatch(
            self._api,
            path,
            path.rpartition("/")[2],
            reading,
            intake,
            clock=self._clock,
            chance=self._chance,
            selector=selector,
            silence=self._silence,
        )

    def _heard(self, intake: KeptIntake[Any, Any], report: Report) -> Report:
        """A report that keeps how the feed is to itself, and notes what that makes unknown, or known again."""

        def told(observations: Sequence[Observation]) -> None:
            facts = [each for each in observations if not isinstance(each, FeedChanged)]
            states = [each.state for each in observations if isinstance(each, FeedChanged)]
            if states and (broken := states[-1].health not in _WELL) != intake.broken:
                intake.broken = broken
                self._turned.set()
            if facts:
                report(facts)

        return told

    def _of_slices(self, nodes: set[str] | None) -> Iterable[Observation]:
        if nodes is None:
            return self._everything()
        self._about |= nodes
        return self._anew(nodes)

    def _of_claims(self, pools: set[str] | None) -> Iterable[Observation]:
        if pools is None:
            return self._everything()
        return () if self._slices.index is None else self._anew(self._slices.index.nodes_of(pools))

    def _everything(self) -> Iterable[Observation]:
        """Every node that is or was offered by slices, as it is now; nothing as long as it stays unknown."""
        roster, before = self._roster, self._roster.slices is not None
        slices, claims = self._slices, self._claims
        if slices.known and claims.known and slices.index is not None:
            roster.slices, roster.claims = slices.index, claims.index
            self._about |= set(slices.index.nodes)
        elif before:
            roster.slices = roster.claims = None
        else:
            return ()
        return self._told_of(set(self._about))

    def _anew(self, names: Iterable[str]) -> Iterable[Observation]:
        return () if self._roster.slices is None else self._told_of(names)

    def _told_of(self, names: Iterable[str]) -> Iterator[Observation]:
        for name in names:
            node = self._roster.seen(name) if name in self._roster.names else None
            if node is None:
                continue
            yield NodeSeen(node)
            if self._roster.index is not None:
                yield WorkSeen(NodeKey(self._api.source, name), self._roster.work(name))
