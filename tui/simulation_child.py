"""The embedded fleet as a child of this program: it ends when this program does, because its stdin closes then."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fleet.errors import Garbled, TimedOut, Unreachable
from tui.choice import DemoChoice

_STARTS_WITHIN = timedelta(seconds=60)
_TELLS_MORE = 200
"""Nodes at most whose exporters give more than the default fields: larger pages take longer to read."""
_TELLS_ALL = 1_000
"""Nodes at most whose exporters give the default fields; those of larger fleets give what the table shows."""
_ENDS_WITHIN = timedelta(seconds=5)


@dataclass(slots=True)
class SimulationChild:
    """A simulated fleet that is being served: where, and how to end it."""

    kubernetes_url: str
    metrics_url: str
    kubeconfig: Path
    _process: asyncio.subprocess.Process
    _folder: tempfile.TemporaryDirectory[str]

    async def close(self) -> None:
        """Close its stdin, and wait until it has ended."""
        await _end(self._process)
        self._folder.cleanup()


async def start(demo: DemoChoice) -> SimulationChild:
    """Start one and wait for its first line. Raises Unreachable, TimedOut or Garbled with what it said."""
    async with contextlib.AsyncExitStack() as undo:
        folder = tempfile.TemporaryDirectory(prefix="quarterdeck-")
        undo.callback(folder.cleanup)
        process = await asyncio.create_subprocess_exec(
            *_command(demo, folder.name),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        undo.push_async_callback(_end, process)
        said = await _first_line(process)
        child = SimulationChild(
            kubernetes_url=said["kubernetes"],
            metrics_url=said["metrics"] + _fields(demo.nodes),
            kubeconfig=Path(said["kubeconfig"]),
            _process=process,
            _folder=folder,
        )
        undo.pop_all()
        return child


def _fields(nodes: int) -> str:
    """How much the exporters of so many nodes are asked for."""
    if nodes <= _TELLS_MORE:
        return "?fields=more"
    return "" if nodes <= _TELLS_ALL else "?fields=few"


def _command(demo: DemoChoice, folder: str) -> tuple[str, ...]:
    return (
        sys.executable,
        "-m",
        "tui.cli",
        "sim",
        f"--nodes={demo.nodes}",
        f"--seed={demo.seed}",
        f"--speed={demo.speed}",
        f"--kubeconfig={folder}/kubeconfig",
        "--until-stdin-closes",
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close its stdin and wait until it has ended; end it where it does not."""
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ENDS_WITHIN.total_seconds()):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


async def _first_line(process: asyncio.subprocess.Process) -> dict[str, str]:
    assert process.stdout is not None
    assert process.stderr is not None
    said: dict[str, str]
    try:
        async with asyncio.timeout(_STARTS_WITHIN.total_seconds()):
            line = await process.stdout.readline()
    except TimeoutError as error:
        raise TimedOut("the simulated fleet did not start", about="sim") from error
    if not line:
        lines = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
        raise Unreachable(
            f"the simulated fleet ended at once: {lines[-1] if lines else 'no word'}", about="sim"
        )
    try:
        said = dict(json.loads(line))
    except ValueError as error:
        raise Garbled("the simulated fleet's first line is not JSON", about="sim") from error
    return said
