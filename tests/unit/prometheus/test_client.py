"""The client over HTTP: its deadline, its credentials, its limits, and leaving without waiting."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from backends.prometheus.client import PrometheusSettings, PrometheusSource
from backends.prometheus.threads import DaemonThreads
from backends.prometheus.xid_ages import XidAges
from fleet.errors import Denied, FleetError, Garbled, Rejected, TimedOut, Unreachable
from fleet.node import NodeKey
from fleet.telemetry import NodeTelemetry

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
NODES = [NodeKey("lab", "gpu-1"), NodeKey("lab", "gpu-2")]


class WallClock:
    """Deadlines of real sockets need real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())


@asynccontextmanager
async def asking(answer: Answer, **settings: Any) -> AsyncIterator[PrometheusSource]:
    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    source = PrometheusSource(PrometheusSettings(url, **settings), WallClock(), lambda: NODES)
    try:
        yield source
    finally:
        await source.close()
        await runner.cleanup()


def vector(*rows: dict[str, Any], **more: Any) -> web.Response:
    return web.json_response({"status": "success", "data": {"resultType": "vector", "result": rows}, **more})


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_an_answer_that_trickles_is_given_up_at_the_deadline() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse()
        await stream.prepare(request)
        while True:
            await stream.write(b" ")
            await asyncio.sleep(0.01)

    async with asking(answer, deadline=timedelta(milliseconds=150)) as source:
        with pytest.raises(TimedOut, match=r"within 0\.15 s"):
            await source.ask("up")
        await until(lambda: not any(thread.name == "prometheus" for thread in threading.enumerate()))


async def test_a_server_that_never_answers_is_given_up_at_the_deadline() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with asking(answer, deadline=timedelta(milliseconds=100)) as source:
        with pytest.raises(TimedOut):
            await source.ask("up")


async def test_nothing_is_retried() -> None:
    asked = 0

    async def answer(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response(status=503, text="no healthy upstream")

    async with asking(answer) as source:
        with pytest.raises(Unreachable, match="no healthy upstream"):
            await source.ask("up")
    assert asked == 1


async def test_a_redirect_is_not_followed() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.path != "/login"
        raise web.HTTPFound("/login")

    async with asking(answer) as source:
        with pytest.raises(Rejected, match="/login"):
            await source.ask("up")


async def test_an_answer_over_the_limit_is_refused() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=" " * (2 << 20))

    async with asking(answer, answer_limit=1 << 20) as source:
        with pytest.raises(Garbled, match="over 1 MiB"):
            await source.ask("up")


async def test_warnings_come_through() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return vector(warnings=["remote_read: dead"])

    async with asking(answer) as source:
        read = await source.by_node()
    assert (dict(read.nodes), read.warnings) == ({}, ("remote_read: dead",))


