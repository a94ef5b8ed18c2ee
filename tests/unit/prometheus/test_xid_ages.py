"""The age of an XID that is shown: found out once for the few GPUs that show one, and unknown wherever nobody can tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from backends.prometheus.answers import Answer, Row, Series
from backends.prometheus.queries import Shape
from backends.prometheus.threads import DaemonThreads
from backends.prometheus.xid_ages import HOSTS_AT_ONCE, STEP, WINDOW, XidAges, past, showing
from fleet.errors import TimedOut
from fleet.joining import NodeNames
from fleet.node import NodeKey
from fleet.telemetry import GpuTelemetry, NodeTelemetry
from fleet.xid import default_severity
from tests.clocks import START, ManualClock

NODES = NodeNames(NodeKey("lab", f"gpu-{number}") for number in range(100))
SHAPE = Shape(("Hostname",))
MINUTE = timedelta(minutes=1)


def minutes(*codes: int | None) -> Sequence[tuple[float, str]]:
    """Samples a minute apart, the last of them now; None is no sample."""
    first = START.timestamp() - 60 * (len(codes) - 1)
    return [(first + 60 * number, str(code)) for number, code in enumerate(codes) if code is not None]


@dataclass
class Gauges:
    """A Prometheus of XID gauges: how each went, minute by minute up to now, by host and GPU."""

    went: dict[tuple[str, str], tuple[int | None, ...]] = field(default_factory=dict)
    by_label: bool = False
    numbered: Mapping[str, str] = field(default_factory=dict)
    no_uuid: bool = False
    asked: list[str] = field(default_factory=list)
    spans: list[tuple[datetime, datetime, timedelta]] = field(default_factory=list)
    error: Exception | None = None
    meanwhile: Callable[[], None] = lambda: None

    def labels(self, host: str, gpu: str, code: object) -> dict[str, str]:
        uuid = {} if self.no_uuid else {"UUID": f"GPU-{host}-{gpu}"}
        more = {"err_code": str(code)} if self.by_label else {}
        return {"Hostname": host, "gpu": gpu, **uuid, **more}

    async def ask(self, query: str) -> Answer:
        self.asked.append(query)
        if self.error is not None:
            raise self.error
        rows = [
            Row(self.labels(host, gpu, went[-1]), (START.timestamp(), str(went[-1])))
            for (host, gpu), went in self.went.items()
            if went[-1] and host in query
        ]
        self.meanwhile()
        return Answer(rows)

    async def ask_range(
        self, query: str, start: datetime, end: datetime, step: timedelta
    ) -> Sequence[Series]:
        self.asked.append(query)
        self.spans.append((start, end, step))
        if self.error is not None:
            raise self.error
        found: list[Series] = []
        for (host, gpu), went in self.went.items():
            if host not in query:
                continue
            if not self.by_label:
                found.append(Series(self.labels(host, gpu, ""), list(minutes(*went))))
            for code in {*went} - {None} if self.by_label else ():
                only = [each if each == code else None for each in went]
                found.append(Series(self.labels(host, gpu, code), list(minutes(*only))))
        return found


def ages_of(gauges: Gauges) -> XidAges:
    return XidAges(gauges, DaemonThreads(1, "ages"), ManualClock(), {}, default_severity)


def row(gpu: str, xid: int | None, host: str = "gpu-1") -> GpuTelemetry:
    return GpuTelemetry(gpu, uuid=f"GPU-{host}-{gpu}", xid=xid)


async def shown_since(*codes: int | None, by_label: bool = False) -> timedelta | None:
    """How long ago the one GPU of a host began to show its last code, by its row."""
    ages = ages_of(Gauges({("gpu-1", "0"): codes}, by_label=by_label))
    await ages.find(["gpu-1"], SHAPE, NODES, timedelta())
    (dated,) = ages.on_gpus("gpu-1", [row("0", codes[-1])])
    return None if dated.xid_at is None else START - dated.xid_at


@pytest.mark.parametrize("by_label", [False, True])
@pytest.mark.parametrize(
    ("codes", "ago"),
    [
        ((0, 0, 79, 79, 79), 2),
        ((0, 79), 0),
        ((0, 31, 31, 79, 79), 1),
        ((79, 79, 79), None),
        ((79, 79, 0, 0, 79, 79), 1),
        ((0, 79, 79, None, None, 79), 4),
        ((0, 79, None, None, None, None, 79, 79), None),
        ((0, None, None, None, None, 79, 79), None),
        ((0, 79, None, None, None, None, 79, 0, 79), 0),
        ((0, None, 79, 79), 1),
    ],
    ids=[
        "it turned",
        "it turned just now",
        "another code came over it",
        "the window does not reach",
        "the exporter began anew and it came again",
        "a scrape or two failed",
        "a gap may hide that it came again",
        "it came in a gap",
        "it came again after a gap",
        "it came while a scrape failed",
    ],
)
async def test_an_xid_is_as_old_as_its_gauge_last_turned_and_of_unknown_age_where_that_is_not_seen(
    codes: tuple[int | None, ...], ago: int | None, *, by_label: bool
) -> None:
    assert await shown_since(*codes, by_label=by_label) == (None if ago is None else ago * MINUTE)


async def test_a_gpu_that_has_another_number_since_a_reboot_is_as_old_as_ever() -> None:
    gauges = Gauges({("gpu-1", "0"): (0, 79, 79)})
    whole = gauges.ask_range

    async def renumbered(query: str, *span: object) -> Sequence[Series]:
        (before,) = await whole(query, START, START, STEP)
        after = Series({**before.metric, "gpu": "5"}, before.values[2:])
        return [Series(before.metric, before.values[:2]), after]

    gauges.ask_range = renumbered  # type: ignore[method-assign, assignment]
    ages = ages_of(gauges)
    await ages.find(["gpu-1"], SHAPE, NODES, timedelta())
    (dated,) = ages.on_gpus("gpu-1", [row("0", 79)])
    assert dated.xid_at == START - MINUTE


async def test_a_node_is_as_old_as_the_last_of_its_gpus_and_unknown_where_one_is() -> None:
    gauges = Gauges({("gpu-1", "0"): (0, 79, 79, 79), ("gpu-1", "1"): (0, 0, 79, 79)})
    node = NodeTelemetry(START, xid=79)
    ages = ages_of(gauges)
    ages.see({"gpu-1": {79: 2}})
    assert ages.on_nodes({"gpu-1": node})["gpu-1"].xid_at is None
    await ages.find_some(SHAPE, NODES, timedelta())
    assert ages.on_nodes({"gpu-1": node})["gpu-1"].xid_at == START - MINUTE
    gauges.went["gpu-1", "2"] = (79, 79)
    ages.see({"gpu-1": {79: 3}})
    assert ages.on_nodes({"gpu-1": node})["gpu-1"].xid_at is None, (
        "a GPU that was not asked about shows it too"
    )
    await ages.find_some(SHAPE, NODES, timedelta())
    assert ages.on_nodes({"gpu-1": node})["gpu-1"].xid_at is None, "since when GPU 2 shows it is not known"


@pytest.mark.parametrize(
    ("other", "ago"),
    [((0, 48, 48, 48), 1), ((0, 0, 0, 48), None), ((48, 48, 48, 48), None), ((0, 0, 0, 31), 1)],
    ids=["an older one", "a younger one", "one of unknown age", "a lighter one"],
)
async def test_a_nodes_xid_is_not_told_to_be_old_where_another_gpu_shows_as_hard_a_one_since_later(
    other: tuple[int, ...], ago: int | None
) -> None:
    ages = ages_of(Gauges({("gpu-1", "0"): (0, 0, 79, 79), ("gpu-1", "1"): other}))
    ages.see({"gpu-1": {79: 1, other[-1]: 1}})
    await ages.find_some(SHAPE, NODES, timedelta())
    node = ages.on_nodes({"gpu-1": NodeTelemetry(START, xid=79)})["gpu-1"]
    assert node.xid_at == (None if ago is None else START - ago * MINUTE)


async def test_it_is_asked_once_until_what_is_shown_changes() -> None:
    gauges = Gauges({("gpu-1", "0"): (0, 79)})
    ages = ages_of(gauges)
    for _ in range(5):
        ages.see({"gpu-1": {79: 1}})
        if ages.due:
            await ages.find_some(SHAPE, NODES, timedelta())
        assert [each.xid_at for each in ages.on_gpus("gpu-1", [row("0", 79)])] == [START]
    assert len(gauges.asked) == 2
    ages.see({})
    ages.see({"gpu-1": {79: 1}})
    assert ages.due, "no XID was shown in between, so this is another one"
    assert [each.xid_at for each in ages.on_gpus("gpu-1", [row("0", 79)])] == [None]


async def test_another_code_on_the_same_gpu_has_no_age_until_it_is_asked_for() -> None:
    gauges = Gauges({("gpu-1", "0"): (0, 31, 31)})
    ages = ages_of(gauges)
    ages.see({"gpu-1": {31: 1}})
    await ages.find_some(SHAPE, NODES, timedelta())
    assert not ages.due
    assert ages.on_gpus("gpu-1", [row("0", 79)])[0].xid_at is None
    assert ages.due


async def test_a_fleet_that_shows_many_is_asked_a_few_hosts_at_a_time_the_hardest_first() -> None:
    gauges = Gauges({(f"gpu-{number}", "0"): (0, 79 if number >= 90 else 31) for number in range(100)})
    ages = ages_of(gauges)
    shown = {host: {went[-1] or 0: 1.0} for (host, _), went in gauges.went.items()}
    ages.see(shown)
    await ages.find_some(SHAPE, NODES, timedelta())
    first = ages.on_nodes({host: NodeTelemetry(START, xid=max(codes)) for host, codes in shown.items()})
    dated = {host for host, node in first.items() if node.xid_at is not None}
    assert len(dated) == HOSTS_AT_ONCE
    assert {f"gpu-{number}" for number in range(90, 100)} <= dated
    rounds = 1
    while ages.due:
        await ages.find_some(SHAPE, NODES, timedelta())
        rounds += 1
    assert rounds == 4
    assert all(len(query) < 6000 for query in gauges.asked)


async def test_a_prometheus_that_does_not_answer_is_left_alone_for_a_while() -> None:
    gauges = Gauges({("gpu-1", "0"): (0, 79)}, error=TimedOut("no answer", about="prometheus"))
    clock = ManualClock()
    ages = XidAges(gauges, DaemonThreads(1, "ages"), clock, {}, default_severity)
    ages.see({"gpu-1": {79: 1}})
    with pytest.raises(TimedOut):
        await ages.find_some(SHAPE, NODES, timedelta())
    due = [ages.due]
    await clock.advance(timedelta(minutes=2))
    assert [*due, ages.due] == [False, True]
    gauges.error = None
    await ages.find_some(SHAPE, NODES, timedelta())
    assert ages.on_gpus("gpu-1", [row("0", 79)])[0].xid_at == START


async def test_what_takes_long_is_asked_the_more_seldom() -> None:
    class Slow(ManualClock):
        def monotonic(self) -> float:
            self._monotonic += 1
            return self._monotonic

    gauges, clock = Gauges({(f"gpu-{number}", "0"): (0, 79) for number in range(30)}), Slow()
    ages = XidAges(gauges, DaemonThreads(1, "ages"), clock, {}, default_severity)
    ages.see({f"gpu-{number}": {79: 1} for number in range(30)})
    await ages.find_some(SHAPE, NODES, timedelta())
    due = [ages.due]
    await clock.advance(timedelta(minutes=10))
    assert [*due, ages.due] == [False, True], "five hosts are left"


async def test_it_is_found_out_anew_after_an_hour() -> None:
    gauges, clock = Gauges({("gpu-1", "0"): (0, 79)}), ManualClock()
    ages = XidAges(gauges, DaemonThreads(1, "ages"), clock, {}, default_severity)
    ages.see({"gpu-1": {79: 1}})
    await ages.find_some(SHAPE, NODES, timedelta())
    await clock.advance(timedelta(hours=1, minutes=1))
    ages.see({"gpu-1": {79: 1}})
    assert ages.due


async def test_what_is_shown_by_the_time_of_the_answer_is_not_taken_for_what_was_asked() -> None:
    gauges = Gauges({("gpu-1", "0"): (0, 79)})
    ages = ages_of(gauges)
    ages.see({"gpu-1": {79: 1}})
    gauges.meanwhile = lambda: ages.see({"gpu-1": {79: 2}})
    await ages.find_some(SHAPE, NODES, timedelta())
    assert ages.on_nodes({"gpu-1": NodeTelemetry(START, xid=79)})["gpu-1"].xid_at is None


async def test_ages_are_told_on_our_clock_though_prometheus_has_another() -> None:
    gauges = Gauges({("gpu-1", "0"): (0, 79, 79)})
    ages = ages_of(gauges)
    hour = timedelta(hours=1)
    await ages.find(["gpu-1"], SHAPE, NODES, hour)
    assert gauges.spans == [(START - hour - WINDOW, START - hour, STEP)]
    assert ages.on_gpus("gpu-1", [row("0", 79)])[0].xid_at == START - MINUTE + hour


async def test_rows_without_an_xid_are_left_alone() -> None:
    rows = [row("0", 0), row("1", None)]
    ages = ages_of(Gauges())
    assert ages.on_gpus("gpu-1", rows) == rows
    assert not ages.due


def test_only_the_gpus_that_show_one_are_asked_for_by_their_uuids() -> None:
    rows = [Row({"Hostname": "gpu-1", "gpu": str(n), "UUID": f"GPU-{n}.x"}, (0.0, "79")) for n in range(150)]
    asked = past(Shape(("Hostname", "node")), ["gpu-1"], rows, {"cluster": 'a"b'})
    assert len(asked) == 4
    assert r"UUID=~" in asked[0]
    assert r"GPU-0\\.x" in asked[0]
    assert r'cluster="a\"b"' in asked[0]
    assert "UUID" not in past(SHAPE, ["gpu-1"], [replace_uuid(rows[0])], {})[0]
    assert past(SHAPE, ["gpu-1"], [], {}) == []
    assert showing(SHAPE, ["gpu-1"], {})[0].endswith("> 0 <= 9999")


def replace_uuid(row: Row) -> Row:
    return Row({name: value for name, value in row.metric.items() if name != "UUID"}, row.value)
