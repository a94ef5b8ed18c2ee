"""Active checks over real HTTP: a Job on a closed node of the simulator, its pod's output, and what the gate makes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.dcgm_exporter.scrape import DcgmExporterSource
from backends.diagnostics.runner import DiagnosticsRunner
from backends.kubernetes.actions import KubernetesWriter
from backends.kubernetes.check_job import MANAGED, check_job
from backends.kubernetes.check_runs import JobRunner, leftovers
from backends.kubernetes.connection import Api
from backends.kubernetes.kubeconfig import find
from backends.kubernetes.node_keys import NodeKeys
from backends.kubernetes.our_keys import OurKeys
from backends.kubernetes.reader import KubernetesReader
from backends.simulated.faults import FaultKind, fault
from backends.simulated.fleet_plan import Story, plan_fleet
from backends.simulated.objects import EVENTS, JOBS, NAMESPACES, PODS
from backends.simulated.serve import Simulation, serve
from fleet.category import Category, CheckPolicy, OnNode
from fleet.diagnosis import DCGM_DIAG, NCCL, CheckSite, Diagnose
from fleet.dispatch import Dispatcher
from fleet.gate import GateChecker
from fleet.health import GateRecord, Verdict
from fleet.node import Admission, Node, NodeKey, Stage
from fleet.operation import Operation, OperationState
from fleet.plan import ApplyVerdict, Options, Plan, Release, Request, Step, Verb
from fleet.policy import Policy
from fleet.runner import OperationRun
from fleet.telemetry_feed import TelemetryFeed
from tests.clocks import ManualClock
from tests.contract.orchestrator import keep_time_moving
from tests.fakes import MemoryJournal

SOURCE = "simulated"
SITE = CheckSite(namespace="checks")
PREFIX = "node.lab/"
SETTLES = timedelta(minutes=5)
IMAGE = OnNode(level=2, image="lab/dcgm:4")
CHECKS = {
    DCGM_DIAG: CheckPolicy(on_node=IMAGE),
    NCCL: CheckPolicy(on_node=replace(IMAGE, image="lab/nccl:1"), limit=10),
}


@dataclass
class Floor:
    """A simulated fleet with a node behind the gate, and one operator's program that may be killed and started again."""

    simulation: Simulation
    api: Api
    reader: KubernetesReader
    feed: TelemetryFeed
    clock: ManualClock
    checks: Mapping[str, CheckPolicy] = field(default_factory=lambda: CHECKS)
    keys: list[NodeKey] = field(default_factory=list)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    dispatcher: Dispatcher = field(init=False)

    def __post_init__(self) -> None:
        self.dispatcher = self.program()

    @property
    def node(self) -> NodeKey:
        plans = self.simulation.world.plan.nodes
        return NodeKey(SOURCE, next(plan.name for plan in plans if plan.story is Story.PROVISIONING))

    def program(self) -> Dispatcher:
        policy = Policy(any_other=Category("", checks=self.checks, settle_deadline=SETTLES))
        runner = JobRunner(self.api, self.clock, PREFIX, SITE)
        return Dispatcher(
            readers={SOURCE: self.reader},
            writers={SOURCE: KubernetesWriter(self.api, self.reader, self.clock)},
            checker=GateChecker(policy, self.clock, self.feed.readings),
            journal=self.journal,
            clock=self.clock,
            policy=policy,
            owner="oncall@desk",
            check_runners={SOURCE: DiagnosticsRunner(runner, self.clock)},
        )

    async def plan(self, **options: Any) -> Plan:
        request = Request(Verb.GATE, (self.node,), "oncall@desk", "new", "op-1", Options(**options))
        return await self.dispatcher.plan(request)

    async def start(self) -> OperationRun:
        return self.dispatcher.start(await self.plan())

    async def gated(self) -> Operation:
        run = await self.start()
        return await self.dispatcher.finished(run.operation.id)

    async def seen(self) -> Node:
        return (await self.reader.read([self.node]))[self.node].node

    async def verdicts(self) -> Mapping[str, Verdict]:
        return {finding.check: finding.verdict for finding in (await self.record()).findings}

    async def record(self) -> GateRecord:
        """The whole record, from the run's own journal: the node's has only what did not pass."""
        actions = [written.step.action for written in self.journal.written if written.step is not None]
        return next(action.record for action in reversed(actions) if isinstance(action, ApplyVerdict))

    def jobs(self) -> list[dict[str, Any]]:
        return [
            job for job in self.simulation.store.list(JOBS) if MANAGED[0] in job["metadata"].get("labels", {})
        ]

    async def until(self, phase: str) -> dict[str, Any]:
        """The check's pod once it is in that phase."""
        for _ in range(2000):
            for pod in self.simulation.store.list(PODS, SITE.namespace):
                if pod["status"].get("phase") == phase:
                    return pod
            await asyncio.sleep(0.002)
        raise AssertionError(f"no pod of a check is {phase}")


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    clock = ManualClock()
    async with serve(clock, plan=plan_fleet(60, 0)) as simulation:
        simulation.store.create(NAMESPACES, {"metadata": {"name": SITE.namespace}})
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(simulation.api.kubeconfig())
        access = find(kubeconfig=str(kubeconfig), context=None, environ={}, home=tmp_path)
        api = Api(access, source=SOURCE, clock=clock, environ={})
        keys = [NodeKey(SOURCE, plan.name) for plan in simulation.world.plan.nodes]
        exporters = DcgmExporterSource([simulation.metrics_url], clock, lambda: keys)
        feed = TelemetryFeed(exporters, lambda: keys, clock)
        moving = asyncio.create_task(keep_time_moving(simulation, timedelta(seconds=1)))
        made = Floor(simulation, api, KubernetesReader(api, NodeKeys()), feed, clock, keys=keys)
        try:
            yield made
        finally:
            await made.dispatcher.leave()
            moving.cancel()
            with suppress(asyncio.CancelledError):
                await moving
            await exporters.close()
            await api.close()


