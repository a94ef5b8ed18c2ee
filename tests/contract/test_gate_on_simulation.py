"""The gate over real HTTP: facts from the simulator's API, telemetry from its exporters' page, verdicts from both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from backends.dcgm_exporter.scrape import DcgmExporterSource
from backends.kubernetes.connection import Api
from backends.kubernetes.kubeconfig import find
from backends.kubernetes.node_keys import NodeKeys
from backends.kubernetes.reader import KubernetesReader
from backends.simulated.faults import FaultKind, fault
from backends.simulated.fleet_plan import Story, plan_fleet
from backends.simulated.serve import Simulation, serve
from fleet.category import Category
from fleet.gate import GateChecker
from fleet.health import Finding, GateRecord, Verdict, counts_for_nothing, verdict_of
from fleet.node import Node, NodeKey
from fleet.policy import Policy
from fleet.telemetry_feed import TelemetryFeed
from tests.clocks import ManualClock

SOURCE = "simulated"
SETTLES = timedelta(seconds=2)


@dataclass
class Gate:
    """A simulated fleet with the gate in front of it."""

    simulation: Simulation
    reader: KubernetesReader
    feed: TelemetryFeed
    checker: GateChecker

    def named(self, story: Story | None) -> NodeKey:
        """The first node that plays this part."""
        plans = self.simulation.world.plan.nodes
        return NodeKey(SOURCE, next(plan.name for plan in plans if plan.story is story))

    async def node(self, key: NodeKey) -> Node:
        return (await self.reader.read([key]))[key].node

    async def findings(self, key: NodeKey, gate: GateRecord | None = None) -> dict[str, Finding]:
        facts = (await self.reader.read([key]))[key]
        if gate is not None:
            facts = replace(facts, node=replace(facts.node, gate=gate))
        category = Category(facts.node.category)
        return {finding.check: finding for finding in await self.checker.findings(facts, category)}

    async def verdict(self, key: NodeKey) -> Verdict:
        return verdict_of((await self.findings(key)).values())


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    clock = ManualClock()
    async with serve(clock, plan=plan_fleet(60, 0)) as simulation:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(simulation.api.kubeconfig())
        access = find(kubeconfig=str(kubeconfig), context=None, environ={}, home=tmp_path)
        api = Api(access, source=SOURCE, clock=clock, environ={})
        keys = [NodeKey(SOURCE, plan.name) for plan in simulation.world.plan.nodes]
        exporters = DcgmExporterSource([simulation.metrics_url], clock, lambda: keys)
        feed = TelemetryFeed(exporters, lambda: keys, clock)
        try:
            reader = KubernetesReader(api, NodeKeys())
            yield Gate(simulation, reader, feed, GateChecker(Policy(), clock, feed.readings))
        finally:
            await exporters.close()
            await api.close()


async def test_a_healthy_node_passes(gate: Gate) -> None:
    findings = await gate.findings(gate.named(None))
    judged = {name: finding.verdict for name, finding in findings.items() if not counts_for_nothing(finding)}
    assert judged == dict.fromkeys(judged, Verdict.PASS)
    assert judged.keys() >= {"ready", "gpus", "telemetry", "xid", "temperature", "row-remap", "remapped-rows"}
    assert verdict_of(findings.values()) is Verdict.PASS


@pytest.mark.parametrize(
    ("story", "check", "verdict"),
    [
        (Story.QUARANTINED, "xid", Verdict.FAIL),
        (Story.ROW_REMAP, "row-remap", Verdict.FAIL),
        (Story.HOT, "temperature", Verdict.WARN),
        (Story.EXPORTER_GONE, "telemetry", Verdict.UNKNOWN),
        (Story.UNREACHABLE, "ready", Verdict.UNKNOWN),
    ],
)
async def test_what_is_the_matter_with_a_node_is_found(
    gate: Gate, story: Story, check: str, verdict: Verdict
) -> None:
    findings = await gate.findings(gate.named(story))
    assert findings[check].verdict is verdict
    if verdict is not Verdict.WARN:
        assert not verdict_of(findings.values()).admits


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        (FaultKind.XID, Verdict.FAIL),
        (FaultKind.ECC, Verdict.FAIL),
        (FaultKind.DEVICE_PLUGIN_GONE, Verdict.FAIL),
        (FaultKind.EXPORTER_GONE, Verdict.UNKNOWN),
        (FaultKind.HOT_GPU, Verdict.WARN),
    ],
)
async def test_a_fault_changes_the_verdict(gate: Gate, kind: FaultKind, verdict: Verdict) -> None:
    key = gate.named(None)
    assert await gate.verdict(key) is Verdict.PASS
    gate.simulation.world.inject(fault(kind, key.name))
    for _ in range(30):  # the device plugin's word takes simulated time to go
        await gate.simulation.advance(SETTLES)
        if await gate.verdict(key) is verdict:
            break
    assert await gate.verdict(key) is verdict


async def test_a_fault_whose_sign_is_gone_still_asks_for_a_boot(gate: Gate) -> None:
    key = gate.named(None)
    boot = (await gate.node(key)).boot_id
    record = GateRecord(Verdict.FAIL, (Finding("xid", Verdict.FAIL, "XID 79"),), boot_id=boot)
    assert (await gate.findings(key, record))["evidence"].verdict is Verdict.FAIL
    other = replace(record, boot_id="an-earlier-boot")
    assert (await gate.findings(key, other))["evidence"].verdict is Verdict.PASS


async def test_every_gpu_node_of_the_fleet_joins_its_series(gate: Gate) -> None:
    await gate.feed.one_round(lambda observations: None)
    joined = gate.feed.joined()
    assert joined is not None
    assert joined.unjoined_names == ()
    unseen = {key.name for key in joined.unjoined_nodes}
    silent = {gate.named(Story.EXPORTER_GONE).name, gate.named(Story.UNREACHABLE).name}
    assert unseen <= silent
