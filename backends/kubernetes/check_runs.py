"""The port `CommandRunner` of a cluster: a Job on the closed node, followed to its end, read, and taken away.

The Job's name follows from operation and step, so that one that an earlier program left is found and not made twice. Nothing is
evicted for it: where somebody holds GPUs of the node it is not made at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from backends.kubernetes.check_job import CONTAINER, MANAGED, check_job, name_of
from backends.kubernetes.check_shapes import JobShape, RunPod, minutes
from backends.kubernetes.connection import Api
from backends.kubernetes.errors import AlreadyThere
from backends.kubernetes.our_keys import OurKeys, slug
from backends.kubernetes.permissions import Right, refused
from backends.kubernetes.shapes import Reading
from fleet.diagnosis import OUTPUT_LIMIT, CheckSite, Diagnose, Ran
from fleet.errors import Denied, Missing, OutcomeUnknown, Throttled, Unreachable
from fleet.node import Node
from fleet.operation import Progress
from fleet.plan import NodeFacts, Step
from fleet.ports import Clock
from fleet.remark import Remark
from fleet.text import clean

JOBS = Reading(JobShape)
RUNS = Reading(RunPod)
LOOK = timedelta(seconds=5)
SLACK = timedelta(minutes=2)
"""How much longer than its own deadlines a Job is followed, for the controllers to say that it ended."""

_AWAY = (Unreachable, Throttled)


@dataclass(slots=True)
class _Watch:
    """How long a run is followed: `until` it may wait to start, `given_up` it may take in all. Seconds, monotonic."""

    until: float
    given_up: float
    says: str = ""
    lasts: str = ""  # for how long it runs, and may run: `95 s of at most 15 min, `


class JobRunner:
    """A `fleet.ports.CommandRunner` of one cluster."""

    def __init__(self, api: Api, clock: Clock, prefix: str, site: CheckSite) -> None:
        self._api = api
        self._clock = clock
        self._keys = OurKeys(prefix)
        self._site = site

    async def refusal(self) -> str:
        """The rights that we lack in the checks' namespace, in words. Raises FleetError."""
        lacking = await refused(self._api, rights(self._site.namespace))
        if not lacking:
            return ""
        named = ", ".join(f"{right.verb} {right.named}" for right in lacking)
        return f"you may not {named} in namespace {self._site.namespace} of {self._api.source}"

    async def run(self, step: Step, facts: NodeFacts, progress: Callable[[Progress], None]) -> Ran:
        """See `fleet.ports.CommandRunner.run`."""
        action = step.action
        assert isinstance(action, Diagnose), "only an active check is run"
        where = f"Job {self._site.namespace}/{name_of(action.operation, step.id)}"
        there, boot = await self._job(step, action), facts.node.boot_id
        if there is not None and there.notes.get(f"{self._keys.prefix}boot", boot) != boot:
            return Ran(why="it ran before the node's last boot", where=where, at=self._clock.now())
        if there is None:
            why = _unfit(action, facts)
            if why:
                return Ran(why=why[0], clears=why[1], where=where, at=self._clock.now())
            await self._make(step, action, facts.node)
        return await self._followed(step, action, where, progress)

    async def clean_up(self, step: Step) -> None:
        """See `fleet.ports.CommandRunner.clean_up`. Its pod goes with it; a Job of that name that is not ours stays."""
        action = step.action
        assert isinstance(action, Diagnose), "only an active check leaves anything"
        found = await self._shown(step, action)
        if found is None or not self._is_ours(found, action):
            return
        body = json.dumps({"propagationPolicy": "Background"}).encode()
        try:
            await self._api.send("DELETE", self._path(step, action), body)
        except Missing:
            return

    def leaves(self, step: Step) -> str:
        """See `fleet.ports.CommandRunner.leaves`."""
        action = step.action
        assert isinstance(action, Diagnose), "only an active check leaves anything"
        namespace, name = self._site.namespace, name_of(action.operation, step.id)
        return f"Job {namespace}/{name}: kubectl delete job -n {namespace} {name}"

    async def _make(self, step: Step, action: Diagnose, node: Node) -> None:
        """Make the Job. One of that name that is not this step's is nobody we know. Raises FleetError."""
        job = check_job(step, action, self._site, self._keys, node.boot_id, node.taints)
        body = json.dumps(job).encode()
        try:
            await self._api.send("POST", self._jobs, body)
        except (AlreadyThere, OutcomeUnknown):
            if await self._job(step, action) is None:
                raise
        except Missing as error:
            says = f"there is no namespace {self._site.namespace} to run it in"
            raise Missing(says, about=self._api.source) from error

    async def _job(self, step: Step, action: Diagnose) -> JobShape | None:
        """The step's Job where it is there. Raises FleetError; Denied for one of that name that is not ours."""
        found = await self._shown(step, action)
        if found is not None and not self._is_ours(found, action):
            raise Denied("a Job of that name is not ours", about=self._path(step, action))
        return found

    async def _shown(self, step: Step, action: Diagnose) -> JobShape | None:
        """The Job of the step's name; None where there is none, or it is on its way out. Raises FleetError."""
        path = self._path(step, action)
        try:
            found = JOBS.one(await self._api.get(path), about=path)
        except Missing:
            return None
        return None if found.metadata.deletion_timestamp is not None else found

    def _is_ours(self, job: JobShape, action: Diagnose) -> bool:
        return job.labels.get(f"{self._keys.prefix}operation") == slug(action.operation)

    async def _followed(
        self, step: Step, action: Diagnose, where: str, progress: Callable[[Progress], None]
    ) -> Ran:
        """Look until it ended, or can't be waited for any longer."""
        now = self._clock.monotonic()
        start, whole = action.starts_in, action.starts_in + action.deadline + SLACK
        watch = _Watch(now + start.total_seconds(), now + whole.total_seconds())
        while True:
            try:
                ran = await self._looked(step, action, where, watch)
            except _AWAY as error:
                watch.says = f"can't be seen now: {error}"
                ran = None
            if ran is not None:
                return ran
            if self._clock.monotonic() >= watch.given_up:
                why = f"it did not end in {minutes(whole)}: {watch.says}"
                return Ran(why=why, where=where, at=self._clock.now())
            progress(Progress(step.id, step.node, f"{action.check}: {watch.lasts}{watch.says}"))
            await self._clock.sleep(LOOK)

    async def _looked(self, step: Step, action: Diagnose, where: str, watch: _Watch) -> Ran | None:
        """How it ended; None where it goes on."""
        job = await self._job(step, action)
        if job is None:
            return Ran(why="its Job was taken away", where=where, at=self._clock.now())
        pod = await self._pod(job)
        late = f"it did not end in {minutes(action.deadline)}" if job.out_of_time else ""
        if pod is not None and pod.phase in ("Succeeded", "Failed"):
            ran = await self._ended(pod, where)
            return replace(ran, why=late) if late and pod.phase == "Failed" else ran
        if job.ended is not None and (pod is None or job.ended.type == "Failed"):
            why = clean(f"its Job ended: {job.ended.reason or ''} {job.ended.message or ''}", 300)
            return Ran(why=late or why, where=where, at=self._clock.now())
        if pod is not None and pod.phase == "Running":
            since = pod.began
            runs = f"{minutes(max(self._clock.now() - since, timedelta(0)))} of " if since else ""
            watch.lasts = f"{runs}at most {minutes(action.deadline)}, "
            watch.says = f"running as {pod.metadata.name}"
            watch.until = watch.given_up
            return None
        watch.says = (
            f"waits to start: {(pod.waits_for if pod is not None else '') or 'its pod is being made'}"
        )
        if self._clock.monotonic() >= watch.until:
            why = f"it did not start in {minutes(action.starts_in)} and {watch.says}"
            clears = "what it waits for; see kubectl describe in its namespace"
            return Ran(why=why, clears=clears, where=where, at=self._clock.now())
        return None

    async def _pod(self, job: JobShape) -> RunPod | None:
        """The pod of this very Job, the newest where there were several. Raises FleetError.

        By its uid: the pods of an earlier Job of the name outlive it for a while.
        """
        name, uid = job.metadata.name, job.metadata.uid
        query = (("labelSelector", f"job-name={name}"),)
        body = await self._api.get(f"/api/v1/namespaces/{self._site.namespace}/pods", query)
        found = [pod for pod in RUNS.page(body, about=name).items if uid and pod.of_job == uid]
        return max(found, key=lambda pod: pod.metadata.creation_timestamp or "", default=None)

    async def _ended(self, pod: RunPod, where: str) -> Ran:
        """What an ended pod printed, and how it ended."""
        at, ended = self._clock.now(), pod.ended
        if ended is None or ended.exit_code is None:
            return Ran(why=f"its pod ended without running: {pod.why or pod.phase}", where=where, at=at)
        try:
            output, cut = await self._log(pod.metadata.name)
        except (Denied, Missing) as error:
            return Ran(
                exit_code=ended.exit_code, why=f"its output can't be read: {error}", where=where, at=at
            )
        why = "it ran out of memory" if ended.reason == "OOMKilled" else ""
        return Ran(output, ended.exit_code, at, where, cut, why)

    async def _log(self, pod: str) -> tuple[str, bool]:
        """The pod's output, and whether there is more than what was read. Raises FleetError."""
        query = (("container", CONTAINER), ("limitBytes", str(OUTPUT_LIMIT)))
        path = f"/api/v1/namespaces/{self._site.namespace}/pods/{pod}/log"
        body = await self._api.get(path, query)
        return body[:OUTPUT_LIMIT].decode(errors="replace"), len(body) >= OUTPUT_LIMIT

    @property
    def _jobs(self) -> str:
        return f"/apis/batch/v1/namespaces/{self._site.namespace}/jobs"

    def _path(self, step: Step, action: Diagnose) -> str:
        return f"{self._jobs}/{name_of(action.operation, step.id)}"


