"""The scheduler of the simulated fleet can be stopped, as a cluster's may be down."""

from __future__ import annotations

import aiohttp
import pytest

from backends.simulated.objects import NAMESPACES, PODS, Json
from backends.simulated.serve import serve
from tests.clocks import ManualClock


def _pod(name: str) -> Json:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "work", "image": "pause"}], "schedulerName": "default-scheduler"},
        "status": {"phase": "Pending"},
    }


async def test_a_stopped_scheduler_says_nothing_and_goes_on_where_it_left() -> None:
    async with serve(ManualClock(), nodes=3, seed=4) as simulation, aiohttp.ClientSession() as session:
        store, address = simulation.store, f"{simulation.kubernetes_url}/sim/scheduler"
        assert store.get(NAMESPACES, "default") is not None
        async with session.post(address, json={"runs": False}) as answer:
            assert answer.status == 200
        store.create(PODS, _pod("waits"))
        simulation.world.step(60)
        waits = store.get(PODS, "waits", "default")
        assert waits is not None
        assert "nodeName" not in waits["spec"]
        assert not waits["status"].get("conditions")
        async with session.post(address, json={"runs": True}) as answer:
            assert await answer.json() == {"runs": True}
        simulation.world.step(70)
        placed = store.get(PODS, "waits", "default")
        assert placed is not None
        assert placed["spec"]["nodeName"]


@pytest.mark.parametrize("body", [{}, {"runs": 1}, {"runs": True, "more": 1}])
async def test_what_is_asked_of_the_scheduler_is_read_strictly(body: Json) -> None:
    async with (
        serve(ManualClock(), nodes=3, seed=4) as simulation,
        aiohttp.ClientSession() as session,
        session.post(f"{simulation.kubernetes_url}/sim/scheduler", json=body) as answer,
    ):
        assert answer.status == 400
        assert "runs" in (await answer.json())["error"]
