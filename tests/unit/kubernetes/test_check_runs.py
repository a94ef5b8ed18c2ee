"""A check's Job as the API shows it: waiting, refused, evicted, out of memory, cut off, gone, and somebody else's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from backends.kubernetes.check_job import check_job, name_of
from backends.kubernetes.check_runs import JobRunner, leftovers
from backends.kubernetes.connection import Api
from backends.kubernetes.errors import AlreadyThere
from backends.kubernetes.our_keys import OurKeys
from fleet.diagnosis import OUTPUT_LIMIT, CheckSite, Diagnose, Ran
from fleet.errors import Denied, FleetError, Missing, Unreachable
from fleet.node import Node, NodeKey, Taint
from fleet.operation import Progress
from fleet.plan import NodeFacts, Step
from tests.clocks import ManualClock

KEY = NodeKey("lab", "gpu-1")
SITE = CheckSite("checks", "low")
ACTION = Diagnose("site.links", "op-1", "oncall", ("check",), "lab/links:1", gpus=8)
STEP = Step("lab/gpu-1/1-diagnose", KEY, ACTION, "run it")
Json = dict[str, Any]


class Server:
    """Keeps one Job, and shows its pod as it is told."""

    source = "lab"

    def __init__(self, pod: Json | None = None, log: bytes = b"ok\n") -> None:
        self.job: Json | None = None
        self.pod = pod
        self.log: bytes | FleetError = log
        self.ended: Json | None = None
        self.away: list[FleetError] = []
        self.made = 0
        self.strangers: list[Json] = []

    async def get(self, path: str, query: Sequence[tuple[str, str]] = (), **_: object) -> bytes:
        if self.away:
            raise self.away.pop()
        if path.endswith("/log"):
            if isinstance(self.log, FleetError):
                raise self.log
            return self.log[: int(dict(query)["limitBytes"])]
        if path.endswith("/pods"):
            items = [*self.strangers]
            if self.pod is not None and self.job is not None:
                items.append(pod_of(self.job["metadata"]["uid"], self.pod))
            return json.dumps({"metadata": {}, "items": items}).encode()
        if self.job is None:
            raise Missing("not found", about=path)
        status = {"conditions": [self.ended]} if self.ended else {}
        return json.dumps({**self.job, "status": status}).encode()

    async def send(self, method: str, path: str, body: bytes = b"", **_: object) -> bytes:
        if method == "DELETE":
            if self.job is None:
                raise Missing("not found", about=path)
            self.job = None
            return b"{}"
        if self.job is not None:
            raise AlreadyThere("it exists", about=path)
        self.made += 1
        self.job = founded(json.loads(body), f"job-{self.made}")
        return body


def founded(job: Json, uid: str) -> Json:
    """A Job as the API shows it once it is made."""
    return {**job, "metadata": {**job["metadata"], "uid": uid}}


def pod_of(job: str, status: Json) -> Json:
    """A pod of the Job of that uid."""
    return {"metadata": {"name": "p", "labels": {"controller-uid": job}}, "status": status}


def ended(code: int, reason: str = "Completed") -> Json:
    state = {"terminated": {"exitCode": code, "reason": reason}}
    return {"phase": "Succeeded" if code == 0 else "Failed", "containerStatuses": [{"state": state}]}


async def run(server: Server, told: list[Progress] | None = None, *, boot: str = "") -> Ran:
    """The run to its end, with time moving while it waits."""
    clock = ManualClock()
    runner = JobRunner(cast("Api", server), clock, "node.lab/", SITE)
    running = asyncio.ensure_future(
        runner.run(STEP, NodeFacts(Node(KEY, boot_id=boot)), (told if told is not None else []).append)
    )
    while not running.done():
        await clock.advance(timedelta(seconds=30))
    return await running


@pytest.mark.parametrize("code", [0, 1, 226])
async def test_the_exit_and_the_output_are_the_containers(code: int) -> None:
    ran = await run(Server(ended(code)))
    assert (ran.exit_code, ran.output, ran.why, ran.cut) == (code, "ok\n", "", False)
    assert ran.where == f"Job checks/{name_of('op-1', STEP.id)}"


async def test_the_exit_is_the_checks_own_and_not_that_of_a_container_beside_it() -> None:
    """A cluster may put one into every pod; the kubelet lists them by name."""
    beside = {"name": "a-proxy", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    own = {"name": "check", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}
    ran = await run(Server({"phase": "Failed", "containerStatuses": [beside, own]}))
    assert ran.exit_code == 1


async def test_a_job_found_again_that_ran_before_the_nodes_last_boot_tells_nothing_of_this_one() -> None:
    server = Server(ended(0))
    assert (await run(server, boot="boot-1")).exit_code == 0
    assert (await run(server, boot="boot-1")).exit_code == 0
    ran = await run(server, boot="boot-2")
    assert (ran.exit_code, ran.why, server.made) == (None, "it ran before the node's last boot", 1)


async def test_more_output_than_is_read_is_said_to_be_cut() -> None:
    ran = await run(Server(ended(0), log=b"x" * (OUTPUT_LIMIT + 5)))
    assert (len(ran.output), ran.cut) == (OUTPUT_LIMIT, True)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (
            {
                "phase": "Pending",
                "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}],
            },
            "it did not start in 5 min and waits to start: ImagePullBackOff",
        ),
        (
            {
                "phase": "Pending",
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "message": "0/9 nodes: \x1b[31mfull"}
                ],
            },
            "it did not start in 5 min and waits to start: 0/9 nodes: full",
        ),
        (None, "it did not start in 5 min and waits to start: its pod is being made"),
        (
            {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no GPUs"},
            "its pod ended without running: UnexpectedAdmissionError: no GPUs",
        ),
        (ended(137, "OOMKilled"), "it ran out of memory"),
    ],
)
async def test_what_did_not_run_to_its_end_says_why(status: Json | None, says: str) -> None:
    assert (await run(Server(status))).why == says


async def test_a_run_that_never_ends_is_given_up() -> None:
    assert (await run(Server({"phase": "Running"}))).why.startswith("it did not end in 17 min: running as p")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"running": {"startedAt": "2026-03-01T02:58:00Z"}}, "2 min of at most 10 min, running as p"),
        ({"running": {"startedAt": "2027-01-01T00:00:00Z"}}, "0 s of at most 10 min, running as p"),
        ({"running": {"startedAt": "soon"}}, "at most 10 min, running as p"),
        ({}, "at most 10 min, running as p"),
    ],
)
async def test_a_check_that_runs_says_for_how_long_by_the_containers_own_word(state: Json, says: str) -> None:
    told: list[Progress] = []
    await run(Server({"phase": "Running", "containerStatuses": [{"name": "check", "state": state}]}), told)
    assert told[0].says == f"site.links: {says}"


async def test_a_job_that_the_cluster_gave_up_says_so() -> None:
    server = Server()
    server.ended = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}
    assert (await run(server)).why == "it did not end in 10 min"


@pytest.mark.parametrize("kind", ["FailureTarget", "Failed"])
async def test_a_pod_that_was_killed_for_its_jobs_time_says_that_and_not_its_exit(kind: str) -> None:
    server = Server(ended(137, "Error"), log=b"memory: Pass\n")
    server.ended = {"type": kind, "status": "True", "reason": "DeadlineExceeded"}
    ran = await run(server)
    assert (ran.why, ran.exit_code, ran.output) == ("it did not end in 10 min", 137, "memory: Pass\n")


async def test_a_pod_that_succeeded_as_its_jobs_time_ran_out_has_succeeded() -> None:
    server = Server(ended(0))
    server.ended = {"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"}
    assert (await run(server)).why == ""


async def test_output_that_may_not_be_read_is_no_pass() -> None:
    server = Server(ended(0))
    server.log = Denied("no")
    ran = await run(server)
    assert ran.why == "its output can't be read: no"


async def test_a_job_that_is_there_is_gone_on_with() -> None:
    server = Server(ended(0))
    server.job = founded(check_job(STEP, ACTION, SITE, OurKeys()), "job-0")
    assert (await run(server)).exit_code == 0
    assert server.made == 0


async def test_the_pod_of_an_earlier_job_of_that_name_tells_nothing_of_this_one() -> None:
    """A Job that is deleted is gone at once, and its pods some time later."""
    server = Server()
    server.strangers = [pod_of("job-before", ended(0))]
    assert (await run(server)).why == "it did not start in 5 min and waits to start: its pod is being made"


async def test_a_pod_that_only_bears_its_jobs_name_tells_nothing_of_it() -> None:
    """Anybody who may make pods there can give one that label."""
    server = Server({"phase": "Running"})
    server.strangers = [
        {"metadata": {"name": "z", "creationTimestamp": "2030-01-01T00:00:00Z"}, "status": ended(0)}
    ]
    assert (await run(server)).why.startswith("it did not end in 17 min: running as p")


async def test_somebody_elses_job_of_that_name_is_not_followed() -> None:
    server = Server(ended(0))
    server.job = {"metadata": {"name": name_of("op-1", STEP.id), "labels": {}}}
    with pytest.raises(Denied, match="not ours"):
        await run(server)


async def test_a_job_that_somebody_takes_away_is_unknown() -> None:
    server = Server({"phase": "Running"})
    clock = ManualClock()
    runner = JobRunner(cast("Api", server), clock, "node.lab/", SITE)
    running = asyncio.ensure_future(runner.run(STEP, NodeFacts(Node(KEY)), lambda progress: None))
    await clock.advance(timedelta(seconds=1))
    server.job = None
    await clock.advance(timedelta(seconds=30))
    assert (await running).why == "its Job was taken away"


async def test_a_server_that_is_away_while_it_runs_is_waited_for() -> None:
    server = Server({"phase": "Running"})
    clock, told = ManualClock(), list[Progress]()
    runner = JobRunner(cast("Api", server), clock, "node.lab/", SITE)
    running = asyncio.ensure_future(runner.run(STEP, NodeFacts(Node(KEY)), told.append))
    await clock.advance(timedelta(seconds=1))
    server.away = [Unreachable("connection refused")] * 3
    await clock.advance(timedelta(minutes=1))
    server.pod = ended(0)
    await clock.advance(timedelta(minutes=1))
    assert (await running).exit_code == 0
    assert any("can't be seen now: connection refused" in each.says for each in told)


async def test_a_job_that_can_not_be_read_is_left_behind_all_the_same() -> None:
    class Listing:
        source = "lab"

        async def get(self, path: str, query: Sequence[tuple[str, str]] = (), **_: object) -> bytes:
            odd = {"metadata": {"name": "check-1\x1b[2J", "labels": ["node"]}}
            return json.dumps({"metadata": {}, "items": [odd]}).encode()

    (remark,) = await leftovers(cast("Api", Listing()), SITE, "node.lab/")
    assert remark.says.startswith("Job check-1 can't be read: ")
    assert remark.mend == "kubectl describe job -n checks check-1"


def test_a_class_of_priority_is_named_and_names_are_stable() -> None:
    pod = check_job(STEP, ACTION, SITE, OurKeys())["spec"]["template"]["spec"]
    assert pod["priorityClassName"] == "low"
    assert name_of("op-1", STEP.id) == name_of("op-1", STEP.id)
    assert name_of("op-1", STEP.id) != name_of("op-2", STEP.id)


def test_what_dedicates_a_node_is_tolerated_and_what_says_that_it_is_ill_or_leaves_is_not() -> None:
    taints = [
        Taint("lab.example/team-a", "yes", "NoExecute"),
        Taint("nvidia.com/gpu", "present"),
        Taint("soft", effect="PreferNoSchedule"),
        Taint("node.kubernetes.io/unreachable", effect="NoExecute"),
        Taint("karpenter.sh/disrupted"),
    ]
    pod = check_job(STEP, ACTION, SITE, OurKeys(), taints=taints)["spec"]["template"]["spec"]
    assert [(each["key"], each["effect"]) for each in pod["tolerations"]] == [
        ("node.lab/health-gate", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
        ("nvidia.com/gpu", "NoSchedule"),
        ("lab.example/team-a", "NoExecute"),
    ]
    assert {each["operator"] for each in pod["tolerations"]} == {"Exists"}
