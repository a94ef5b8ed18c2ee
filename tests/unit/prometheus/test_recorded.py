"""Recorded series stand for the raw ones only where they count the same GPUs, and that is looked at again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

import pytest

from backends.prometheus import queries, recorded
from backends.prometheus.answers import Answer, Row
from backends.prometheus.client import PrometheusSettings, PrometheusSource
from backends.prometheus.queries import Shape
from fleet.node import NodeKey
from tests.clocks import ManualClock

SHAPE = Shape(("Hostname",))
KEYS = [NodeKey("lab", "gpu-1"), NodeKey("lab", "gpu-2")]


def test_every_field_of_a_reading_is_recorded() -> None:
    assert recorded.by_node(SHAPE, {}).keys() == queries.by_node(SHAPE, {}).keys()
    assert set(recorded.rules()) == {recorded.name_of(field) for field in queries.by_node(SHAPE, {})}


def test_recorded_series_of_one_node_come_together_by_its_labels() -> None:
    asked = recorded.by_node(Shape(("Hostname", "instance")), {"cluster": 'a"b'})
    assert asked["gpus_seen"] == ('sum by (Hostname,instance) (quarterdeck:node_gpus_seen{cluster="a\\"b"})')
    assert asked["xid"].startswith("sum by (Hostname,instance,quarterdeck_xid) (")


def counted(**hosts: str) -> list[Row]:
    return [Row({"Hostname": host.replace("_", "-")}, (1.0, count)) for host, count in hosts.items()]


@pytest.mark.parametrize(
    ("told", "raw", "agrees"),
    [
        (counted(gpu_1="8", gpu_2="8"), counted(gpu_2="8", gpu_1="8"), True),
        (counted(gpu_1="16"), counted(gpu_1="8"), False),
        (counted(gpu_1="8"), counted(gpu_1="8", gpu_2="8"), False),
        (counted(gpu_1="8", gpu_2="8"), counted(gpu_1="8"), False),
        ([], [], False),
    ],
)
def test_they_agree_where_every_node_has_the_same_gpus(
    told: Sequence[Row], raw: Sequence[Row], agrees: bool
) -> None:
    assert recorded.agree(told, raw, SHAPE) is agrees


class Told(PrometheusSource):
    """A source whose Prometheus answers from functions, and remembers what it was asked."""

    def __init__(self, clock: ManualClock, counts: Callable[[], tuple[list[Row], list[Row]]]) -> None:
        def known() -> Collection[NodeKey]:
            return KEYS

        super().__init__(PrometheusSettings("http://prometheus"), clock, known)
        self.asked: list[str] = []
        self._counts = counts

    async def ask(self, query: str) -> Answer:
        await asyncio.sleep(0)
        self.asked.append(query)
        if query.startswith("count by (__name__"):
            names = ("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_GPU_UTIL")
            return Answer(
                [Row({"__name__": name, "Hostname": key.name}, (1.0, "8")) for name in names for key in KEYS]
            )
        told, raw = self._counts()
        if "quarterdeck:node_gpus_seen" in query:
            return Answer(told)
        if "quarterdeck_by" in query:
            return Answer(raw)
        if query.startswith("min by") and ("timestamp" in query or "quarterdeck:node_at" in query):
            return Answer([Row({"Hostname": key.name}, (1000.0, "999")) for key in KEYS])
        return Answer([])

    def used_rules(self) -> bool:
        return any("quarterdeck:node_power_watts" in query for query in self.asked)


BOTH = counted(gpu_1="8", gpu_2="8")


@pytest.mark.parametrize(
    ("counts", "uses"), [((BOTH, BOTH), True), (([], BOTH), False), ((counted(gpu_1="8"), BOTH), False)]
)
async def test_rules_are_used_where_they_say_the_same(
    counts: tuple[list[Row], list[Row]], uses: bool
) -> None:
    source = Told(ManualClock(), lambda: counts)
    read = await source.by_node()
    assert set(read.nodes) == {"gpu-1", "gpu-2"}
    assert source.used_rules() is uses
    await source.close()


async def test_rules_that_differed_for_a_moment_are_used_a_minute_later() -> None:
    clock = ManualClock()
    counts = (counted(gpu_1="8"), BOTH)
    source = Told(clock, lambda: counts)
    await source.by_node()
    counts = (BOTH, BOTH)
    source.asked.clear()
    await source.by_node()
    assert not source.used_rules()
    await clock.advance(timedelta(minutes=1))
    await source.by_node()
    assert source.used_rules()


async def test_rules_that_went_away_are_done_without_at_once() -> None:
    clock = ManualClock()
    counts = (BOTH, BOTH)
    source = Told(clock, lambda: counts)
    await source.by_node()
    assert source.used_rules()
    counts = (counted(gpu_1="9"), BOTH)
    await clock.advance(timedelta(minutes=10))
    source.asked.clear()
    await source.by_node()
    assert not source.used_rules()