async def test_a_healthy_node_passes_and_leaves_nothing_behind(floor: Floor) -> None:
    operation = await floor.gated()
    assert operation.state is OperationState.DONE, operation.says
    verdicts = await floor.verdicts()
    assert (verdicts[DCGM_DIAG], verdicts[NCCL]) == (Verdict.PASS, Verdict.PASS)
    assert (await floor.seen()).admission is Admission.OPEN
    assert floor.jobs() == []


async def test_a_provisioned_node_runs_them_before_it_is_admitted(floor: Floor) -> None:
    fresh, like = NodeKey(SOURCE, "fresh-900"), await floor.seen()
    floor.keys.append(fresh)
    options = Options(category=like.category, image=like.image.running)
    request = Request(Verb.PROVISION, (fresh,), "oncall@desk", "new", "op-1", options)
    shown = await floor.dispatcher.plan(request)
    assert shown.free_to_run, shown.all_blockers
    assert [type(step.action).__name__ for step in shown.steps] == [
        "Create",
        "AwaitBoot",
        "Diagnose",
        "Diagnose",
        "Check",
    ]
    operation = await floor.dispatcher.run(shown)
    assert operation.state is OperationState.DONE, operation.says
    verdicts = await floor.verdicts()
    assert (verdicts[DCGM_DIAG], verdicts[NCCL]) == (Verdict.PASS, Verdict.PASS)
    assert (await floor.reader.read([fresh]))[fresh].node.admission is Admission.OPEN
    assert floor.jobs() == []


async def test_a_faulted_gpu_fails_the_diagnostic_and_quarantines(floor: Floor) -> None:
    floor.simulation.world.inject(fault(FaultKind.ROW_REMAP, floor.node.name, gpu=3))
    operation = await floor.gated()
    assert operation.state is OperationState.FAILED
    finding = next(each for each in (await floor.record()).findings if each.check == DCGM_DIAG)
    assert finding.verdict is Verdict.FAIL
    assert finding.value == "software: Fail on GPU 3: GPU 3: row_remap found (error 80)"
    assert finding.clears.startswith("isolating the GPU")
    assert "output " in finding.source
    assert (await floor.seen()).stage is Stage.QUARANTINED


async def test_a_check_that_hangs_is_ended_by_the_cluster_and_is_unknown(floor: Floor) -> None:
    floor.checks = {DCGM_DIAG: CHECKS[DCGM_DIAG]}
    floor.dispatcher = floor.program()
    floor.simulation.world.inject(fault(FaultKind.GPU_HANGS, floor.node.name, gpu=2))
    operation = await floor.gated()
    assert operation.state is OperationState.FAILED
    finding = next(each for each in (await floor.record()).findings if each.check == DCGM_DIAG)
    assert (finding.verdict, finding.value) == (Verdict.UNKNOWN, "it did not end in 15 min")
    told = [event for event in floor.simulation.store.list(EVENTS) if event["reason"] == "DeadlineExceeded"]
    assert told
    assert (await floor.seen()).admission is Admission.GATED
    assert floor.jobs() == []


