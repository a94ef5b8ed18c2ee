"""A real Slurm of one's own: munged, slurmctld and some slurmd on loopback, in a folder, ended when the test ends.

    with slurm_lab(tmp_path) as lab:
        lab.node_is("gpu1", "IDLE")

Runs as whoever runs the tests, root too. Every program carries the lab's folder in its environment, and only what
carries it is ever ended. A node's image is its feature `image-...`; RebootProgram ends the node's slurmd, waits for as long as
`hold_boot` asks, and starts it anew with `-b`, reporting the image that `next_image` names (v2 unless told).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.servers import require
from tests.slurm_layout import free_ports, lay_out, short_folder

MARK = "QUARTERDECK_SLURM_LAB"
"""The variable by which a program is known to be one of a lab's."""
PATIENCE = 30.0
_STEP = 0.02

_CLEANER = """
import os, pathlib, shutil, sys
sys.stdin.read()
mark, folder = sys.argv[1].encode(), sys.argv[2]
for entry in pathlib.Path("/proc").iterdir():
    try:
        if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\\0"):
            os.kill(int(entry.name), 9)
    except OSError:
        pass
shutil.rmtree(folder, ignore_errors=True)
"""
"""Waits for the end of whoever holds its stdin, tests that are killed included, and then ends what they left."""


