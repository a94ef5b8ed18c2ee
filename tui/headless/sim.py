"""sim: serve a simulated fleet until interrupted, or until stdin closes where a parent asked for that."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from tui.exits import DONE, USAGE
from tui.headless.words import tell


async def sim(asked: argparse.Namespace) -> int:
    """Serve; the first line on stdout is JSON: where the API, the metrics and the kubeconfig are."""
    from tui.wiring import CantServe, serve_simulation

    with tempfile.TemporaryDirectory(prefix="quarterdeck-sim-") as folder:
        kubeconfig: Path = asked.kubeconfig or Path(folder) / "kubeconfig"
        ended = asyncio.Event()
        _end_on_signals(ended)
        if asked.until_stdin_closes:
            _end_with_stdin(ended)
        try:
            async with serve_simulation(
                asked.nodes, asked.seed, asked.speed, asked.port, kubeconfig
            ) as served:
                print(json.dumps(served), flush=True)  # noqa: T201 - the line that scripts read
                tell(
                    f"serving {asked.nodes} simulated nodes; try: kubectl --kubeconfig {kubeconfig} get nodes"
                )
                await ended.wait()
        except CantServe as error:
            tell(f"quarterdeck: {error}")
            return USAGE
    return DONE


def _end_on_signals(ended: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)


def _end_with_stdin(ended: asyncio.Event) -> None:
    """Set `ended` once stdin is at its end: a parent that dies, however, closes it."""
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def readable() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            ended.set()

    try:
        loop.add_reader(descriptor, readable)
    except PermissionError:  # a file, or nothing at all: it is at its end
        ended.set()
