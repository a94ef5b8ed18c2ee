"""The PromQL says what it must, and a name can't break out of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.prometheus.queries import Shape, by_node, of_hosts, one_of, quoted, selector, shapes

SHAPE = Shape(("Hostname",))


def test_every_aggregate_is_by_the_labels_that_name_a_node() -> None:
    asked = by_node(Shape(("Hostname", "instance")), {})
    assert all("by (Hostname,instance" in query for query in asked.values())


def test_impossible_values_are_left_out_inside_the_query() -> None:
    asked = by_node(SHAPE, {})
    assert asked["gpu_util"] == "avg by (Hostname) (DCGM_FI_DEV_GPU_UTIL{} >= 0 <= 100)"
    assert asked["gpu_temp_max"] == "max by (Hostname) (DCGM_FI_DEV_GPU_TEMP{} >= 1 <= 150)"


def test_a_gpu_counts_once_in_number_and_power() -> None:
    asked = by_node(SHAPE, {})
    assert "sum by (Hostname) (max by (Hostname,gpu,UUID,uuid) (" in asked["power_watts"]
    assert "count by (Hostname) (group by (Hostname,gpu) (" in asked["gpus_seen"]
    assert "count by (Hostname) (group by (Hostname,UUID,uuid) (" in asked["gpus_seen"]


def test_matchers_are_in_every_selector() -> None:
    matchers = {"cluster": 'a"b'}
    for query in [
        *by_node(SHAPE, matchers).values(),
        shapes(matchers),
        *of_hosts(SHAPE, ["gpu-1"], matchers)[0],
    ]:
        assert query.count("{") - query.count("}") == 0
        assert query.count('cluster="a\\"b"') == query.count("{")


def test_a_selector_without_matchers_is_bare() -> None:
    assert selector("UP", {}) == "UP{}"


def test_a_host_is_found_in_any_case_and_with_its_port() -> None:
    pattern = re.compile(one_of(["gpu-1.example.com", "10.0.0.7"]))
    assert all(
        pattern.fullmatch(value)
        for value in ("gpu-1.example.com", "GPU-1.Example.com", "gpu-1.example.com:9400", "10.0.0.7:9400")
    )
    assert not any(
        pattern.fullmatch(value) for value in ("gpu-1xexample.com", "gpu-11", "10.0.0.71", "gpu-1")
    )


@pytest.mark.parametrize("label", ["Hostname", "instance"])
def test_each_label_that_names_nodes_is_asked_for(label: str) -> None:
    ((raw, sampled),) = of_hosts(Shape((label,)), ["gpu-1"], {})
    assert f'{label}=~"(?i)' in raw
    assert f'{label}=~"(?i)' in sampled


@given(st.text(max_size=20))
def test_any_host_matches_itself_and_stays_in_its_string(host: str) -> None:
    assert re.compile(one_of([host])).fullmatch(host)
    inside = quoted(one_of([host]))[1:-1]
    assert "\n" not in inside
    assert not re.search(r'(?<!\\)(?:\\\\)*"', inside)