@dataclass(slots=True)
class SlurmLab:
    """A running cluster. `conf` is for daemons and clients alike; with `environ` any Slurm command speaks to it."""

    folder: Path
    cluster: str
    nodes: tuple[str, ...]
    conf: Path
    environ: dict[str, str]
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _controller: subprocess.Popen[bytes] | None = None
    _munged: subprocess.Popen[bytes] | None = None

    # What tests do to it, as its administrator and its users would.

    def command(self, *argv: str, check: bool = True, deadline: float = 20.0) -> str:
        """What a Slurm command prints. Raises CalledProcessError where it fails, unless `check` is false."""
        done = subprocess.run(
            argv,
            env=self.environ,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=deadline,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.decode().strip()}")
        return done.stdout.decode(errors="replace")

    def scontrol(self, *argv: str, check: bool = True) -> str:
        return self.command("scontrol", *argv, check=check)

    def update(self, node: str, *changes: str) -> None:
        """`scontrol update NodeName=node ...`, as a colleague would."""
        self.scontrol("update", f"NodeName={node}", *changes)

    def line(self, node: str) -> str:
        """The node as `scontrol show node -o` prints it."""
        return self.scontrol("show", "node", node, "-o").rstrip("\n")

    def states(self, node: str) -> frozenset[str]:
        """The node's state and flags: `{"IDLE", "DRAIN"}`. Empty where the controller does not answer."""
        words = self.scontrol("show", "node", node, "-o", check=False).split(" ")
        state = next((word[6:] for word in words if word.startswith("State=")), "")
        return frozenset(part.rstrip("*") for part in state.split("+") if part)

    def submit(self, node: str, *options: str, gpus: int = 1, script: str = "sleep 600") -> str:
        """The id of a job that asks for this node. It runs, or waits, as Slurm will."""
        asked = (
            "sbatch",
            "--parsable",
            "-o",
            "/dev/null",
            "-e",
            "/dev/null",
            "-w",
            node,
            f"--gres=gpu:{gpus}",
        )
        return self.command(*asked, *options, f"--wrap={script}").strip().partition(";")[0]

    def interactive(self, node: str, *options: str, gpus: int = 1) -> str:
        """The id of an srun that sleeps on this node until it is ended."""
        name = f"srun-{secrets.token_hex(4)}"
        asked = ("srun", "-J", name, "-w", node, f"--gres=gpu:{gpus}", *options, "sleep", "600")
        self._start(*asked)
        self.until(lambda: bool(self._job_named(name)), f"srun on {node} runs")
        return self._job_named(name)

    def job_state(self, job: str) -> str:
        """`RUNNING` and so on; empty for one that is gone."""
        return self.command("squeue", "-h", "-j", job, "-o", "%T", check=False).strip()

    def cancel(self, job: str) -> None:
        self.command("scancel", job)

    def make_sick(self, node: str, reason: str = "gpu lost") -> None:
        """Let the node's health check fail from now on: it drains the node, as `NHC: reason`."""
        (self.folder / "sick" / node).write_text(reason)

    def make_well(self, node: str) -> None:
        (self.folder / "sick" / node).unlink(missing_ok=True)

    def next_image(self, node: str, image: str) -> None:
        """What the node's next boot brings."""
        (self.folder / "next" / node).write_text(image)

    def hold_boot(self, node: str) -> None:
        """Keep a node that reboots down until `let_boot`."""
        (self.folder / "held" / node).touch()

    def let_boot(self, node: str) -> None:
        (self.folder / "held" / node).unlink(missing_ok=True)

    def booted(self, node: str) -> str:
        """The image of the last boot by RebootProgram that came to its end; empty before there was one."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "booted" / node).read_text().strip()
        return ""

    def stranger(self) -> dict[str, str]:
        """An environment whose Slurm commands run as nobody, who has no right here. Only root can become nobody."""
        if os.getuid() != 0:
            pytest.skip("only root can run commands as somebody else")
        folder = self.folder / "as-nobody"
        folder.mkdir(exist_ok=True)
        for path in (self.folder, self.folder / "munge", folder):
            path.chmod(0o755)
        for program in ("scontrol", "squeue"):
            script = folder / program
            become = "setpriv --reuid=65534 --regid=65534 --clear-groups"
            script.write_text(f'#!/bin/sh\nexec {become} {require(program)} "$@"\n')
            script.chmod(0o755)
        return self.environ | {"PATH": f"{folder}{os.pathsep}{self.environ['PATH']}"}

    # The daemons.

    def stop_slurmd(self, node: str) -> None:
        """Kill a node's slurmd, as when the machine dies. Its jobs' step daemons die with it."""
        os.kill(self._slurmd(node), signal.SIGKILL)

    def start_slurmd(self, node: str, *options: str) -> None:
        """Start a node's slurmd; with `-b` as after a boot."""
        spool = self.folder / "spool" / node
        spool.mkdir(parents=True, exist_ok=True)
        self._start("slurmd", "-D", "-N", node, *options, LAB_NODE=node)

    def stop_controller(self) -> None:
        """End slurmctld as an administrator does: it saves its state."""
        assert self._controller is not None, "no controller runs"
        self._controller.send_signal(signal.SIGCONT)
        self._controller.terminate()
        self._controller.wait(PATIENCE)
        self._controller = None

    def start_controller(self) -> None:
        """Start slurmctld from the state it saved, and wait until it answers."""
        self._controller = self._start("slurmctld", "-D")
        self.until(lambda: "UP" in self.scontrol("ping", check=False), "slurmctld answers")

    def hang_controller(self) -> None:
        """slurmctld holds its port and says nothing."""
        assert self._controller is not None, "no controller runs"
        self._controller.send_signal(signal.SIGSTOP)

    def unhang_controller(self) -> None:
        assert self._controller is not None, "no controller runs"
        self._controller.send_signal(signal.SIGCONT)

    def hang_munged(self) -> None:
        """Credentials are asked for and never come."""
        assert self._munged is not None, "no munged runs"
        self._munged.send_signal(signal.SIGSTOP)

    def unhang_munged(self) -> None:
        assert self._munged is not None, "no munged runs"
        self._munged.send_signal(signal.SIGCONT)

    def stop_munged(self) -> None:
        assert self._munged is not None, "no munged runs"
        self._munged.send_signal(signal.SIGCONT)
        self._munged.terminate()
        self._munged.wait(PATIENCE)
        self._munged = None

    def start_munged(self) -> None:
        folder = self.folder / "munge"
        options = (f"--{name}={folder / name}" for name in ("key-file", "pid-file", "log-file", "seed-file"))
        self._munged = self._start("munged", "-F", "-f", f"--socket={folder / 'sock'}", *options)
        self.until((folder / "sock").exists, "munged listens")

    # Waiting, and the end.

    def node_is(self, node: str, *wanted: str, without: Sequence[str] = ()) -> None:
        """Wait until the node's state has every flag `wanted` and none of `without`."""
        self.until(
            lambda: (found := self.states(node)) >= set(wanted) and not found & set(without),
            f"{node} is {'+'.join(wanted)}",
        )

    def until(self, condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Poll a condition. Raises AssertionError with what the daemons last logged."""
        end = time.monotonic() + patience
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"not so after {patience:g} s: {what}\n{self.logs()}")
            time.sleep(_STEP)

    async def settles(self, condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """`until` for a test whose own tasks must go on meanwhile."""
        end = time.monotonic() + patience
        while not await asyncio.to_thread(condition):
            if time.monotonic() > end:
                raise AssertionError(f"not so after {patience:g} s: {what}\n{self.logs()}")
            await asyncio.sleep(_STEP)

    def logs(self, lines: int = 4) -> str:
        """The last words of every daemon that wrote any."""
        parts = []
        for path in sorted(self.folder.glob("*.log")):
            said = path.read_text(errors="replace").splitlines()
            last = [line for line in said if "pmix" not in line and "mpi/" not in line][-lines:]
            parts.append("\n".join((f"--- {path.name}", *last)))
        return "\n".join(parts)

    def end(self) -> None:
        """End every program of this lab, and nobody else's."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.folder / "held")
        end = time.monotonic() + PATIENCE
        while (ours := self._ours()) and time.monotonic() < end:
            for pid in ours:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for started in self._started:
                started.poll()
            time.sleep(_STEP)
        for started in self._started:
            started.wait(PATIENCE)

    def _start(self, program: str, *argv: str, **more: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{program}.out.log").open("ab")
        with log:
            started = subprocess.Popen(
                (str(require(program)), *argv),
                env=self.environ | more,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        self._started.append(started)
        return started

    def _slurmd(self, node: str) -> int:
        return int((self.folder / f"slurmd-{node}.pid").read_text())

    def _job_named(self, name: str) -> str:
        return self.command("squeue", "-h", "-t", "R", "-n", name, "-o", "%i", check=False).strip()

    def _ours(self) -> list[int]:
        """Processes that carry this lab's mark: what it started, and whatever those left behind."""
        mark = f"{MARK}={self.environ[MARK]}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found


@contextmanager
def slurm_lab(
    folder: Path,
    nodes: int = 8,
    *,
    slurmd_timeout: int = 120,
    resume_timeout: int = 60,
    health_interval: int = 2,
    message_timeout: int = 4,
    extra: str = "",
    ready: bool = True,
) -> Iterator[SlurmLab]:
    """A cluster of `nodes`, gpu1 to gpuN, each idle with 8 GPUs unless `ready` is false. `extra` are lines for slurm.conf.

    A slurmd that is late by a good part of `slurmd_timeout` makes its node NOT_RESPONDING, and on a busy machine they are late by
    seconds: it is short only where a test waits for a node that goes down.
    """
    for program in ("munged", "slurmctld", "slurmd", "scontrol", "srun"):
        require(program)
    with short_folder(folder) as run, free_ports(nodes + 1) as ports:
        layout = lay_out(
            run,
            nodes,
            ports,
            extra,
            {
                "slurmd_timeout": slurmd_timeout,
                "resume_timeout": resume_timeout,
                "health_interval": health_interval,
                "message_timeout": message_timeout,
            },
        )
        environ = layout.environ | {MARK: str(run)}
        lab = SlurmLab(run, layout.cluster, layout.nodes, layout.conf, environ)
        cleaner = subprocess.Popen(
            (sys.executable, "-I", "-c", _CLEANER, f"{MARK}={run}", str(run)),
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            lab.start_munged()
            lab._controller = lab._start("slurmctld", "-D")
            for node in lab.nodes:
                lab.start_slurmd(node)
            if ready:
                lab.until(lambda: _idle(lab) == nodes, f"{nodes} nodes are idle")
            yield lab
        finally:
            lab.end()
            cleaner.communicate()


def _idle(lab: SlurmLab) -> int:
    lines = lab.scontrol("show", "nodes", "-o", check=False).splitlines()
    return sum(" State=IDLE " in line for line in lines)
