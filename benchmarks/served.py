"""A program: a simulated fleet on loopback that also has pods to fill it, and nodes that change as often as it is told to.

The first line on stdout is JSON: where it is. A line on stdin is how many nodes are to change a second from now on; it ends
when stdin closes.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
from itertools import cycle
from pathlib import Path

from backends.simulated.fleet_plan import plan_fleet
from backends.simulated.objects import NODES, Json, ObjectStore
from backends.simulated.serve import serve
from tui.wiring import SystemClock

_GPU = "nvidia.com/gpu"
_TICKS = 20  # a second: nodes of a real fleet do not change all at the same instant


async def main(nodes: int, pods: int | None, speed: float, kubeconfig: Path) -> None:
    """Serve until stdin closes."""
    plan = plan_fleet(nodes, 1, pods=pods)
    async with serve(SystemClock(), plan=plan, speed=speed, kubeconfig=kubeconfig) as simulation:
        gc.freeze()  # a server that pauses would be measured as a client that does
        said = {"kubernetes": simulation.kubernetes_url, "metrics": simulation.metrics_url}
        print(json.dumps({**said, "targets": simulation.targets_url}), flush=True)
        await _change(simulation.store)


async def _change(store: ObjectStore) -> None:
    """Change nodes at the rate last asked for, in turn, so that each change is one that a row shows."""
    rates: asyncio.Queue[int] = asyncio.Queue()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _read_rate, rates)
    names = cycle([str(node["metadata"]["name"]) for node in store.list(NODES)])
    rate = 0
    while rate >= 0:
        if not rate:
            rate = await rates.get()
            continue
        for _ in range(rate // _TICKS):
            _toggle(store, next(names))
        await asyncio.sleep(1 / _TICKS)
        if not rates.empty():
            rate = rates.get_nowait()


def _read_rate(rates: asyncio.Queue[int]) -> None:
    said = os.read(sys.stdin.fileno(), 4096)
    if not said:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    rates.put_nowait(int(said.split()[-1]) if said.strip() else -1)


def _toggle(store: ObjectStore, name: str) -> None:
    """One GPU more or less that may be allocated, as a device plugin says it."""

    def change(node: Json) -> None:
        status = node["status"]
        fewer = str(int(status["capacity"].get(_GPU, "8")) - 1)
        all_of_them = status["capacity"].get(_GPU, "8")
        status["allocatable"][_GPU] = all_of_them if status["allocatable"].get(_GPU) == fewer else fewer

    store.update(NODES, name, change)


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--nodes", type=int, required=True)
    asked.add_argument("--pods", type=int, default=None)
    asked.add_argument("--speed", type=float, default=1.0)
    asked.add_argument("--kubeconfig", type=Path, required=True)
    wanted = asked.parse_args()
    asyncio.run(main(wanted.nodes, wanted.pods, wanted.speed, wanted.kubeconfig))
