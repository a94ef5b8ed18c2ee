"""The one place that names backends: it gives each port its adapter, and owns the clock, the paths and the randomness.

Clients are imported in a thread, after the first frame, for they cost more than everything else together.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.active_checks import runs_checks
from fleet.dispatch import Dispatcher
from fleet.drill import Drill
from fleet.drill_ground import DrillGround
from fleet.errors import FleetError
from fleet.gate import GateChecker
from fleet.lock import Locks
from fleet.ports import Chronicler, Clock, CommandRunner, Feed, Reader, Writer
from fleet.remark import Remark
from fleet.runner import OperationRun
from fleet.store import FeedKey, FleetStore
from fleet.telemetry_feed import TelemetryFeed
from fleet.version_reading import LabelledVersions, ReadVersions, RowVersions
from fleet.watch import Watch
from tui.choice import Choice
from tui.chosen import for_simulation, notice, password_of, slurm_alone, with_drills
from tui.deck import Deck, FaultDesk
from tui.following import follow, no_gpus
from tui.ground_facts import capacity, elsewhere, last_known, stale
from tui.settings import BadSettings, Settings, state_folder
from tui.simulation_child import SimulationChild
from tui.simulation_child import start as start_simulation
from tui.ties import tie_of
from tui.who import lives, owner

if TYPE_CHECKING:
    from backends.journal_sqlite import SqliteJournal
    from backends.kubernetes.connection import Api
    from backends.kubernetes.node_keys import NodeKeys
    from backends.last_known_fleet.files import KeptFiles
    from backends.last_known_fleet.recall import KeptSource
    from backends.prometheus import client as prometheus

SIMULATED_CONTEXT = "simulated"
_DCGM_EVERY = timedelta(seconds=5)
_NVML_EVERY = timedelta(seconds=5)


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())


class CantServe(Exception):
    """A simulated fleet can't be served as it was asked for."""


@dataclass(slots=True)
class Sources:
    """The adapters of every source of a fleet, and what must be closed at the end."""

    readers: dict[str, Reader] = field(default_factory=dict)
    writers: dict[str, Writer] = field(default_factory=dict)
    locks: dict[str, Locks] = field(default_factory=dict)
    commands: dict[str, CommandRunner] = field(default_factory=dict)
    feeds: list[Feed] = field(default_factory=list)
    feed_keys: list[FeedKey] = field(default_factory=list)
    telemetry: TelemetryFeed | None = None
    apis: dict[str, Api] = field(default_factory=dict)
    kept: list[KeptSource] = field(default_factory=list)
    chroniclers: list[Chronicler] = field(default_factory=list)
    versions: ReadVersions | None = None
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    examiners: dict[str, Callable[[], Awaitable[Sequence[Remark]]]] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def serve_simulation(
    nodes: int, seed: int, speed: float, port: int, kubeconfig: Path
) -> AsyncIterator[Mapping[str, str]]:
    """A simulated fleet on loopback for as long as the block lasts: where its API, metrics and kubeconfig are.

    Raises CantServe where the port is taken or the kubeconfig is somebody else's.
    """
    from backends.simulated.kubeconfig_file import NotOurs
    from backends.simulated.serve import serve

    try:
        async with serve(
            SystemClock(), nodes=nodes, seed=seed, speed=speed, port=port, kubeconfig=kubeconfig
        ) as simulation:
            yield {
                "kubernetes": simulation.kubernetes_url,
                "metrics": simulation.metrics_url,
                "kubeconfig": str(kubeconfig),
                "targets": simulation.targets_url,
            }
    except (NotOurs, ValueError, OSError) as error:
        raise CantServe(str(error)) from error


def open_journal(choice: Choice, child: SimulationChild | None = None) -> SqliteJournal:
    """The journal of what is looked at. A simulated fleet has one of its own."""
    from backends.journal_sqlite import SqliteJournal

    if child is not None:
        return SqliteJournal(child.kubeconfig.with_name("journal.db"))
    simulated = choice.demo is None and SIMULATED_CONTEXT in _contexts(choice.settings)
    return SqliteJournal(state_folder() / ("journal-simulated.db" if simulated else "journal.db"))


