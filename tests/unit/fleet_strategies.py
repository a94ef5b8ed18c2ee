"""Random fleets for property tests: a handful of names and values, so that collisions and removals are frequent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from fleet.feeds import FeedHealth, FeedState
from fleet.health import Finding, GateRecord, Verdict
from fleet.holder import Hold, HolderKind
from fleet.node import Admission, Condition, Image, Node, NodeKey, Readiness, Stage, Topology
from fleet.observation import FeedChanged, Listed, NodeGone, NodeSeen, Observation, TelemetrySeen, WorkSeen
from fleet.telemetry import NodeTelemetry
from fleet.workload import NodeWork, WorkloadId

START = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)

sources = st.sampled_from(["prod", "slurm"])
names = st.sampled_from(["gpu-1", "gpu-2", "gpu-02", "gpu-10", "login", "GPU-3"])
keys = st.builds(NodeKey, sources, names)
moments = st.integers(0, 7200).map(lambda seconds: START + timedelta(seconds=seconds))
numbers = st.none() | st.floats(-10, 2000) | st.sampled_from([float("nan"), float("inf"), 0.0, 85.0])
counts = st.none() | st.integers(-1, 16)

holds = st.builds(
    Hold,
    by=st.sampled_from(["oncall@desk", "node-doctor", ""]),
    reason=st.sampled_from(["", "swap the board", "\x1b[31mred", "[bold]"]),
    kind=st.sampled_from(list(HolderKind)),
    since=st.none() | moments,
)
gates = st.builds(
    GateRecord,
    verdict=st.sampled_from(list(Verdict)),
    findings=st.lists(st.builds(Finding, st.just("xid"), st.sampled_from(list(Verdict))), max_size=2).map(
        tuple
    ),
    at=st.none() | moments,
)
images = st.builds(
    Image,
    running=st.sampled_from([None, "v1", "v2", "v10", "registry/gpu:v2"]),
    desired=st.sampled_from([None, "v1", "v2"]),
)
conditions = st.builds(
    Condition,
    type=st.sampled_from(["Ready", "DiskPressure"]),
    status=st.just("True"),
    bad=st.sampled_from([True, False, None]),
)


def nodes(key: st.SearchStrategy[NodeKey] = keys) -> st.SearchStrategy[Node]:
    """Nodes of two categories (and none), with anything wrong with them."""
    return st.builds(
        Node,
        key=key,
        category=st.sampled_from(["h100", "a100", ""]),
        image=images,
        stage=st.sampled_from(list(Stage)),
        label_stage=st.sampled_from(["", "in-service"]),
        admission=st.sampled_from(list(Admission)),
        readiness=st.sampled_from(list(Readiness)),
        holds=st.lists(holds, max_size=2).map(tuple),
        gate=st.none() | gates,
        conditions=st.lists(conditions, max_size=2).map(tuple),
        gpus_capacity=counts,
        gpus_allocatable=counts,
        topology=st.builds(Topology, zone=st.sampled_from(["", "z1"]), rack=st.sampled_from(["", "r1"])),
        created=st.none() | moments,
        deleting=st.booleans(),
    )


work = st.none() | st.builds(
    NodeWork,
    gpus_used=st.integers(-1, 16),
    workloads=st.lists(
        st.builds(WorkloadId, st.just("team"), st.just("Job"), st.sampled_from(["llm-1", "llm-2"])),
        max_size=2,
    ).map(tuple),
)
telemetry = st.none() | st.builds(
    NodeTelemetry,
    at=moments,
    gpus_seen=counts,
    gpu_util=numbers,
    gpu_temp_max=numbers,
    fb_used_ratio=numbers,
    power_watts=numbers,
    xid=st.sampled_from([None, 0, 31, 79]),
    xid_at=st.none() | moments,
    row_remap_failure=st.sampled_from([None, False, True]),
)
feeds = st.builds(
    FeedState,
    source=sources,
    name=st.sampled_from(["nodes", "gpu"]),
    health=st.sampled_from(list(FeedHealth)),
    since=moments,
    heard=st.none() | moments,
)
observations: st.SearchStrategy[Observation] = st.one_of(
    st.builds(NodeSeen, nodes()),
    st.builds(NodeGone, keys),
    st.builds(Listed, sources, st.frozensets(names)),
    st.builds(WorkSeen, keys, work),
    st.builds(TelemetrySeen, keys, telemetry),
    st.builds(FeedChanged, feeds),
)
histories = st.lists(observations, max_size=40)
