"""Pages over HTTP: fetched together, bounded, and each failing alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from aiohttp import web

from backends.dcgm_exporter.scrape import DcgmExporterSource
from fleet.errors import Denied, FleetError, Garbled, Missing, Rejected, Throttled, TimedOut, Unreachable
from fleet.node import NodeKey
from tests.clocks import ManualClock

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def line(node: str, gpu: int = 0, value: float = 5) -> str:
    return f'DCGM_FI_DEV_GPU_UTIL{{gpu="{gpu}",UUID="GPU-{node}-{gpu}",Hostname="{node}"}} {value}\n'


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_get("/{page:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def source(
    *addresses: str, nodes: tuple[str, ...] = (), **options: object
) -> AsyncIterator[DcgmExporterSource]:
    keys = [NodeKey("lab", name) for name in nodes]
    made = DcgmExporterSource(addresses, ManualClock(), lambda: keys, **options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.close()


def saying(text: str, status: int = 200, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status, headers=headers)

    return answer


async def test_one_page_gives_every_node_on_it() -> None:
    async with (
        serving(saying(line("gpu-1", 0, 90) + line("gpu-1", 1, 10) + line("gpu-2"))) as url,
        source(url) as exporters,
    ):
        read = await exporters.by_node()
        assert {name: (node.gpus_seen, node.gpu_util) for name, node in read.nodes.items()} == {
            "gpu-1": (2, 50),
            "gpu-2": (1, 5),
        }
        assert {name: len(gpus) for name, gpus in (await exporters.by_gpu(["gpu-1"])).items()} == {"gpu-1": 2}


async def test_a_pattern_is_fetched_for_every_node() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=line("localhost", value=float(request.path[-1])))

    async with (
        serving(answer) as url,
        source(url + "/{node}", nodes=("gpu-1", "gpu-2")) as exporters,
    ):
        read = await exporters.by_node()
        assert {name: node.gpu_util for name, node in read.nodes.items()} == {"gpu-1": 1, "gpu-2": 2}
        assert list(await exporters.by_gpu(["gpu-2"])) == ["gpu-2"]


async def test_a_failing_page_loses_its_own_node_only() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/gpu-2":
            raise web.HTTPInternalServerError
        return web.Response(text=line("gpu-1"))

    async with serving(answer) as url, source(url + "/{node}", nodes=("gpu-1", "gpu-2")) as exporters:
        read = await exporters.by_node()
        assert list(read.nodes) == ["gpu-1"]
        assert [warning.partition(": ")[0] for warning in read.warnings] == [f"{url}/gpu-2"]
        with pytest.raises(Unreachable, match="500"):
            await exporters.by_gpu(["gpu-2"])


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, Denied), (403, Denied), (404, Missing), (418, Rejected), (429, Throttled), (503, Unreachable)],
)
async def test_a_status_is_said_in_the_fleets_words(status: int, error: type[FleetError]) -> None:
    async with serving(saying("no", status)) as url, source(url) as exporters:
        with pytest.raises(error, match=str(status)):
            await exporters.by_node()


async def test_a_throttled_exporter_says_how_long() -> None:
    async with serving(saying("no", 429, **{"Retry-After": "7"})) as url, source(url) as exporters:
        with pytest.raises(Throttled) as caught:
            await exporters.by_node()
        assert caught.value.retry_after == timedelta(seconds=7)


async def test_a_login_page_is_garbled_and_named() -> None:
    async with serving(saying("<html>\nSign in\n</html>")) as url, source(url + "/metrics") as exporters:
        with pytest.raises(Garbled, match=f"{url}/metrics: line 1"):
            await exporters.by_node()


async def test_a_page_without_end_is_given_up() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse()
        await stream.prepare(request)
        while True:
            await stream.write(b"# again\n" * 8192)

    async with serving(answer) as url, source(url, page_limit=1 << 20) as exporters:
        with pytest.raises(Garbled, match="over 1 MiB"):
            await exporters.by_node()


async def test_a_silent_exporter_is_given_up_at_the_deadline() -> None:
    released = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    async with serving(answer) as url, source(url, deadline=timedelta(milliseconds=50)) as exporters:
        with pytest.raises(TimedOut, match=r"within 0\.05 s"):
            await exporters.by_node()
        released.set()


async def test_nobody_listening_is_unreachable(unused_port: int) -> None:
    async with source(f"http://127.0.0.1:{unused_port}/metrics") as exporters:
        with pytest.raises(Unreachable):
            await exporters.by_node()


@pytest.mark.parametrize("address", ["not an address", "ftp://gpu-1/metrics", "http://"])
async def test_an_address_that_is_none_is_rejected(address: str) -> None:
    async with source(address) as exporters:
        with pytest.raises(FleetError):
            await exporters.by_node()


async def test_a_password_in_the_address_is_not_repeated(unused_port: int) -> None:
    async with source(f"http://oncall:secret@127.0.0.1:{unused_port}/metrics") as exporters:
        with pytest.raises(Unreachable) as caught:
            await exporters.by_node()
        assert "secret" not in str(caught.value)


async def test_askers_at_the_same_moment_share_one_fetch() -> None:
    fetched = 0

    async def answer(_: web.Request) -> web.StreamResponse:
        nonlocal fetched
        fetched += 1
        return web.Response(text=line("gpu-1"))

    async with serving(answer) as url, source(url) as exporters:
        await asyncio.gather(*(exporters.by_gpu(["gpu-1"]) for _ in range(20)))
        assert fetched == 1


async def test_askers_at_the_same_moment_share_a_failure_too() -> None:
    """Else sixty gates wait for a page that does not come one after the other, each for a whole deadline."""
    released, fetched = asyncio.Event(), 0

    async def answer(_: web.Request) -> web.StreamResponse:
        nonlocal fetched
        fetched += 1
        await released.wait()
        return web.Response()

    async with serving(answer) as url, source(url, deadline=timedelta(milliseconds=50)) as exporters:
        asked = (exporters.by_gpu(["gpu-1"]) for _ in range(20))
        told = await asyncio.gather(*asked, return_exceptions=True)
        released.set()
        assert fetched == 1
        assert {type(each) for each in told} == {TimedOut}


async def test_a_page_that_failed_is_asked_for_again_a_moment_later() -> None:
    answers = iter([web.Response(status=503), web.Response(text=line("gpu-1"))])

    async def answer(_: web.Request) -> web.StreamResponse:
        return next(answers)

    clock = ManualClock()
    async with serving(answer) as url:
        exporters = DcgmExporterSource([url], clock, lambda: ())
        with pytest.raises(Unreachable):
            await exporters.by_node()
        await clock.advance(timedelta(seconds=2))
        assert "gpu-1" in (await exporters.by_node()).nodes
        await exporters.close()


async def test_a_later_asker_gets_a_fresh_page() -> None:
    values = iter([1.0, 2.0])

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=line("gpu-1", value=next(values)))

    clock = ManualClock()
    async with serving(answer) as url:
        exporters = DcgmExporterSource([url], clock, lambda: ())
        assert (await exporters.by_node()).nodes["gpu-1"].gpu_util == 1
        await clock.advance(timedelta(seconds=2))
        assert (await exporters.by_node()).nodes["gpu-1"].gpu_util == 2
        await exporters.close()


async def test_a_large_page_is_read_beside_the_loop() -> None:
    page = "".join(line(f"gpu-{node}", gpu) for node in range(200) for gpu in range(8))
    async with serving(saying(page)) as url, source(url) as exporters:
        assert len((await exporters.by_node()).nodes) == 200


@dataclass
class Exporter:
    """An exporter whose one GPU shows `xid` (None leaves it out), read every 15 s by a source that `reading` makes."""

    xid: int | None = 0
    status: int = 200

    async def answer(self, _: web.Request) -> web.StreamResponse:
        shown = "" if self.xid is None else line("gpu-1", value=self.xid).replace("GPU_UTIL", "XID_ERRORS")
        return web.Response(text=line("gpu-1") + shown, status=self.status)

    async def ages(self, steps: Sequence[int | str | None]) -> list[timedelta | None]:
        """The age of the GPU's XID after each step: a code, `down`, or `late` for minutes without a reading."""
        clock, told = ManualClock(), list[timedelta | None]()
        async with serving(self.answer) as url:
            exporters = DcgmExporterSource([url], clock, lambda: [NodeKey("lab", "gpu-1")])
            for step in steps:
                await clock.advance(timedelta(minutes=4) if step == "late" else timedelta(seconds=15))
                self.status = 503 if step == "down" else 200
                if isinstance(step, str):
                    told.append(None)
                    if step == "down":
                        with pytest.raises(Unreachable):
                            await exporters.by_node()
                    continue
                self.xid = step
                node = (await exporters.by_node()).nodes["gpu-1"]
                (gpu,) = (await exporters.by_gpu(["gpu-1"]))["gpu-1"]
                assert node.xid_at == gpu.xid_at
                told.append(None if gpu.xid_at is None else clock.now() - gpu.xid_at)
            await exporters.close()
        return told


NEW, ONCE_AGO = timedelta(0), timedelta(seconds=15)


@pytest.mark.parametrize(
    ("steps", "ages"),
    [
        ([0, 79, 79], [None, NEW, ONCE_AGO]),
        ([0, 79, 48, 48], [None, NEW, NEW, ONCE_AGO]),
        ([0, 79, 0, 79], [None, NEW, None, NEW]),
        ([79, 79], [None, None]),
        ([79, 48], [None, NEW]),
        ([None, 79], [None, None]),
        ([0, "down", 79, 79], [None] * 4),
        ([0, 79, "down", 79], [None, NEW, None, None]),
        ([0, "late", 79], [None] * 3),
        ([0, 79, None, 79], [None, NEW, None, None]),
    ],
)
async def test_an_xid_dates_from_the_reading_that_first_showed_it_where_the_one_before_had_another_code(
    steps: Sequence[int | str | None], ages: Sequence[timedelta | None]
) -> None:
    assert await Exporter().ages(steps) == ages