def _contexts(settings: Settings) -> tuple[str, ...]:
    """The contexts that make up the fleet: those named, else the current one of the kubeconfig."""
    from backends.kubernetes.kubeconfig import current_context

    if settings.kubernetes.contexts or slurm_alone(settings):
        return settings.kubernetes.contexts
    return current_context(settings.kubernetes.kubeconfig, os.environ, Path.home())


def _kept_files(choice: Choice, settings: Settings) -> KeptFiles | None:
    """Where the last known fleet is kept; None where it is not: it was turned off, or the fleet is a demo's own."""
    from backends.last_known_fleet.files import KeptFiles

    kept = settings.last_known and choice.demo is None
    return KeptFiles(state_folder() / "last-known") if kept else None


def _remember(files: KeptFiles, sources: Sources, deck: Deck) -> None:
    """Have the deck tell what was last known of its sources, and keep what it sees. A simulated fleet is not kept."""
    from backends.last_known_fleet.keeper import LastKnownFleet

    kept = [each for each in sources.kept if each.source != SIMULATED_CONTEXT]
    keeper = LastKnownFleet(files, kept, deck.store, deck.clock, deck.remarks.append)
    deck.on_fleet(keeper.hear)
    sources.feeds.insert(0, keeper)
    sources.closing.insert(0, keeper.close)


async def open_deck(choice: Choice, *, remembers: bool = False) -> Deck:
    """Everything behind the screens; a dashboard's `remembers` the last known fleet. Raises BadSettings and FleetError."""
    child = await start_simulation(choice.demo) if choice.demo is not None else None
    try:
        return await _deck(choice, child, remembers=remembers)
    except (BadSettings, FleetError):
        if child is not None:
            await child.close()
        raise


async def _deck(choice: Choice, child: SimulationChild | None, *, remembers: bool) -> Deck:
    from backends.diagnostics.runner import DiagnosticsRunner

    clock = SystemClock()
    settings = for_simulation(choice.settings, child) if child is not None else choice.settings
    settings = await asyncio.to_thread(with_drills, settings, choice)
    store = FleetStore(settings.policy)
    sources = await asyncio.to_thread(_sources, settings, clock, store)
    files = await asyncio.to_thread(_kept_files, choice, settings) if remembers else None
    if settings.slurm.use:
        try:
            await _add_slurm(sources, settings, clock, files)
        except FleetError:
            for end in sources.closing:
                await end()
            raise
    sources.feeds.append(Watch(store, settings.policy, clock))
    journal = open_journal(choice, child)
    readings = sources.telemetry.readings if sources.telemetry is not None else None
    deck: Deck | None = None

    def changed(run: OperationRun) -> None:
        if deck is not None:
            deck.run_changed(run)

    faults = None if settings.policy.read_only else await asyncio.to_thread(_faults, child)
    dispatcher = Dispatcher(
        readers=sources.readers,
        writers=sources.writers,
        checker=GateChecker(settings.policy, clock, readings),
        journal=journal,
        clock=clock,
        policy=settings.policy,
        owner=owner(),
        locks=sources.locks,
        check_runners={name: DiagnosticsRunner(each, clock) for name, each in sources.commands.items()},
        capacity=lambda: capacity(store),
        stale=lambda: stale(store, clock),
        last_known=lambda: last_known(store),
        elsewhere=partial(elsewhere, store),
        ties=partial(tie_of, store, clock, sources.readers),
        changed=changed,
    )

    async def close() -> None:
        for end in (*sources.closing, journal.close, *((child.close,) if child is not None else ())):
            await end()

    deck = Deck(
        title="demo" if choice.demo is not None else ", ".join(sources.readers),
        sources=tuple(sources.readers),
        feeds=tuple(sources.feed_keys),
        settings=settings,
        policy=settings.policy,
        clock=clock,
        store=store,
        dispatcher=dispatcher,
        journal=journal,
        by=owner(),
        new_id=_new_id,
        follow=lambda: follow(sources.feeds, deck),
        close=close,
        by_gpu=sources.telemetry.by_gpu if sources.telemetry is not None else no_gpus,
        history=sources.telemetry.history if sources.telemetry is not None else None,
        trails=sources.telemetry.trails if sources.telemetry is not None else None,
        readers=sources.readers,
        joined=sources.telemetry.joined if sources.telemetry is not None else None,
        simulated=child is not None,
        notice=notice(choice),
        faults=faults,
        examiners=sources.examiners,
        drill_ground=_drill_grounds(sources, settings, clock),
        chroniclers=sources.chroniclers,
        versions=sources.versions,
    )
    if files is not None:
        _remember(files, sources, deck)
    return deck