def rights(namespace: str) -> tuple[Right, ...]:
    """What running a check needs, in its namespace alone."""
    jobs = tuple(Right(verb, "jobs", "batch", namespace=namespace) for verb in ("create", "get", "delete"))
    read = (
        Right("list", "pods", namespace=namespace),
        Right("get", "pods", subresource="log", namespace=namespace),
    )
    return (*jobs, *read)


async def leftovers(api: Api, site: CheckSite, prefix: str) -> Sequence[Remark]:
    """Jobs of checks that are there now, each with whose it is: none should outlive its operation. Raises FleetError."""
    keys = OurKeys(prefix)
    about = f"{api.source} checks"
    query = (("labelSelector", f"{MANAGED[0]}={MANAGED[1]}"),)
    try:
        body = await api.get(f"/apis/batch/v1/namespaces/{site.namespace}/jobs", query)
    except (Denied, Missing) as error:
        return (Remark(about, None, f"whether a check was left behind is not known: {error}"),)
    page = JOBS.page(body, about=about)
    odd = [_unread(about, clean(name, 80), clean(why, 120), site) for name, why in page.unreadable]
    return (*(_left(about, job, site, keys) for job in page.items), *odd)


def _left(about: str, job: JobShape, site: CheckSite, keys: OurKeys) -> Remark:
    operation = clean(job.labels.get(f"{keys.prefix}operation", "?"), 80)
    on = clean(job.notes.get(f"{keys.prefix}on", "?"), 120)
    by = clean(job.notes.get(f"{keys.prefix}by", "?"), 80)
    state = "ended" if job.ended is not None else "holds its GPUs"
    says = f"Job {job.metadata.name} on {on} of operation {operation} by {by}: {state}"
    go_on = f"resume or cancel {operation}; else kubectl delete job -n {site.namespace} {job.metadata.name}"
    return Remark(about, None, says, go_on)


def _unread(about: str, name: str, why: str, site: CheckSite) -> Remark:
    return Remark(
        about, None, f"Job {name} can't be read: {why}", f"kubectl describe job -n {site.namespace} {name}"
    )


def _unfit(action: Diagnose, facts: NodeFacts) -> tuple[str, str] | None:
    """Why nothing may be made on the node as it is, and what would clear that."""
    if not action.image:
        clears = f"`image` under the check {action.check} of the category"
        return "no image is configured to run it in", clears
    held = [item for item in facts.placements if item.gpus and not item.finished]
    if not held:
        return None
    named = ", ".join(f"{item.namespace}/{item.name} ({item.gpus})" for item in held[:3])
    more = f" and {len(held) - 3} more" if len(held) > 3 else ""
    return f"its GPUs are held by {named}{more}", "draining it: a check never takes GPUs away"
