"""How hot a cell of the heat map is: unknown is not cool, and an error that fails a gate is not merely noted."""

from __future__ import annotations

import pytest

from fleet import heat
from fleet.heat import BROKEN, NOTED, SCALES, Measure
from fleet.node import Readiness
from fleet.policy import Policy
from fleet.telemetry import GpuTelemetry
from fleet.xid import Severity
from tests.builders import node, row, telemetry

POLICY = Policy()


@pytest.mark.parametrize("measure", Measure)
def test_a_node_without_telemetry_is_unknown_by_every_measure(measure: Measure) -> None:
    assert heat.of_node(row(), measure, POLICY) is None
    assert SCALES[measure].band(None) is None


@pytest.mark.parametrize("measure", Measure)
def test_a_gpu_that_told_nothing_is_unknown_by_every_measure(measure: Measure) -> None:
    assert heat.of_gpu(GpuTelemetry("0"), measure, POLICY) is None


@pytest.mark.parametrize("measure", Measure)
def test_every_band_has_a_name_and_a_value_on_a_bound_is_in_the_band_above(measure: Measure) -> None:
    scale = SCALES[measure]
    assert len(scale.names) == len(scale.bounds) + 1
    assert [scale.band(bound) for bound in scale.bounds] == list(range(1, len(scale.names)))
    assert scale.band(0.0) == 0


def test_a_node_shows_its_mean_its_hottest_and_the_power_of_one_gpu() -> None:
    told = row(shows=telemetry(util=40.0, temp=71.0, power=4000.0))
    assert heat.of_node(told, Measure.UTIL, POLICY) == 40.0
    assert heat.of_node(told, Measure.TEMP, POLICY) == 71.0
    assert heat.of_node(told, Measure.POWER, POLICY) == 500.0


@pytest.mark.parametrize(("xid", "comes_to"), [(0, 0.0), (43, 0.0), (31, NOTED), (79, BROKEN)])
def test_an_xid_counts_as_hard_as_the_site_takes_it(xid: int, comes_to: float) -> None:
    assert heat.of_node(row(shows=telemetry(xid=xid)), Measure.ERRORS, POLICY) == comes_to
    assert heat.of_gpu(GpuTelemetry("0", xid=xid), Measure.ERRORS, POLICY) == comes_to


def test_the_site_s_own_severity_of_an_xid_wins() -> None:
    policy = Policy(xid_severity={79: Severity.INFO, 43: Severity.FAIL})
    assert heat.of_gpu(GpuTelemetry("0", xid=79), Measure.ERRORS, policy) == 0.0
    assert heat.of_gpu(GpuTelemetry("0", xid=43), Measure.ERRORS, policy) == BROKEN


def test_a_node_that_is_not_heard_of_is_broken_though_its_exporter_is_silent() -> None:
    lost = row(of=node(readiness=Readiness.UNKNOWN))
    assert heat.of_node(lost, Measure.ERRORS, POLICY) == BROKEN


@pytest.mark.parametrize(
    "gpu",
    [
        GpuTelemetry("0", ecc_dbe_volatile=1.0),
        GpuTelemetry("0", row_remap_failure=True),
        GpuTelemetry("0", remap_pending=True),
        GpuTelemetry("0", recovery_action=1),
        GpuTelemetry("0", nvlinks_down=2),
    ],
)
def test_what_breaks_a_gpu_shows_without_an_xid(gpu: GpuTelemetry) -> None:
    assert heat.of_gpu(gpu, Measure.ERRORS, POLICY) == BROKEN


def test_a_rack_shows_its_hottest_node_and_its_mean_utilisation_of_those_that_are_known() -> None:
    assert heat.of_many([60.0, None, 88.0], SCALES[Measure.TEMP]) == 88.0
    assert heat.of_many([20.0, None, 40.0], SCALES[Measure.UTIL]) == 30.0
    assert heat.of_many([None, None], SCALES[Measure.UTIL]) is None


def test_a_mig_gpu_without_a_utilisation_of_its_own_shows_its_engine() -> None:
    assert heat.of_gpu(GpuTelemetry("0", engine_active=0.4), Measure.UTIL, POLICY) == 40.0
    assert heat.of_gpu(GpuTelemetry("0", util=7.0, engine_active=0.4), Measure.UTIL, POLICY) == 7.0


def test_memory_is_of_all_there_is_and_unknown_without_that() -> None:
    full = GpuTelemetry("0", fb_used_mib=40_000.0, fb_total_mib=80_000.0)
    assert heat.of_gpu(full, Measure.MEMORY, POLICY) == 50.0
    assert heat.of_gpu(GpuTelemetry("0", fb_used_mib=40_000.0), Measure.MEMORY, POLICY) is None