def _drill_grounds(
    sources: Sources, settings: Settings, clock: Clock
) -> Callable[[str, Drill], DrillGround] | None:
    """What gives a drill its ground on a source; None in a read-only session."""
    if settings.policy.read_only:
        return None

    def ground(source: str, drill: Drill) -> DrillGround:
        from backends.kubernetes.drill_ground import KubernetesDrillGround, WalkedBy
        from backends.simulated.fault_client import SimulatedFaults

        api = sources.apis[source]
        file = settings.kubernetes.kubeconfig
        outside = f"kubectl --kubeconfig {file}" if file is not None else f"kubectl --context {api.context}"
        return KubernetesDrillGround(
            api,
            clock,
            drill,
            WalkedBy(owner(), socket.gethostname(), os.getpid(), lives),
            SimulatedFaults(api.server),
            id=secrets.token_hex(3),
            outside=outside,
            prefix=settings.policy.prefix,
        )

    return ground


def _sources(settings: Settings, clock: Clock, store: FleetStore) -> Sources:
    """An adapter for every source. Heavy: it imports the clients, so it runs in a thread. Raises BadSettings."""
    if settings.nvml:
        return _this_host(clock, settings)
    from backends.kubernetes.node_keys import CATEGORY_LABELS, NodeKeys
    from backends.kubernetes.past_events import NodeEvents
    from backends.kubernetes.transport import load

    load()
    sources = Sources()
    keys = NodeKeys(
        settings.policy,
        (*settings.kubernetes.category_labels, *CATEGORY_LABELS),
        settings.kubernetes.image_labels,
    )
    if not slurm_alone(settings):
        for context in settings.kubernetes.contexts or (None,):
            _add_cluster(sources, settings, keys, context, clock)
        sources.chroniclers.append(NodeEvents(sources.apis))
    _add_telemetry(sources, settings, clock, store)
    return sources


async def _add_slurm(sources: Sources, settings: Settings, clock: Clock, files: KeptFiles | None) -> None:
    """The Slurm cluster of this machine, under its own name or the last known. Raises Unreachable, Denied where none is known."""
    from backends.last_known_fleet.recall import KeptSource
    from backends.slurm.opening import SlurmSite, open_cluster
    from backends.slurm.remarks import examine

    asked = settings.slurm
    site = SlurmSite(
        asked.conf,
        asked.category_patterns,
        asked.image_patterns,
        asked.set_image,
        asked.retire,
        asked.health_checks,
    )
    chance = random.Random()  # noqa: S311 - jitter
    address = f"slurm {asked.conf or os.environ.get('SLURM_CONF', 'default slurm.conf')}"
    name = await asyncio.to_thread(files.name_of, address) if files is not None else ""
    cluster = await open_cluster(
        site, settings.policy, clock, chance, os.environ, sources.readers, last_name=name
    )
    source = cluster.reader.source
    sources.kept.append(KeptSource(source, address, address, cluster.reader.identity))
    sources.readers[source] = cluster.reader
    if not settings.policy.read_only:
        sources.writers[source] = cluster.writer
        sources.locks[source], sources.commands[source] = cluster.locks, cluster.checks
    sources.examiners[source] = partial(examine, cluster.reader, clock, cluster.checks.commands)
    sources.feeds.append(cluster.feed)
    sources.feed_keys += [FeedKey(source, "nodes"), FeedKey(source, "jobs")]


