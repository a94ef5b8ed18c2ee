"""The orchestrators that the contract is tried on: the simulator always, a real cluster where `--cluster` names one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from backends.kubernetes.actions import KubernetesWriter
from backends.kubernetes.connection import Api
from backends.kubernetes.kubeconfig import find
from backends.kubernetes.node_keys import NodeKeys
from backends.kubernetes.reader import KubernetesReader
from backends.simulated.fleet_plan import FleetPlan
from backends.simulated.serve import serve
from fleet.ports import Clock
from tests.clocks import ManualClock
from tests.conftest import Cluster
from tests.contract.orchestrator import Orchestrator, keep_time_moving
from tests.contract.real_clock import RealClock
from tests.contract.slurm_orchestrator import slurm

ON_SLURM = frozenset(
    {
        "test_cordoning_closes_with_a_name_and_a_reason",
        "test_two_writers_at_once_lose_nothing_of_each_other",
        "test_an_uncordon_leaves_a_colleagues_hold_and_stays_closed",
        "test_a_failed_gate_quarantines_and_a_later_pass_lifts_it",
        "test_an_unknown_verdict_is_recorded_and_opens_nothing",
        "test_a_stage_is_marked_without_touching_admission",
        "test_a_node_that_is_not_there_is_missing",
        "test_what_became_of_a_change_is_told_from_the_node",
    }
)
"""Cases that speak of no Kubernetes object, and so hold for Slurm too."""
SLURM = pytest.param("slurm", marks=[pytest.mark.server, pytest.mark.xdist_group("slurm")])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A lent cluster takes its turn beside the simulator only where there is one; Slurm where the cases are not Kubernetes' own."""
    if "orchestrator" in metafunc.fixturenames:
        lent = ["cluster"] if metafunc.config.getoption("--cluster") else []
        slurm = [SLURM] if metafunc.function.__name__ in ON_SLURM else []
        metafunc.parametrize("orchestrator", ["simulated", *lent, *slurm], indirect=True)


@pytest.fixture
async def orchestrator(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Orchestrator]:
    """An orchestrator to try the contract on, left as it was found."""
    if request.param == "slurm":
        with slurm(tmp_path) as lab:
            yield lab
    elif request.param == "cluster":
        async with real(request.getfixturevalue("cluster")) as lent:
            yield lent
    else:
        async with simulated(tmp_path) as own:
            yield own


@asynccontextmanager
async def simulated(folder: Path) -> AsyncIterator[Orchestrator]:
    """An empty simulated fleet whose time moves as fast as requests are answered."""
    clock = ManualClock()
    async with serve(clock, plan=FleetPlan((), seed=0)) as simulation:
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(simulation.api.kubeconfig())
        moving = asyncio.create_task(keep_time_moving(simulation))
        try:
            async with connected(kubeconfig, None, "simulated", clock, {}) as found:
                found.simulation = simulation
                yield found
        finally:
            moving.cancel()
            with suppress(asyncio.CancelledError):
                await moving


@asynccontextmanager
async def real(cluster: Cluster) -> AsyncIterator[Orchestrator]:
    """A lent cluster: what is made on it is removed, whatever happens."""
    async with connected(cluster.kubeconfig, cluster.context, "cluster", RealClock(), os.environ) as found:
        try:
            yield found
        finally:
            await found.clean_up()


@asynccontextmanager
async def connected(
    kubeconfig: Path, context: str | None, source: str, clock: Clock, environ: Mapping[str, str]
) -> AsyncIterator[Orchestrator]:
    """An orchestrator over what a kubeconfig names."""
    access = find(kubeconfig=str(kubeconfig), context=context, environ=environ, home=kubeconfig.parent)
    api = Api(access, source=source, clock=clock, environ=environ)
    reader = KubernetesReader(api, NodeKeys())
    try:
        yield Orchestrator(api, reader, KubernetesWriter(api, reader, clock), clock, access=access)
    finally:
        await api.close()
