"""The last known fleet: what is kept, when, and how it gives way to what is live."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from backends.last_known_fleet.codec import MAGIC, Header, KeptNode, decode, encode
from backends.last_known_fleet.files import KeptFiles
from backends.last_known_fleet.keeper import EVERY, UNCHANGED_FOR, LastKnownFleet
from backends.last_known_fleet.recall import WORK_WITHIN, KeptSource
from fleet.errors import FleetError, Garbled, Unreachable
from fleet.feeds import FeedHealth, FeedState
from fleet.node import Condition, NodeKey, Stage, Taint
from fleet.observation import FeedChanged, LastKnown, Listed, NodeSeen, Observation, TelemetrySeen, WorkSeen
from fleet.plan import SourceIdentity
from fleet.store import FleetStore
from tests import builders
from tests.clocks import START, ManualClock

KEY = "kubernetes https://prod:6443 prod"


class Program:
    """One run of the program: a store that is told things, and the last known fleet beside it."""

    def __init__(self, folder: Path, clock: ManualClock, *sources: str, identity: str = "uid-1") -> None:
        self.clock = clock
        self.store = FleetStore()
        self.remarks: list[str] = []
        self.identity: SourceIdentity | FleetError = SourceIdentity("prod", identity, "https://prod:6443")
        self.files = KeptFiles(folder)
        kept = [
            KeptSource(name, KEY.replace("prod", name), f"https://{name}:6443", self._identity)
            for name in sources or ("prod",)
        ]
        self.keeper = LastKnownFleet(self.files, kept, self.store, clock, self.remarks.append)

    async def _identity(self) -> SourceIdentity:
        if isinstance(self.identity, FleetError):
            raise self.identity
        return self.identity

    def report(self, observations: Sequence[Observation]) -> None:
        self.store.apply_all(observations)
        self.keeper.hear()

    def feed(self, health: FeedHealth, name: str = "nodes", source: str = "prod", why: str = "") -> None:
        heard = self.clock.now() if health is FeedHealth.LIVE else None
        self.report([FeedChanged(FeedState(source, name, health, self.clock.now(), heard, why))])

    def list(self, *names: str, source: str = "prod") -> None:
        """A complete list of nodes, live."""
        self.report([NodeSeen(builders.node(name, source=source)) for name in names])
        self.report([Listed(source, frozenset(names))])
        self.feed(FeedHealth.LIVE, source=source)

    def names(self, source: str = "prod") -> set[str]:
        return {key.name for key in self.store.rows_by_key if key.source == source}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Program]:
        following = asyncio.ensure_future(self.keeper.follow(self.report))
        try:
            yield self
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def until(self, true: object) -> None:
        async with asyncio.timeout(5):
            while not true():  # type: ignore[operator]
                await asyncio.sleep(0.001)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def seen_before(folder: Path, clock: ManualClock, *names: str, source: str = "prod") -> None:
    """An earlier run saw these, two hours ago."""
    before = Program(folder, clock, source)
    before.list(*names, source=source)
    for name in names:
        before.report([WorkSeen(NodeKey(source, name), builders.work("train", gpus=8))])
        before.report([TelemetrySeen(NodeKey(source, name), builders.telemetry())])
    await before.keeper.one_round()
    await clock.advance(timedelta(hours=2))


async def test_a_start_tells_the_fleet_that_was_last_seen_and_when(
    tmp_path: Path, clock: ManualClock
) -> None:
    await seen_before(tmp_path, clock, "gpu-1", "gpu-2")
    async with Program(tmp_path, clock).running() as now:
        await now.until(lambda: now.names() == {"gpu-1", "gpu-2"})
        assert now.store.last_known == {"prod": START}
        row = now.store.record(NodeKey("prod", "gpu-1"))
        assert row is not None
        assert row.node == builders.node("gpu-1", source="prod")
        assert row.work == builders.work("train", gpus=8)
        assert row.telemetry is None, "yesterday's temperature is not today's"


async def test_an_unreachable_source_stays_last_known(tmp_path: Path, clock: ManualClock) -> None:
    await seen_before(tmp_path, clock, "gpu-1")
    async with Program(tmp_path, clock).running() as now:
        now.identity = Unreachable("connection refused")
        await now.until(lambda: now.names() == {"gpu-1"})
        now.feed(FeedHealth.UNREACHABLE, why="connection refused")
        await clock.advance(timedelta(minutes=5))
        assert now.names() == {"gpu-1"}
        assert now.store.last_known == {"prod": START}


async def test_a_complete_list_takes_the_absent_away_and_ends_it(tmp_path: Path, clock: ManualClock) -> None:
    await seen_before(tmp_path, clock, "gpu-1", "gone")
    async with Program(tmp_path, clock).running() as now:
        await now.until(lambda: len(now.store) == 2)
        now.list("gpu-1", "new")
        assert now.names() == {"gpu-1", "new"}
        assert now.store.last_known == {}


async def test_what_is_live_is_not_overwritten(tmp_path: Path, clock: ManualClock) -> None:
    await seen_before(tmp_path, clock, "gpu-1", "gpu-2")
    now = Program(tmp_path, clock)
    fresh = builders.node("gpu-1", source="prod", stage=Stage.QUARANTINED)
    now.report([NodeSeen(fresh)])  # the first page of a list came before the file was read
    async with now.running():
        await now.until(lambda: len(now.store) == 2)
        row = now.store.record(NodeKey("prod", "gpu-1"))
        assert row is not None
        assert row.node is fresh


async def test_a_source_that_is_listed_already_needs_no_memory(tmp_path: Path, clock: ManualClock) -> None:
    await seen_before(tmp_path, clock, "gone")
    now = Program(tmp_path, clock)
    now.list("gpu-1")
    async with now.running():
        await now.until(lambda: clock.sleepers)
        await asyncio.sleep(0.05)
        assert now.names() == {"gpu-1"}
        assert now.store.last_known == {}


async def test_work_that_nobody_confirms_is_unknown_again(tmp_path: Path, clock: ManualClock) -> None:
    await seen_before(tmp_path, clock, "gpu-1", "gpu-2")
    async with Program(tmp_path, clock).running() as now:
        await now.until(lambda: len(now.store) == 2)
        now.list("gpu-1", "gpu-2")
        now.feed(FeedHealth.DENIED, "pods")
        now.report([WorkSeen(NodeKey("prod", "gpu-2"), builders.work("other", gpus=4))])
        await now.until(lambda: clock.sleepers > 1)
        await clock.advance(WORK_WITHIN)
        work = {key.name: row.work for key, row in now.store.rows_by_key.items()}
        assert work == {"gpu-1": None, "gpu-2": builders.work("other", gpus=4)}


async def test_work_that_is_confirmed_stays(tmp_path: Path, clock: ManualClock) -> None:
    await seen_before(tmp_path, clock, "gpu-1")
    async with Program(tmp_path, clock).running() as now:
        await now.until(lambda: len(now.store) == 1)
        now.list("gpu-1")
        now.feed(FeedHealth.LIVE, "pods")
        await now.until(lambda: clock.sleepers > 1)
        await clock.advance(WORK_WITHIN)
        row = now.store.record(NodeKey("prod", "gpu-1"))
        assert row is not None
        assert row.work == builders.work("train", gpus=8)


async def test_another_cluster_at_the_same_address_forgets_it(tmp_path: Path, clock: ManualClock) -> None:
    await seen_before(tmp_path, clock, "gpu-1")
    async with Program(tmp_path, clock, identity="uid-2").running() as now:
        await now.until(lambda: now.names() == {"gpu-1"})
        now.feed(FeedHealth.DENIED, why="forbidden")
        await now.until(lambda: not now.names())
        assert now.store.last_known == {}


async def test_of_several_sources_only_the_one_that_is_down_is_last_known(
    tmp_path: Path, clock: ManualClock
) -> None:
    await seen_before(tmp_path, clock, "gpu-1")
    await seen_before(tmp_path, clock, "gpu-1", "gpu-2", source="dr")
    async with Program(tmp_path, clock, "prod", "dr").running() as now:
        await now.until(lambda: len(now.store) == 3)
        now.list("gpu-1")
        now.feed(FeedHealth.UNREACHABLE, source="dr", why="no route to host")
        await clock.advance(EVERY)
        assert set(now.store.last_known) == {"dr"}
        assert (now.names(), now.names("dr")) == ({"gpu-1"}, {"gpu-1", "gpu-2"})


async def test_what_is_only_last_known_is_not_kept_as_if_it_were_seen_now(
    tmp_path: Path, clock: ManualClock
) -> None:
    await seen_before(tmp_path, clock, "gpu-1")
    async with Program(tmp_path, clock).running() as now:
        await now.until(lambda: len(now.store) == 1)
        await clock.advance(2 * EVERY)
    await now.keeper.close()
    assert kept(now.files).seen == START


def kept(files: KeptFiles, source: str = "prod") -> Header:
    found = files.read(KEY.replace("prod", source), source)
    assert found is not None
    return found[0]


async def test_it_is_kept_every_half_minute_while_it_changes_and_at_the_end(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with Program(tmp_path, clock).running() as now:
        await now.until(lambda: clock.sleepers)
        now.list("gpu-1")
        assert not list(tmp_path.iterdir())
        await clock.advance(EVERY)
        await now.until(lambda: now.files.path(KEY, "prod").exists())
        assert kept(now.files).nodes == 1
        now.list("gpu-1", "gpu-2")
    await now.keeper.close()
    assert kept(now.files).nodes == 2
    assert kept(now.files).identity == "uid-1"


async def test_a_fleet_in_which_only_telemetry_moves_is_written_seldom(
    tmp_path: Path, clock: ManualClock
) -> None:
    now = Program(tmp_path, clock)
    now.list("gpu-1")
    await now.keeper.one_round()
    await clock.advance(EVERY)
    now.report([TelemetrySeen(NodeKey("prod", "gpu-1"), builders.telemetry(util=12.0))])
    now.feed(FeedHealth.LIVE)
    await now.keeper.one_round()
    assert kept(now.files).seen == START
    await clock.advance(UNCHANGED_FOR)
    now.feed(FeedHealth.LIVE)
    await now.keeper.one_round()
    assert kept(now.files).seen == START + EVERY + UNCHANGED_FOR


async def test_a_program_that_is_cut_off_does_not_write_over_one_that_is_not(
    tmp_path: Path, clock: ManualClock
) -> None:
    cut_off, live = Program(tmp_path, clock), Program(tmp_path, clock)
    cut_off.list("gpu-1", "retired-since")
    await clock.advance(timedelta(minutes=1))
    live.list("gpu-1")
    await live.keeper.close()
    await cut_off.keeper.close()
    assert kept(live.files).nodes == 1


async def test_two_programs_that_write_at_once_leave_one_whole_file(
    tmp_path: Path, clock: ManualClock
) -> None:
    programs = [Program(tmp_path, clock) for _ in range(8)]
    for number, program in enumerate(programs):
        program.list(*(f"gpu-{number}-{node}" for node in range(500)))
    await asyncio.gather(*(program.keeper.close() for program in programs))
    assert kept(programs[0].files).nodes == 500
    assert {path.suffix for path in tmp_path.iterdir()} == {".fleet", ".lock"}


async def test_its_owner_alone_may_read_it(tmp_path: Path, clock: ManualClock) -> None:
    await seen_before(tmp_path / "last-known", clock, "gpu-1")
    files = KeptFiles(tmp_path / "last-known")
    assert stat.S_IMODE(files.path(KEY, "prod").stat().st_mode) == 0o600
    assert stat.S_IMODE(files.folder.stat().st_mode) == 0o700


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _another_version(content: bytes) -> bytes:
    return content.replace(MAGIC + b"1\n", MAGIC + b"2\n")


def _one_bit(content: bytes) -> bytes:
    return content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]


def _of_our_form_and_another_shape(content: bytes) -> bytes:
    body = encode(Header("prod", KEY, "", "", START, 1), [])[-40:]
    return MAGIC + b"1\n" + hashlib.sha256(body).digest() + body


@pytest.mark.parametrize(
    "spoilt",
    [
        _cut,
        _another_version,
        _one_bit,
        _of_our_form_and_another_shape,
        lambda content: b"",
        lambda content: b"\x00" * 4096,
        lambda content: MAGIC,
        lambda content: content + b"more",
    ],
)
async def test_a_file_that_is_not_whole_is_left_alone_with_a_word(
    tmp_path: Path, clock: ManualClock, spoilt: object
) -> None:
    await seen_before(tmp_path, clock, "gpu-1")
    path = KeptFiles(tmp_path).path(KEY, "prod")
    path.write_bytes(spoilt(path.read_bytes()))  # type: ignore[operator]
    async with Program(tmp_path, clock).running() as now:
        await now.until(lambda: now.remarks)
        assert now.remarks[0].startswith(f"no last known fleet: {path}: ")
        assert not len(now.store)
        assert now.store.last_known == {}
        now.list("gpu-2")
        await clock.advance(EVERY)
    await now.keeper.close()
    assert kept(now.files).nodes == 1, "and the next one is written over it"


async def test_a_folder_that_cant_be_written_is_said_once(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "file").write_text("in the way")
    now = Program(tmp_path / "file", clock)
    now.list("gpu-1")
    await now.keeper.one_round()
    await now.keeper.one_round()
    (said,) = now.remarks
    assert said.startswith("the last known fleet can't be kept: ")


def test_what_is_read_is_what_was_written() -> None:
    node = replace(
        builders.node("\x1b[31mgpu", source="prod", gpus=None, stage=Stage.DRAINED),
        conditions=(Condition("Ready", "Unknown", None, "x" * 40_000, "[bold]", START),),
        taints=(Taint("a"),),
    )
    header = Header("prod", KEY, "https://prod:6443", "uid-1", START, 301)
    nodes = [KeptNode(node, builders.work("a", "b", gpus=8)), *[KeptNode(node, None)] * 300]
    assert decode(encode(header, nodes)) == (header, nodes)


def test_a_value_that_no_file_can_hold_is_an_error_of_ours() -> None:
    node = replace(builders.node(), owner="\udcff")
    with pytest.raises(Garbled, match="can't be kept"):
        encode(Header("prod", KEY, "", "", START, 1), [KeptNode(node, None)])


def test_a_source_is_found_by_its_key_alone(tmp_path: Path) -> None:
    files = KeptFiles(tmp_path)
    assert files.name_of("slurm /etc/slurm.conf") == ""
    files.write(Header("lab", "slurm /etc/slurm.conf", "", "lab@ctl", START, 0), [])
    assert files.name_of("slurm /etc/slurm.conf") == "lab"


def test_a_mark_that_is_set_twice_is_one_change() -> None:
    store = FleetStore()
    store.apply(LastKnown("prod", START))
    before = store.revision
    store.apply(LastKnown("prod", START))
    assert store.revision == before
    store.apply(Listed("prod", frozenset()))
    assert store.changes_since(before).feeds, "whoever paints is told that it is live"
