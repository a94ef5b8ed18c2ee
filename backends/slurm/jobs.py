"""The jobs on nodes, from squeue: whose they are, how long they may run on, whether they would come back, and their GPUs.

Fields end with a separator that no field but the job's name can hold, and the name comes last. Requeue=0 and jobs without a
batch script (srun, salloc) are lost when they are taken away. Where GPUs were asked for by node squeue says how many; of other
jobs `scontrol show job -d` says how many are on which node.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backends.slurm.commands import SlurmCommands
from backends.slurm.errors import Completed, translate
from backends.slurm.gres import asks_for_gpus, gpus_in, gpus_in_tres
from backends.slurm.hostlists import expand
from backends.slurm.show import read_time
from fleet.errors import FleetError, Garbled, Missing
from fleet.text import clean
from fleet.workload import Keeper, Placement, WorkloadId

FIELD, RECORD = "\x1f", "\x1e"
_FIELDS = (
    *("JobArrayID", "JobID", "UserName", "TimeLeft", "State", "NodeList", "NumNodes"),
    *("tres-per-node", "tres-alloc", "Requeue", "BatchFlag", "EndTime", "Name"),
)
_STATES = "running,completing,suspended,configuring,stopped,signaling"
"""Of jobs that are on nodes. One that a signal stopped, or is just being sent one, is not among the running."""
FEW = 300
"""Up to so many nodes are named to squeue; of more, all jobs are asked for."""
DETAILED = 20
"""Of so many jobs at most it is asked on which node how many of their GPUs are."""
_GRACE = timedelta(seconds=30)
_LEFT = re.compile(r"(?:(\d{1,7})-)?(?:(\d{1,4}):)?(\d{1,6}):(\d{1,2})\Z")
_SHARE = re.compile(r" Nodes=(\S+) CPU_IDs=\S* Mem=\S* GRES=(\S*)")


@dataclass(frozen=True, slots=True)
class Job:
    """A job that is on nodes. `gpus` are those of each node it is on, None where squeue does not say."""

    id: str
    raw_id: str
    user: str
    state: str
    nodes: tuple[str, ...]
    time_left: timedelta | None = None
    gpus: int | None = None
    gpus_in_all: int | None = None
    requeue: bool = False
    batch: bool = False
    ends: datetime | None = None
    name: str = ""

    @property
    def workload(self) -> WorkloadId:
        """The job; parts of a heterogeneous job are one."""
        return WorkloadId(self.user, "job", self.id.partition("+")[0])

    @property
    def keeper(self) -> Keeper:
        """Whether Slurm would run it again when it is taken away."""
        return Keeper.CONTROLLER if self.requeue and self.batch else Keeper.NOBODY


async def ask_jobs(commands: SlurmCommands, nodes: Sequence[str] = ()) -> list[Job]:
    """Every job that is on nodes, or on `nodes` where those are few. Raises FleetError."""
    argv = ["squeue", "-h", "-t", _STATES, "-O", _format()]
    if nodes and len(nodes) <= FEW:
        argv += ["-w", ",".join(nodes)]
    return read_jobs(await commands.read(*argv))


def read_jobs(text: str) -> list[Job]:
    """The jobs in what squeue printed. Raises Garbled where it is something else."""
    records = [record for record in text.split(RECORD) if record.strip("\n")]
    if text.strip() and not records:
        raise Garbled("squeue printed no list of jobs", about="squeue")
    jobs = [job for record in records if (job := _read(record.removeprefix("\n"))) is not None]
    if records and not jobs:
        raise Garbled("squeue does not print the fields that were asked for", about="squeue")
    return jobs


def placements_of(
    node: str, jobs: Iterable[Job], shares: Mapping[tuple[str, str], int]
) -> tuple[Placement, ...]:
    """The jobs' shares of one node. `shares` are GPUs by (raw job id, node) where squeue does not say."""
    return tuple(_placement(node, job, shares) for job in jobs if node in job.nodes)


async def ask_shares(commands: SlurmCommands, jobs: Iterable[Job]) -> Mapping[tuple[str, str], int]:
    """How many GPUs each job has on which node, of those of which squeue does not say. A job that ended meanwhile is left out."""
    shares: dict[tuple[str, str], int] = {}
    for job in [job for job in jobs if job.gpus is None][:DETAILED]:
        done = await commands.ask("scontrol", "show", "job", "-d", "-o", job.raw_id, about=f"job {job.id}")
        if done.rc and not isinstance(failed := _failure(done, job), Missing):
            raise failed
        for nodes, gres in _SHARE.findall(done.out):
            shares |= dict.fromkeys(((job.raw_id, node) for node in expand(nodes)), gpus_in(gres).whole)
    return shares


def _failure(done: Completed, job: Job) -> FleetError:
    return translate(done, about=f"job {job.id}")


def _placement(node: str, job: Job, shares: Mapping[tuple[str, str], int]) -> Placement:
    leaving = job.state == "COMPLETING"
    gpus = job.gpus
    if gpus is None:
        gpus = shares.get((job.raw_id, node), -(-(job.gpus_in_all or 0) // max(1, len(job.nodes))))
    return Placement(
        namespace="",
        name=job.id,
        uid=job.raw_id,
        workload=job.workload,
        keeper=job.keeper,
        gpus=gpus,
        phase=job.state,
        terminating_since=job.ends if leaving else None,
        grace=_GRACE,
        user=job.user,
        time_left=job.time_left,
        waits=True,
    )


def _format() -> str:
    return ",".join(f"{name}:0{RECORD if name == 'Name' else FIELD}" for name in _FIELDS)


def _read(record: str) -> Job | None:
    values = record.split(FIELD, len(_FIELDS) - 1)
    if len(values) != len(_FIELDS):
        return None
    (number, raw, user, left, state, nodes, _, per_node, alloc, requeue, batch, ends, name) = values
    in_all = gpus_in_tres(alloc)
    per_node = per_node.strip()
    gpus = gpus_in(per_node).whole + gpus_in(per_node).slices if asks_for_gpus(per_node) else None
    spread = expand(nodes.strip())
    if gpus is None and in_all is not None and len(spread) == 1:
        gpus = in_all
    return Job(
        id=clean(number.strip(), 120),
        raw_id=clean(raw.strip(), 40),
        user=clean(user.strip(), 64),
        state=clean(state.strip().upper(), 40),
        nodes=spread,
        time_left=read_left(left.strip()),
        gpus=gpus,
        gpus_in_all=in_all,
        requeue=requeue.strip() == "1",
        batch=batch.strip() == "1",
        ends=read_time(ends.strip()),
        name=clean(name, 120),
    )


def read_left(text: str) -> timedelta | None:
    """The time left of a job, as squeue prints it; None where it has no limit, or none is said. One that is over has none left."""
    if text == "INVALID":
        return timedelta(0)
    found = _LEFT.match(text)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