def _add_cluster(
    sources: Sources, settings: Settings, keys: NodeKeys, context: str | None, clock: Clock
) -> None:
    from backends.kubernetes.actions import KubernetesWriter
    from backends.kubernetes.check_runs import JobRunner
    from backends.kubernetes.connection import Api
    from backends.kubernetes.feeds import feeds_of
    from backends.kubernetes.kubeconfig import ConfigurationError, find
    from backends.kubernetes.reader import KubernetesReader
    from backends.kubernetes.remarks import examine
    from backends.last_known_fleet.recall import KeptSource

    kubeconfig = settings.kubernetes.kubeconfig
    try:
        access = find(
            kubeconfig=str(kubeconfig) if kubeconfig is not None else None,
            context=context,
            environ=os.environ,
            home=Path.home(),
        )
    except ConfigurationError as error:
        raise BadSettings(error.file, error.key, error.expected) from error
    api = Api(access, source=access.context, clock=clock, environ=os.environ)
    reader = KubernetesReader(api, keys)
    sources.apis[api.source] = api
    checks, prefix = settings.kubernetes.checks, settings.policy.prefix
    sources.examiners[api.source] = partial(
        examine, api, checks if runs_checks(settings.policy) else None, prefix
    )
    sources.readers[api.source] = reader
    if not settings.policy.read_only:
        sources.writers[api.source] = KubernetesWriter(api, reader, clock, prefix=prefix)
        sources.commands[api.source] = JobRunner(api, clock, prefix, checks)
    sources.feeds += feeds_of(api, keys, clock=clock, chance=random.Random())  # noqa: S311 - jitter
    sources.feed_keys += [FeedKey(api.source, "nodes"), FeedKey(api.source, "pods")]
    sources.closing.append(api.close)
    key = f"kubernetes {api.server} {api.source}"
    sources.kept.append(KeptSource(api.source, key, api.server, reader.identity))


def _add_telemetry(sources: Sources, settings: Settings, clock: Clock, store: FleetStore) -> None:
    from backends.dcgm_exporter.scrape import DcgmExporterSource
    from backends.prometheus.client import PrometheusSource
    from backends.prometheus.examining import examine
    from backends.prometheus.past_xids import PastXids

    known = store.rows_by_key.keys  # the mapping is a live view
    severity_of = settings.policy.severity_of_xid
    source: PrometheusSource | DcgmExporterSource
    if settings.prometheus.url:
        source = PrometheusSource(_prometheus(settings), clock, known, severity_of=severity_of)
        every = settings.prometheus.every
    elif settings.dcgm_url:
        source = DcgmExporterSource([settings.dcgm_url], clock, known, severity_of=severity_of)
        every = _DCGM_EVERY
    else:
        return
    feed = TelemetryFeed(source, known, clock, every=every, fresh=settings.policy.telemetry_fresh)
    sources.versions = RowVersions(feed, known)
    if isinstance(source, PrometheusSource):
        sources.chroniclers.append(PastXids(source, feed.name_of))
        sources.versions = LabelledVersions(source.versions, feed, known)
        sources.examiners[source.name] = partial(examine, source, store.rows_by_key)
    sources.telemetry = feed
    sources.feeds.append(feed)
    sources.feed_keys.append(FeedKey(*feed.key))
    sources.closing.append(source.close)


def _this_host(clock: Clock, settings: Settings) -> Sources:
    """This host alone, through NVML. It has no writer: there is nobody to ask for a change."""
    from backends.nvml.here import this_host
    from backends.nvml.host import NvmlHost
    from backends.nvml.source import FEED, NvmlNodes, NvmlReader, NvmlTelemetry

    here, host = this_host(), NvmlHost(clock)
    telemetry = TelemetryFeed(
        NvmlTelemetry(host, here, clock),
        lambda: (here.key,),
        clock,
        every=_NVML_EVERY,
        fresh=settings.policy.telemetry_fresh,
    )
    return Sources(
        readers={here.key.source: NvmlReader(host, here)},
        feeds=[NvmlNodes(host, here, clock, every=_NVML_EVERY), telemetry],
        feed_keys=[FeedKey(here.key.source, FEED), FeedKey(*telemetry.key)],
        telemetry=telemetry,
        versions=RowVersions(telemetry, lambda: (here.key,)),
        closing=[host.close],
    )


def _prometheus(settings: Settings) -> prometheus.PrometheusSettings:
    from backends.prometheus import client as prometheus

    asked = settings.prometheus
    return prometheus.PrometheusSettings(
        url=asked.url,
        username=asked.username,
        password=password_of(asked),
        token_file=asked.token_file,
        ca_file=asked.ca_file,
    )


def _faults(child: SimulationChild | None) -> FaultDesk | None:
    if child is None:
        return None
    from backends.simulated.fault_client import SimulatedFaults

    return SimulatedFaults(child.kubernetes_url)


def _new_id() -> str:
    """An operation's id: the day and minute it was asked for, and four bytes of chance."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M}-{secrets.token_hex(4)}"
