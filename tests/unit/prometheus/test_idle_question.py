"""Held and idle GPUs are a dear question: asked seldom, and a Prometheus that can't answer it loses nothing else."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from backends.prometheus.answers import Answer, Row
from backends.prometheus.client import PrometheusSettings, PrometheusSource
from fleet.errors import TimedOut
from fleet.node import NodeKey
from tests.clocks import ManualClock

KEY = NodeKey("lab", "gpu-1")


class Asked(PrometheusSource):
    """A source whose Prometheus knows one node, and answers the dear question slowly, or not at all."""

    def __init__(self, clock: ManualClock) -> None:
        def known() -> Collection[NodeKey]:
            return (KEY,)

        super().__init__(PrometheusSettings("http://prometheus"), clock, known)
        self.clock = clock
        self.times = 0
        self.fails = False
        self.takes = timedelta()

    async def ask(self, query: str) -> Answer:
        if "max_over_time" in query:
            self.times += 1
            await self.clock.advance(self.takes)
            if self.fails:
                raise TimedOut("no answer within 10 s", about="http://prometheus")
            held = {"Hostname": "gpu-1", "namespace": "ml", "pod": "train-0"}
            return Answer([Row(held, (1000.0, "2")), Row({"Hostname": "gpu-1"}, (1000.0, "0"))])
        if query.startswith("count by (__name__"):
            return Answer(
                [
                    Row({"__name__": name, "Hostname": "gpu-1"}, (1.0, "8"))
                    for name in ("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_GPU_UTIL")
                ]
            )
        if query.startswith("count by (Hostname)") and "quarterdeck" not in query:
            return Answer([Row({"Hostname": "gpu-1"}, (1000.0, "8"))])
        if query.startswith("min by") and "timestamp" in query:
            return Answer([Row({"Hostname": "gpu-1"}, (1000.0, "999"))])
        return Answer([])

    async def idle(self) -> tuple[int | None, str]:
        node = (await self.by_node()).nodes["gpu-1"]
        return node.idle_held, node.idle_holder


async def test_idle_gpus_come_with_who_holds_them() -> None:
    assert await Asked(ManualClock()).idle() == (2, "ml/train-0")


async def test_it_is_asked_once_a_minute_and_told_in_between() -> None:
    clock = ManualClock()
    source = Asked(clock)
    for _ in range(4):
        assert await source.idle() == (2, "ml/train-0")
        await clock.advance(timedelta(seconds=15))
    assert source.times == 1
    await source.idle()
    assert source.times == 2


async def test_the_longer_it_takes_the_seldomer_it_is_asked() -> None:
    clock = ManualClock()
    source = Asked(clock)
    source.takes = timedelta(seconds=4)
    await source.idle()
    await clock.advance(timedelta(seconds=120))
    await source.idle()
    assert source.times == 1
    await clock.advance(timedelta(seconds=120))
    await source.idle()
    assert source.times == 2


async def test_a_question_that_times_out_leaves_the_rest_and_nothing_known_of_idle_gpus() -> None:
    clock = ManualClock()
    source = Asked(clock)
    source.fails = True
    assert await source.idle() == (None, "")
    await clock.advance(timedelta(minutes=5))
    await source.idle()
    assert source.times == 1
    source.fails = False
    await clock.advance(timedelta(minutes=5))
    assert await source.idle() == (2, "ml/train-0")