async def test_credentials_and_headers_are_sent(tmp_path: Path) -> None:
    seen: list[tuple[str | None, str | None]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append((request.headers.get("Authorization"), request.headers.get("X-Scope-OrgID")))
        return vector()

    token = tmp_path / "token"
    token.write_text("first\n")
    async with asking(answer, token_file=token, headers={"X-Scope-OrgID": "fleet"}) as source:
        await source.ask("up")
        token.write_text("second\n")
        await source.ask("up")
    async with asking(answer, username="oncall", password="pw") as source:
        await source.ask("up")
    basic = "Basic " + base64.b64encode(b"oncall:pw").decode()
    assert seen == [("Bearer first", "fleet"), ("Bearer second", "fleet"), (basic, None)]


async def test_a_token_that_can_not_be_read_is_denied(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return vector()

    async with asking(answer, token_file=tmp_path / "missing") as source:
        with pytest.raises(Denied, match="missing"):
            await source.ask("up")


async def test_a_home_with_netrc_adds_no_credentials(home: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert "Authorization" not in request.headers
        return vector()

    (home / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    (home / ".netrc").chmod(0o600)
    async with asking(answer) as source:
        assert (await source.ask("up")).rows == []


async def test_the_proxy_of_the_environment_is_used_but_for_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def proxy(request: web.Request) -> web.StreamResponse:
        asked.append(str(request.raw_path))
        return vector()

    async with asking(proxy) as near:
        monkeypatch.setenv("HTTP_PROXY", near._settings.url)
        behind = PrometheusSource(PrometheusSettings("http://prometheus.example"), WallClock(), lambda: NODES)
        await behind.ask("up")
        await behind.close()
        assert asked[-1].startswith("http://prometheus.example/api/v1/query")
        monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
        await near.ask("up")
        assert asked[-1].startswith("/api/v1/query")


@pytest.mark.parametrize(
    "url", ["prometheus:9090", "ftp://prometheus", "", "http://", "http://[::1", "http://127.0.0.1:0"]
)
async def test_an_address_that_is_none_is_an_error_of_the_fleet(url: str) -> None:
    source = PrometheusSource(PrometheusSettings(url), WallClock(), lambda: NODES)
    with pytest.raises(FleetError):
        await source.by_node()
    await source.close()


def test_a_password_in_the_address_is_not_shown() -> None:
    assert PrometheusSettings("https://oncall:pw@prometheus:9090/x").about == "https://prometheus:9090/x"


async def test_the_labels_that_name_nodes_are_found_out_once() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        query = request.query["query"]
        asked.append(query)
        row = {"metric": {"__name__": "DCGM_FI_DEV_FB_USED", "Hostname": "gpu-1"}, "value": [100, "90"]}
        return vector(row)

    async with asking(answer) as source:
        assert list((await source.by_node()).nodes) == ["gpu-1"]
        await source.by_node()
    assert sum("__name__,Hostname" in query for query in asked) == 1


async def test_the_ages_of_a_whole_fleet_are_put_on_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    on: list[threading.Thread] = []

    async def answer(_: web.Request) -> web.StreamResponse:
        return vector(
            {"metric": {"__name__": "DCGM_FI_DEV_FB_USED", "Hostname": "gpu-1"}, "value": [100, "90"]}
        )

    def on_nodes(ages: XidAges, nodes: Mapping[str, NodeTelemetry]) -> Mapping[str, NodeTelemetry]:
        on.append(threading.current_thread())
        return nodes

    monkeypatch.setattr(XidAges, "on_nodes", on_nodes)
    async with asking(answer) as source:
        await source.by_node()
    assert on
    assert threading.main_thread() not in on


async def test_the_labels_are_found_out_again_when_nothing_comes_back() -> None:
    label = "Hostname"

    async def answer(request: web.Request) -> web.StreamResponse:
        query = request.query["query"]
        row = {"metric": {"__name__": "DCGM_FI_DEV_FB_USED", label: "gpu-1"}, "value": [100, "90"]}
        return vector(row) if f"({label}" in query or "__name__" in query else vector()

    async with asking(answer) as source:
        assert list((await source.by_node()).nodes) == ["gpu-1"]
        label = "hostname"
        assert list((await source.by_node()).nodes) == ["gpu-1"]


async def test_what_appears_while_the_labels_are_looked_at_is_found_by_the_next_reading() -> None:
    """An exporter of the other label shows up after the labels were detected, and before the sums are asked for."""
    detected = 0
    old = {"metric": {"__name__": "DCGM_FI_DEV_FB_USED", "Hostname": "gpu-1"}, "value": [100, "90"]}
    new = {"metric": {"__name__": "DCGM_FI_DEV_FB_USED", "hostname": "gpu-2"}, "value": [100, "90"]}
    unnamed = {"metric": {}, "value": [100, "90"]}

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal detected
        query = request.query["query"]
        if "__name__,Hostname" in query:
            detected += 1
            return vector(old) if detected == 1 else vector(old, new)
        return vector(old, new) if "by (Hostname,hostname" in query else vector(old, unnamed)

    async with asking(answer) as source:
        assert list((await source.by_node()).nodes) == ["gpu-1"]
        assert sorted((await source.by_node()).nodes) == ["gpu-1", "gpu-2"]


async def test_a_stranger_that_no_label_joins_is_looked_at_once() -> None:
    detected = 0
    ours = {"metric": {"__name__": "DCGM_FI_DEV_FB_USED", "Hostname": "gpu-1"}, "value": [100, "90"]}
    stranger = {"metric": {"__name__": "DCGM_FI_DEV_FB_USED", "Hostname": "elsewhere"}, "value": [100, "90"]}

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal detected
        detected += "__name__,Hostname" in request.query["query"]
        return vector(ours, stranger)

    async with asking(answer) as source:
        for _ in range(5):
            assert sorted((await source.by_node()).nodes) == ["elsewhere", "gpu-1"]
    assert detected == 2


async def test_a_call_that_was_given_up_does_not_hold_its_caller() -> None:
    threads, release, ended = DaemonThreads(1, "held"), threading.Event(), threading.Event()

    def work() -> None:
        release.wait()
        ended.set()

    task = asyncio.create_task(threads.call(work))
    await until(lambda: any(thread.name == "held" and thread.daemon for thread in threading.enumerate()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not ended.is_set()
    release.set()
    await until(ended.is_set)


async def test_a_place_is_free_again_when_its_call_really_ended() -> None:
    threads, release = DaemonThreads(1, "held"), threading.Event()
    first = asyncio.create_task(threads.call(release.wait))
    await until(lambda: any(thread.name == "held" for thread in threading.enumerate()))
    first.cancel()
    second = asyncio.create_task(threads.call(lambda: "second"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not second.done()
    release.set()
    assert await second == "second"


async def test_whatever_the_work_raises_is_raised_to_the_caller() -> None:
    def work() -> None:
        raise ZeroDivisionError("by chance")

    with pytest.raises(ZeroDivisionError, match="by chance"):
        await DaemonThreads(1, "failing").call(work)


def test_a_loop_that_is_gone_is_no_trouble_to_a_late_thread() -> None:
    release = threading.Event()
    threads: list[threading.Thread] = []

    async def leave() -> None:
        call = asyncio.create_task(DaemonThreads(1, "late").call(release.wait))
        await until(lambda: any(thread.name == "late" for thread in threading.enumerate()))
        threads.extend(thread for thread in threading.enumerate() if thread.name == "late")
        call.cancel()

    asyncio.run(leave())
    release.set()
    threads[0].join(20)
    assert not threads[0].is_alive()
