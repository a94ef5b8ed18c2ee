"""The served fleet over real HTTP: pages, targets, control requests, time, and the kubeconfig it writes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from backends.simulated import answers
from backends.simulated.fault_client import SimulatedFaults
from backends.simulated.kubeconfig_file import NotOurs
from backends.simulated.objects import NODES
from backends.simulated.serve import Simulation, serve
from fleet.node import NodeKey
from tests.clocks import ManualClock
from tests.unit.simulated.worlds import GATE, status_of


@asynccontextmanager
async def served(nodes: int = 12, **options: Any) -> AsyncIterator[tuple[Simulation, aiohttp.ClientSession]]:
    async with (
        serve(ManualClock(), nodes=nodes, seed=1, **options) as simulation,
        aiohttp.ClientSession() as session,
    ):
        yield simulation, session


async def _text(session: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    async with session.get(url) as answer:
        return answer.status, await answer.text()


async def _send(
    session: aiohttp.ClientSession, method: str, url: str, body: object = None
) -> tuple[int, Any]:
    data = body if isinstance(body, str) else json.dumps(body)
    async with session.request(method, url, data=data) as answer:
        return answer.status, await answer.json()


async def test_the_api_lists_the_nodes() -> None:
    async with served() as (simulation, session):
        _, text = await _text(session, f"{simulation.kubernetes_url}/api/v1/nodes")
    assert len(json.loads(text)["items"]) == 12


async def test_one_page_has_every_node_whose_exporter_answers() -> None:
    async with served() as (simulation, session):
        status, text = await _text(session, simulation.metrics_url)
        exporting = {machine.name for machine in simulation.world.exporting()}
    assert status == 200
    assert {
        line.split('Hostname="')[1].split('"')[0] for line in text.splitlines() if line[0] != "#"
    } == exporting
    assert len(exporting) == 11


async def test_a_node_has_a_page_of_its_own_and_none_without_its_exporter() -> None:
    async with served() as (simulation, session):
        url = f"{simulation.metrics_url}/gpu-h100-005"
        status, text = await _text(session, url)
        assert (status, text.count("DCGM_FI_DEV_GPU_TEMP{")) == (200, 8)
        body = {"fault": "exporter_gone", "node": "gpu-h100-005"}
        await _send(session, "POST", f"{simulation.kubernetes_url}/sim/faults", body)
        assert (await _text(session, url))[0] == 503
        assert (await _text(session, f"{simulation.metrics_url}/nobody"))[0] == 404


async def test_prometheus_finds_one_target_per_node() -> None:
    async with served() as (simulation, session):
        _, text = await _text(session, simulation.targets_url)
        port = simulation.metrics_url.split(":")[2].split("/")[0]
    groups = json.loads(text)
    assert len(groups) == 12
    assert groups[0] == {
        "targets": [f"127.0.0.1:{port}"],
        "labels": {
            "__metrics_path__": "/metrics/gpu-a100-001",
            "node": "gpu-a100-001",
            "instance": "gpu-a100-001",
        },
    }


async def test_a_fault_is_injected_listed_and_lifted_by_request() -> None:
    async with served() as (simulation, session):
        url = f"{simulation.kubernetes_url}/sim/faults"
        status, made = await _send(session, "POST", url, {"fault": "xid", "node": "gpu-h100-005", "gpu": 6})
        assert status == 201
        assert made == {
            "fault": "xid",
            "node": "gpu-h100-005",
            "gpu": 6,
            "code": 79,
            "survives_boot": False,
        }
        assert made in json.loads((await _text(session, url))[1])["faults"]
        _, lifted = await _send(session, "DELETE", f"{url}?node=gpu-h100-005&gpu=6")
        assert lifted == {"lifted": [made]}
        assert made not in json.loads((await _text(session, url))[1])["faults"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{", "JSON"),
        ("[1]", "JSON object"),
        ({}, "fault must be one of xid, ecc"),
        ({"fault": "rust", "node": "x"}, "fault must be one of"),
        ({"fault": ["xid"], "node": "x"}, "fault must be one of"),
        ({"fault": "xid"}, "node must be"),
        ({"fault": "xid", "node": 3}, "node must be"),
        ({"fault": "xid", "node": "nobody"}, "no machine is named 'nobody'"),
        ({"fault": "xid", "node": "gpu-h100-001", "gpu": "0"}, "gpu must be a whole number"),
        ({"fault": "xid", "node": "gpu-h100-001", "gpu": True}, "gpu must be a whole number"),
        ({"fault": "xid", "node": "gpu-h100-001", "gpu": 99}, "has GPUs 0 to 7"),
        ({"fault": "xid", "node": "gpu-h100-001", "code": 0}, "code must be an XID"),
        ({"fault": "unreachable", "node": "gpu-h100-001", "gpu": 1}, "takes no gpu"),
        ({"fault": "hot_gpu", "node": "gpu-h100-001", "survives_boot": "yes"}, "true or false"),
        ({"fault": "hot_gpu", "node": "gpu-h100-001", "colour": "red"}, "unknown key 'colour'"),
    ],
)
async def test_a_fault_that_can_t_be_is_answered_400_saying_why(body: object, says: str) -> None:
    async with served(2) as (simulation, session):
        status, answer = await _send(session, "POST", f"{simulation.kubernetes_url}/sim/faults", body)
    assert status == 400
    assert says in answer["error"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("time", {"advance": -1}),
        ("time", {"advance": "1h"}),
        ("time", {"advance": True}),
        ("time", {}),
        ("time", '{"advance": NaN}'),
        ("time", {"advance": 1e12}),
        ("time", {"advance": 1, "by": "me"}),
        ("speed", {"speed": 0}),
        ("speed", {"speed": -3}),
        ("speed", '{"speed": Infinity}'),
        ("speed", "fast"),
    ],
)
async def test_a_time_or_a_speed_that_can_t_be_is_answered_400(path: str, body: object) -> None:
    async with served(2) as (simulation, session):
        status, answer = await _send(session, "POST", f"{simulation.kubernetes_url}/sim/{path}", body)
    assert status == 400
    assert answer["error"]


async def test_lifting_by_an_unknown_word_lifts_nothing() -> None:
    async with served() as (simulation, session):
        before = simulation.world.faults
        url = f"{simulation.kubernetes_url}/sim/faults"
        assert (await _send(session, "DELETE", f"{url}?nod=gpu-h100-001"))[0] == 400
        assert (await _send(session, "DELETE", f"{url}?fault=rust"))[0] == 400
        assert simulation.world.faults == before


async def test_time_moves_by_request_and_runs_at_another_speed() -> None:
    async with served(2) as (simulation, session):
        url = f"{simulation.kubernetes_url}/sim"
        _, moved = await _send(session, "POST", f"{url}/time", {"advance": 90})
        assert moved["elapsed"] == pytest.approx(90)
        _, speed = await _send(session, "POST", f"{url}/speed", {"speed": 30})
        assert speed == {"speed": 30.0}
        assert json.loads((await _text(session, f"{url}/time"))[1]) == {
            "elapsed": pytest.approx(90),
            "speed": 30.0,
        }


async def test_advancing_a_moved_clock_stamps_each_event_with_its_own_time() -> None:
    async with served() as (simulation, _):
        metadata = {"name": "gpu-l40s-099", "annotations": {"kwok.x-k8s.io/node": "fake"}}
        simulation.store.create(NODES, {"metadata": metadata, "spec": {"taints": [GATE]}})
        await simulation.advance(timedelta(seconds=300))
        node = simulation.store.get(NODES, "gpu-l40s-099")
    assert node is not None
    (ready,) = [each for each in node["status"]["conditions"] if each["type"] == "Ready"]
    assert "2026-03-01T03:01:15Z" < ready["lastTransitionTime"] < "2026-03-01T03:02:00Z"


async def test_time_runs_by_itself_when_only_the_clock_moves() -> None:
    clock = ManualClock()
    async with serve(clock, nodes=12, seed=1, speed=10.0) as simulation:
        metadata = {"name": "gpu-l40s-099", "annotations": {"kwok.x-k8s.io/node": "fake"}}
        simulation.store.create(NODES, {"metadata": metadata, "spec": {}})
        for _ in range(30):
            await clock.advance(timedelta(seconds=1))
        node = simulation.store.get(NODES, "gpu-l40s-099")
    assert node is not None
    assert status_of(node) == "True"


async def test_the_kubeconfig_is_the_owner_s_alone_and_names_the_server(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config"
    async with served(2, kubeconfig=path) as (simulation, _):
        assert simulation.kubeconfig == path
        assert simulation.kubernetes_url in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600
        assert list(path.parent.iterdir()) == [path]


async def test_the_simulator_s_own_kubeconfig_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "config"
    for _ in range(2):
        async with served(2, kubeconfig=path) as (simulation, _):
            assert simulation.kubernetes_url in path.read_text()


@pytest.mark.parametrize("content", ["apiVersion: v1\n", ""])
async def test_another_s_kubeconfig_is_left_alone_and_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(NotOurs, match="config"):
        async with served(2, kubeconfig=path):
            pass
    assert path.read_text() == content


async def test_a_kubeconfig_is_not_written_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(NotOurs, match="link"):
        async with served(2, kubeconfig=tmp_path / "link"):
            pass
    assert not target.exists()


async def test_a_taken_port_is_an_error_and_leaves_nothing_running() -> None:
    async with served(2) as (simulation, _):
        port = int(simulation.kubernetes_url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match=str(port)):
            async with served(2, port=port):
                pass


@pytest.mark.parametrize(
    "error",
    [
        aiohttp.ClientConnectionResetError("Cannot write to closing transport"),
        ConnectionError("Connection lost"),
    ],
)
async def test_a_reader_that_goes_away_in_the_middle_is_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    gone: list[bytes] = []

    async def nobody_reads(_: web.StreamResponse, content: bytes) -> None:
        gone.append(content)
        raise error

    async with served() as (simulation, session):
        simulation.store.create(NODES, {"metadata": {"name": "late"}})
        monkeypatch.setattr(answers, "GZIP_FROM", 0)
        monkeypatch.setattr(web.StreamResponse, "write", nobody_reads)
        nodes = f"{simulation.kubernetes_url}/api/v1/nodes"
        for url in (simulation.metrics_url, nodes, f"{nodes}?watch=1"):
            with suppress(aiohttp.ClientPayloadError):
                await _text(session, url)
    assert len(gone) == 3
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_faults_that_are_taken_back_are_counted_in_words() -> None:
    async with served() as (simulation, _):
        faults, at = SimulatedFaults(simulation.kubernetes_url), NodeKey("sim", "gpu-h100-005")
        told = []
        for more in (("xid",), ("ecc", "exporter_gone"), ()):
            for name in more:
                await faults.inject(name, at)
            told.append(await faults.mend(at))
    assert told == [f"{count} of gpu-h100-005 lifted" for count in ("1 fault", "2 faults", "0 faults")]


async def test_closing_twice_is_closing_once() -> None:
    async with served(2) as (simulation, _):
        await simulation.close()
        await simulation.close()
        assert simulation.world.store.count(NODES) == 2