async def test_what_a_program_left_for_good_is_taken_away_by_the_cluster(floor: Floor) -> None:
    """Killed and never resumed: its Job ends, and is kept no longer than it says."""
    await floor.start()
    await floor.until("Running")
    await floor.dispatcher.leave()
    assert len(floor.jobs()) == 1
    for _ in range(2000):
        if not floor.jobs():
            break
        await floor.simulation.advance(timedelta(minutes=5))
    assert floor.jobs() == []
    assert floor.simulation.store.list(PODS, SITE.namespace) == []


async def test_the_job_takes_the_whole_node_and_no_right(floor: Floor) -> None:
    await floor.start()
    await floor.until("Running")
    (job,) = floor.jobs()
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert job["spec"]["backoffLimit"] == 0
    assert container["command"] == ["dcgmi", "diag", "-r", "2", "-j"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "4"}
    assert container["securityContext"] == {"allowPrivilegeEscalation": False}
    assert spec["automountServiceAccountToken"] is False
    assert {each["key"] for each in spec["tolerations"]} >= {"node.lab/health-gate"}
    assert "hostPath" not in json.dumps(spec)


async def test_cancelled_it_is_stopped_and_taken_away(floor: Floor) -> None:
    run = await floor.start()
    await floor.until("Running")
    floor.dispatcher.cancel(run.operation.id)
    operation = await floor.dispatcher.finished(run.operation.id)
    assert operation.state is OperationState.CANCELLED
    assert floor.jobs() == []
    assert (await floor.seen()).gate is None


async def test_killed_half_way_and_resumed_it_makes_no_second_job(floor: Floor) -> None:
    await floor.start()
    pod = await floor.until("Running")
    await floor.dispatcher.leave()  # as a crash leaves it: the Job runs on
    (remark,) = await leftovers(floor.api, SITE, PREFIX)
    assert "op-1" in remark.says
    assert remark.mend.startswith("resume or cancel op-1")
    floor.dispatcher = floor.program()
    (found,) = await floor.journal.operations()
    run = await floor.dispatcher.resume(found)
    operation = await floor.dispatcher.finished(run.operation.id)
    assert operation.state is OperationState.DONE, operation.says
    made = [
        path for method, path in floor.simulation.api.requests if method == "POST" and path.endswith("/jobs")
    ]
    assert len(made) == len(CHECKS)
    assert pod["metadata"]["uid"] not in floor.simulation.store.logs
    assert list(await leftovers(floor.api, SITE, PREFIX)) == []


async def cut_off(floor: Floor) -> Operation:
    """An operation whose program is gone while its first check runs; the next program is the floor's."""
    await floor.start()
    await floor.until("Running")
    await floor.dispatcher.leave()
    floor.dispatcher = floor.program()
    (left,) = await floor.journal.operations()
    return left


async def test_resumed_and_cancelled_at_once_nothing_of_it_is_left_and_nothing_of_anothers_is_taken(
    floor: Floor,
) -> None:
    left = await cut_off(floor)
    check = left.plan.steps[0]
    assert isinstance(check.action, Diagnose)
    theirs = replace(check, action=replace(check.action, operation="op-2"))
    floor.simulation.store.create(
        JOBS, check_job(theirs, replace(check.action, operation="op-2"), SITE, OurKeys(PREFIX))
    )
    await floor.dispatcher.resume(left)
    floor.dispatcher.cancel(left.id)
    operation = await floor.dispatcher.finished(left.id)
    assert (operation.state, operation.says) == (OperationState.CANCELLED, "cancelled")
    assert [job["metadata"]["labels"][f"{PREFIX}operation"] for job in floor.jobs()] == ["op-2"]
    assert (await floor.seen()).gate is None


async def test_a_node_that_somebody_opened_meanwhile_is_not_run_on_and_the_job_is_taken_away(
    floor: Floor,
) -> None:
    left = await cut_off(floor)
    writer = KubernetesWriter(floor.api, floor.reader, floor.clock)
    opens = Step("colleague", floor.node, Release((), open_gate=True), "open it")
    await writer.perform(await writer.prepare(opens), lambda progress: None)
    assert (await floor.seen()).admission is Admission.OPEN
    await floor.dispatcher.resume(left)
    await floor.dispatcher.finished(left.id)
    assert floor.jobs() == []
    assert (await floor.seen()).admission is Admission.OPEN


