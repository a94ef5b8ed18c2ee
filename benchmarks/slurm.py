"""One reading of a Slurm cluster, on a slurmctld of its own whose nodes are named in slurm.conf and not there."""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from time import perf_counter, sleep

from backends.slurm.commands import SlurmCommands
from backends.slurm.features import NodeReading
from backends.slurm.feed import SlurmFeed
from backends.slurm.feed_state import StreamState
from benchmarks.figures import Figure, Size, alternating, timed
from fleet.observation import Observation
from fleet.store import FleetStore
from fleet.view import FleetView
from tui.wiring import SystemClock
from widgets.cells import Scene, cells
from widgets.columns import DEFAULT_COLUMNS

_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
_READY_WITHIN = 60.0
_SCREEN = 50
"""Rows of a tall terminal."""
_SHOW = ("scontrol", "show", "nodes", "-o", "-d")
_CONF = """
ClusterName=bench
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={run}/munge
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
GresTypes=gpu
StateSaveLocation={run}/state
SlurmctldPidFile={run}/slurmctld.pid
SlurmdTimeout=0
MaxNodeCount={nodes}
NodeName=gpu[1-{nodes}] NodeAddr=127.0.0.1 CPUs=64 RealMemory=1000000 Gres=gpu:h100:8 Feature=h100,rack1,image-v1 State=UNKNOWN
PartitionName=train Nodes=ALL Default=YES State=UP
"""


def slurm(size: Size) -> Iterator[Figure]:
    """A reading of every node, decoded, stored and its first screen drawn, against scontrol alone; nothing without a slurmctld."""
    programs = ("munged", "slurmctld", "scontrol", "squeue")
    if not all(shutil.which(name, path=_path()) for name in programs):
        return
    for nodes in (size.few, size.nodes):
        with _controller(nodes) as environ:
            yield from _read(nodes, environ, size.repeats)


def _read(nodes: int, environ: Mapping[str, str], repeats: int) -> Iterator[Figure]:
    with asyncio.Runner() as loop:
        reading = _Reading(environ)
        first, alone = alternating(
            repeats, lambda: timed(lambda: loop.run(_Reading(environ).once())), lambda: _scontrol(environ)
        )
        loop.run(reading.once())
        again, beside = alternating(
            repeats, lambda: timed(lambda: loop.run(reading.once())), lambda: _scontrol(environ)
        )
    name = f"{nodes:,} nodes read from slurmctld, decoded, stored, a screen drawn"
    yield Figure(f"{name}, first", first, "s", repeats, floor=alone, note="floor: scontrol show nodes -o -d")
    yield Figure(f"{name}, again", again, "s", repeats, floor=beside, note="floor: scontrol show nodes -o -d")


class _Reading:
    """A feed into a store of its own, and the first screen of what is there."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._clock = SystemClock()
        commands = SlurmCommands(self._clock, environ)
        self._feed = SlurmFeed(
            commands,
            self._clock,
            Random(1),
            source="bench",
            reading=NodeReading(),
        )
        self._store = FleetStore()
        self._view = FleetView(self._store, self._clock.now())
        self._painted = self._store.revision
        self._streams = [StreamState("bench", name, self._clock, self._report) for name in ("nodes", "jobs")]

    async def once(self) -> None:
        """One round of the feed, and a screen."""
        await self._feed.one_round(self._report, *self._streams)
        now = self._clock.now()
        changes = self._store.changes_since(self._painted)
        self._painted = changes.revision
        self._view.refresh(changes, now, resort=True)
        for key in self._view.nodes()[:_SCREEN]:
            cells(self._store.rows_by_key[key], Scene(now), DEFAULT_COLUMNS)

    def _report(self, observations: Sequence[Observation]) -> None:
        self._store.apply_all(observations)


def _scontrol(environ: Mapping[str, str]) -> float:
    return timed(lambda: subprocess.run(_SHOW, env=dict(environ), capture_output=True, check=True))


@contextmanager
def _controller(nodes: int) -> Iterator[Mapping[str, str]]:
    """A slurmctld of so many nodes, and the environment in which Slurm's commands find it."""
    with tempfile.TemporaryDirectory(prefix="qd-bench-") as folder:
        run = Path(folder)
        environ = {"PATH": _path(), "SLURM_CONF": str(run / "slurm.conf"), "TZ": "UTC", "LC_ALL": "C"}
        user = pwd.getpwuid(os.getuid()).pw_name
        (run / "slurm.conf").write_text(_CONF.format(port=_free_port(), user=user, run=run, nodes=nodes))
        (run / "gres.conf").write_text("")
        (run / "state").mkdir()
        key = run / "key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(64))
        names = ("key-file", "pid-file", "log-file", "seed-file")
        files = [f"--{name}={run / name.partition('-')[0]}" for name in names]
        started = [_start(environ, "munged", "-F", "-f", f"--socket={run}/munge", *files)]
        try:
            _until((run / "munge").exists)
            started.append(_start(environ, "slurmctld", "-D"))
            _until(lambda: _answers(environ))
            yield environ
        finally:
            for program in reversed(started):
                program.terminate()
                program.wait()


def _start(environ: Mapping[str, str], *argv: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _answers(environ: Mapping[str, str]) -> bool:
    done = subprocess.run(("scontrol", "ping"), env=dict(environ), capture_output=True, check=False)
    return b"UP" in done.stdout


def _until(ready: Callable[[], bool]) -> None:
    end = perf_counter() + _READY_WITHIN
    while not ready():
        if perf_counter() > end:
            raise TimeoutError("slurmctld did not come up")
        sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:{_FOLDERS}"
