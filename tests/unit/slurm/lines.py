"""Lines as scontrol prints them, made up for tests: by default an idle node of 22.05 with eight GPUs."""

from __future__ import annotations

from backends.slurm.show import Shown, read_nodes

HEAD = (
    "NodeName={name} Arch=x86_64 CoresPerSocket=1  CPUAlloc=0 CPUEfctv=64 CPUTot=64 CPULoad=1.00 "
    "AvailableFeatures={features} ActiveFeatures={features} Gres={gres} NodeAddr=127.0.0.1 NodeHostName={name} "
    "Version={version} OS={system}  RealMemory=1000000 AllocMem=0 FreeMem=22731 Sockets=64 Boards=1 "
)
TAIL = (
    "State={state} ThreadsPerCore=1 TmpDisk=0 Weight=10 Owner=N/A MCS_label=N/A {next}Partitions={partitions}  "
    "BootTime={boot} SlurmdStartTime={boot} LastBusyTime={boot} CfgTRES=cpu=64,mem=1T,billing=64 "
    "AllocTRES= CapWatts=n/a CurrentWatts=0 AveWatts=0 ExtSensorsJoules=n/s ExtSensorsWatts=0 ExtSensorsTemp=n/s"
)
UNREGISTERED = (
    "NodeName={name} CoresPerSocket=1  CPUAlloc=0 CPUEfctv=64 CPUTot=64 CPULoad=N/A AvailableFeatures=(null) "
    "ActiveFeatures=(null) Gres={gres} NodeAddr={name} NodeHostName={name} RealMemory=187.50G AllocMem=0 FreeMem=N/A "
    "Sockets=64 Boards=1 "
)


def line(
    name: str = "gpu1",
    state: str = "IDLE",
    *,
    after: str = "",
    features: str = "h100,image-v1",
    gres: str = "gpu:h100:8",
    version: str = "22.05.8",
    system: str = "Linux 6.1.0-13-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.55-1",
    partitions: str = "train,debug",
    boot: str = "2026-03-01T02:00:00",
    coming: str = "",
    registered: bool = True,
) -> str:
    """One line. `after` is what stands behind the last field: Reason, Comment, Extra."""
    head = (HEAD if registered else UNREGISTERED).format(
        name=name, features=features, gres=gres, version=version, system=system
    )
    if not registered:
        boot = "None"
    tail = TAIL.format(
        state=state, partitions=partitions, boot=boot, next=f"NextState={coming} " if coming else ""
    )
    return head + tail + (f" {after}" if after else "")


def shown(name: str = "gpu1", state: str = "IDLE", *, registered: bool = True, **more: str) -> Shown:
    """One node, read from such a line."""
    (node,) = read_nodes(line(name, state, registered=registered, **more) + "\n")
    return node
