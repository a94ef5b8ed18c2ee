"""What a Slurm lab is made of before anything runs: its folder, its ports, its configuration, and the programs that nodes run."""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.servers import SYSTEM_FOLDERS

_GPUS = 8

_CONF = """
ClusterName={cluster}
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={run}/munge/sock
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
GresTypes=gpu
TopologyPlugin=topology/tree
SlurmdParameters=config_overrides
ReturnToService=1
StateSaveLocation={run}/state
SlurmdSpoolDir={run}/spool/%n
SlurmctldPidFile={run}/slurmctld.pid
SlurmdPidFile={run}/slurmd-%n.pid
SlurmctldLogFile={run}/slurmctld.log
SlurmdLogFile={run}/slurmd-%n.log
RebootProgram={run}/reboot
ResumeTimeout={resume_timeout}
SlurmdTimeout={slurmd_timeout}
HealthCheckProgram={run}/health
HealthCheckInterval={health_interval}
HealthCheckNodeState=ANY
KillWait=2
SchedulerParameters=batch_sched_delay=0,sched_min_interval=1000
MessageTimeout={message_timeout}
MaxNodeCount=256
{extra}
NodeName=DEFAULT CPUs=64 RealMemory=1000000 Gres=gpu:h100:8 State=UNKNOWN
{nodes}
PartitionName=train Nodes=ALL Default=YES State=UP
PartitionName=debug Nodes={first} State=UP
"""

_REBOOT = """#!/bin/sh
# Ends this node's slurmd and brings it back at its next image, in a session of its own so that it outlives that slurmd.
setsid sh -c '
asked=$(date +%s)
kill "$(cat "{run}/slurmd-$LAB_NODE.pid")"
while kill -0 "$(cat "{run}/slurmd-$LAB_NODE.pid" 2>/dev/null)" 2>/dev/null; do sleep 0.05; done
while [ -e "{run}/held/$LAB_NODE" ]; do sleep 0.05; done
while [ "$(date +%s)" -le "$((asked + 1))" ]; do sleep 0.05; done  # slurmctld knows a boot by its later second
[ -d "{run}/held" ] || exit 0
image=$(cat "{run}/next/$LAB_NODE" 2>/dev/null || echo v2)
slurmd -b -N "$LAB_NODE"
features=$(sed -n "s/^$LAB_NODE //p" "{run}/features"),image-$image
until scontrol update NodeName="$LAB_NODE" AvailableFeatures="$features" ActiveFeatures="$features"; do sleep 0.1; done
echo "$image" > "{run}/booted/$LAB_NODE"
' </dev/null >/dev/null 2>>"{run}/reboot.log" &
"""

_HEALTH = """#!/bin/sh
# What a site's node health check does: drains its node, saying why. Runs on the node.
export SLURM_CONF="{run}/slurm.conf"
node=$SLURMD_NODENAME
[ -s "{run}/sick/$node" ] || exit 0
scontrol update NodeName="$node" State=DRAIN Reason="NHC: $(cat "{run}/sick/$node")"
exit 1
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """A cluster that could run: its name, its nodes, its slurm.conf and the environment in which Slurm's commands find it."""

    cluster: str
    nodes: tuple[str, ...]
    conf: Path
    environ: dict[str, str]


def lay_out(run: Path, nodes: int, ports: Sequence[int], extra: str, timing: Mapping[str, int]) -> Layout:
    """Write everything that a cluster of `nodes` needs into `run`. `timing` has the spans of slurm.conf, in seconds."""
    cluster = f"lab{ports[0]}"
    names = tuple(f"gpu{number}" for number in range(1, nodes + 1))
    for name in ("munge", "state", "spool", "dev", "sick", "next", "held", "booted"):
        (run / name).mkdir(mode=0o700)
    key = run / "munge" / "key-file"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(64))
    features = {name: f"h100,rack{1 + (number * 2) // nodes}" for number, name in enumerate(names)}
    lines = [
        f"NodeName={name} NodeAddr=127.0.0.1 NodeHostname=localhost Port={port} Feature={features[name]},image-v1 Weight=10"
        for name, port in zip(names, ports[1:], strict=True)
    ]
    values = {"run": run, "cluster": cluster, "port": ports[0], "user": _user(), "nodes": "\n".join(lines)}
    conf = run / "slurm.conf"
    conf.write_text(_CONF.format(**values, **timing, extra=extra, first=names[0]))
    _lay_out_gpus(run, names)
    _lay_out_switches(run, names)
    (run / "features").write_text("".join(f"{name} {text}\n" for name, text in features.items()))
    for program, text in (("reboot", _REBOOT), ("health", _HEALTH)):
        (run / program).write_text(text.format(run=run))
        (run / program).chmod(0o755)
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS))
    keep = {name: os.environ[name] for name in ("HOME", "USER", "LOGNAME") if name in os.environ}
    environ = keep | {"PATH": path, "SLURM_CONF": str(conf), "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    return Layout(cluster, names, conf, environ)


def _lay_out_gpus(run: Path, names: Sequence[str]) -> None:
    for number in range(_GPUS):
        (run / "dev" / f"nvidia{number}").symlink_to("/dev/null")
    nodes = ",".join(names)
    (run / "gres.conf").write_text(
        f"NodeName={nodes} Name=gpu Type=h100 File={run}/dev/nvidia[0-{_GPUS - 1}]\n"
    )


def _lay_out_switches(run: Path, names: Sequence[str]) -> None:
    half = (len(names) + 1) // 2
    leaves = [("leaf1", names[:half]), ("leaf2", names[half:])]
    lines = [f"SwitchName={name} Nodes={','.join(below)}" for name, below in leaves if below]
    lines.append(f"SwitchName=spine Switches={','.join(name for name, below in leaves if below)}")
    (run / "topology.conf").write_text("\n".join(lines) + "\n")


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


@contextmanager
def short_folder(folder: Path) -> Iterator[Path]:
    """A folder whose socket paths stay under the 108 characters that a Unix socket may have; `folder` links to it."""
    run = Path(tempfile.mkdtemp(prefix="qd-slurm-"))
    link = folder / run.name
    link.symlink_to(run)
    try:
        yield run
    finally:
        shutil.rmtree(run, ignore_errors=True)


@contextmanager
def free_ports(count: int) -> Iterator[tuple[int, ...]]:
    """Ports that are free and that no other lab will take: a block below the kernel's own, locked by a file."""
    for base in range(17000, 32000, 300):
        lock = _lock(base)
        if lock is None:
            continue
        with lock:
            found = [port for port in range(base, base + 300) if _free(port)]
            if len(found) >= count:
                yield tuple(found[:count])
                return
    raise AssertionError("no free ports for a Slurm lab")


def _lock(base: int) -> IO[str] | None:
    """The right to a block of ports, until it is closed; None where another lab, or another user, has it."""
    try:
        held = (Path(tempfile.gettempdir()) / f"quarterdeck-slurm-lab-{base}.lock").open("w")
    except OSError:
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        return None
    return held


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - to see whether it is free
        except OSError:
            return False
    return True