async def test_a_job_that_can_not_be_taken_away_is_named_with_the_command_that_does(floor: Floor) -> None:
    left = await cut_off(floor)
    (job,) = floor.jobs()
    floor.simulation.api.deny("delete", "jobs")
    await floor.dispatcher.resume(left)
    floor.dispatcher.cancel(left.id)
    operation = await floor.dispatcher.finished(left.id)
    assert operation.state is OperationState.FAILED
    name = job["metadata"]["name"]
    assert f"left behind: Job checks/{name}: kubectl delete job -n checks {name} (" in operation.says
    assert operation.says.endswith("resume it to try again")
    floor.simulation.api.allow("delete", "jobs")
    floor.dispatcher = floor.program()
    (found,) = await floor.journal.operations()
    await floor.dispatcher.resume(found)
    assert (await floor.dispatcher.finished(left.id)).state is OperationState.CANCELLED
    assert floor.jobs() == []


async def test_a_pod_that_is_not_placed_is_unknown_with_the_schedulers_words(floor: Floor) -> None:
    floor.simulation.world.inject(fault(FaultKind.TOO_FEW_GPUS, floor.node.name))
    floor.checks = {DCGM_DIAG: CHECKS[DCGM_DIAG]}
    floor.dispatcher = floor.program()
    for _ in range(60):  # the device plugin's word takes simulated time to go
        if (await floor.seen()).gpus_allocatable == 7:
            break
        await asyncio.sleep(0.01)
    await floor.gated()
    finding = next(each for each in (await floor.record()).findings if each.check == DCGM_DIAG)
    assert finding.verdict is Verdict.UNKNOWN
    assert finding.value.startswith("it did not start in 5 min and waits to start: Unschedulable: 0/60 nodes")
    assert floor.jobs() == []


@pytest.mark.parametrize(
    ("verb", "resource", "named"),
    [("create", "jobs", "create jobs"), ("get", "pods/log", "get pods/log"), ("list", "pods", "list pods")],
)
async def test_a_right_that_is_lacking_blocks_and_is_named(
    floor: Floor, verb: str, resource: str, named: str
) -> None:
    floor.simulation.api.deny(verb, resource)
    runner = JobRunner(floor.api, floor.clock, PREFIX, SITE)
    assert await runner.refusal() == f"you may not {named} in namespace checks of simulated"


async def test_without_a_right_the_gate_is_blocked_and_says_how_to_go_on(floor: Floor) -> None:
    floor.simulation.api.deny("create", "jobs")
    blockers = (await floor.plan()).all_blockers
    assert [blocker.says.partition(":")[0] for blocker in blockers] == [
        "dcgm-diag can't be run",
        "nccl-allreduce can't be run",
    ]


async def test_a_namespace_that_is_not_there_is_unknown(floor: Floor) -> None:
    floor.simulation.store.delete(NAMESPACES, SITE.namespace)
    await floor.gated()
    finding = next(each for each in (await floor.record()).findings if each.check == DCGM_DIAG)
    assert finding.verdict is Verdict.UNKNOWN
    assert "checks" in finding.value


async def test_gpus_that_somebody_holds_are_never_taken(floor: Floor) -> None:
    busy = next(
        plan.name
        for plan in floor.simulation.world.plan.nodes
        if plan.story is Story.HELD and _held(floor, plan.name)
    )
    request = Request(Verb.GATE, (NodeKey(SOURCE, busy),), "oncall@desk", "look", "op-1", Options())
    before = _held(floor, busy)
    await floor.dispatcher.run(await floor.dispatcher.plan(request))
    finding = next(each for each in (await floor.record()).findings if each.check == DCGM_DIAG)
    assert finding.verdict is Verdict.UNKNOWN
    assert finding.value.startswith(f"its GPUs are held by {before[0]}")
    assert _held(floor, busy) == before
    assert floor.jobs() == []


def _held(floor: Floor, node: str) -> list[str]:
    """The pods with GPUs on a node, in their order."""
    pods = floor.simulation.store.list(PODS)
    return [
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in pods
        if pod["spec"].get("nodeName") == node and "nvidia.com/gpu" in json.dumps(pod["spec"]["containers"])
    ]


async def test_without_an_image_nothing_is_made(floor: Floor) -> None:
    floor.checks = {DCGM_DIAG: CheckPolicy(on_node=OnNode())}
    floor.dispatcher = floor.program()
    await floor.gated()
    finding = next(each for each in (await floor.record()).findings if each.check == DCGM_DIAG)
    assert (finding.verdict, finding.value) == (Verdict.UNKNOWN, "no image is configured to run it in")
    assert floor.jobs() == []
