"""Which series belong to which node, in every way that names are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.joining import CANDIDATES, NodeNames, choose_labels, host_of, join, name_in
from fleet.node import NodeKey


def keys(*names: str, source: str = "lab") -> list[NodeKey]:
    return [NodeKey(source, name) for name in names]


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("gpu-1", "gpu-1"),
        ("gpu-1:9400", "gpu-1"),
        ("GPU-1.Example.COM.", "gpu-1.example.com"),
        ("10.0.0.7:9400", "10.0.0.7"),
        ("[2001:db8::7]:9400", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        (" gpu-1 ", "gpu-1"),
        ("localhost", ""),
        ("localhost:9400", ""),
        ("127.0.0.1:9400", ""),
        ("[::1]:9400", ""),
        ("", ""),
    ],
)
def test_a_value_names_a_bare_host(value: str, host: str) -> None:
    assert host_of(value) == host


@pytest.mark.parametrize(
    ("series", "node"),
    [
        ("gpu-1", "gpu-1"),
        ("gpu-1", "gpu-1.example.com"),
        ("gpu-1.example.com", "gpu-1"),
        ("gpu-1.example.com", "gpu-1.example.com"),
        ("GPU-1:9400", "gpu-1"),
        ("10.0.1.5:9400", "ip-10-0-1-5.ec2.internal"),
        ("10.0.1.5", "10.0.1.5"),
    ],
)
def test_a_series_joins_its_node(series: str, node: str) -> None:
    joined = join([series], keys(node))
    assert joined.names == {NodeKey("lab", node): series}
    assert (joined.unjoined_names, joined.unjoined_nodes) == ((), ())


@pytest.mark.parametrize(
    ("series", "node"),
    [
        ("gpu-1", "gpu-11"),
        ("gpu-1.a.example", "gpu-1.b.example"),
        ("10.0.0.7", "10.0.0.8"),
        ("10", "10.0.0.7"),
        ("localhost", "localhost"),
        ("", "gpu-1"),
        ("nvidia-dcgm-exporter-s228n", "gpu-1"),
    ],
)
def test_another_machine_does_not_join(series: str, node: str) -> None:
    joined = join([series], keys(node))
    assert joined.names == {}
    assert (joined.unjoined_names, joined.unjoined_nodes) == ((series,), tuple(keys(node)))


def test_a_short_name_that_fits_two_machines_joins_neither() -> None:
    nodes = keys("gpu-1.a.example", "gpu-1.b.example")
    assert join(["gpu-1"], nodes).names == {}
    assert join(["gpu-1.a.example", "gpu-1.b.example"], keys("gpu-1")).names == {}


def test_an_exact_name_goes_before_a_short_one() -> None:
    joined = join(["gpu-1.example.com", "gpu-1"], keys("gpu-1"))
    assert joined.names == {NodeKey("lab", "gpu-1"): "gpu-1"}
    assert joined.unjoined_names == ("gpu-1.example.com",)


def test_one_machine_in_two_sources_has_its_telemetry_in_both() -> None:
    nodes = [NodeKey("slurm", "gpu-1"), NodeKey("lab", "gpu-1")]
    assert join(["gpu-1"], nodes).names == dict.fromkeys(nodes, "gpu-1")


def test_what_is_left_over_is_kept_on_both_sides() -> None:
    joined = join(["gpu-1", "stranger"], keys("gpu-1", "gpu-2"))
    assert joined.unjoined_names == ("stranger",)
    assert joined.unjoined_nodes == (NodeKey("lab", "gpu-2"),)


@pytest.mark.parametrize("label", CANDIDATES)
def test_every_candidate_label_is_found(label: str) -> None:
    rows = [{label: "gpu-1:9400", "job": "dcgm"}, {label: "gpu-2:9400", "job": "dcgm"}]
    assert choose_labels(rows, NodeNames(keys("gpu-1", "gpu-2"))) == (label,)


def test_the_label_that_joins_most_is_chosen() -> None:
    rows = [
        {"Hostname": "nvidia-dcgm-exporter-a", "node": "gpu-1", "instance": "10.0.0.1:9400"},
        {"Hostname": "nvidia-dcgm-exporter-b", "node": "gpu-2", "instance": "10.0.0.2:9400"},
    ]
    assert choose_labels(rows, NodeNames(keys("gpu-1", "gpu-2"))) == ("node",)


def test_a_fleet_half_way_through_an_exporter_upgrade_needs_both_labels() -> None:
    rows = [{"Hostname": "gpu-1"}, {"Hostname": "gpu-2"}, {"hostname": "gpu-3"}]
    known = NodeNames(keys("gpu-1", "gpu-2", "gpu-3"))
    assert choose_labels(rows, known) == ("Hostname", "hostname")


def test_a_remote_hostengine_that_says_localhost_falls_back_to_its_instance() -> None:
    rows = [{"Hostname": "localhost", "instance": "gpu-1:9400"}]
    assert choose_labels(rows, NodeNames(keys("gpu-1"))) == ("instance",)
    assert choose_labels(rows, NodeNames([])) == ("instance",)


def test_before_nodes_are_known_a_pods_name_is_no_nodes() -> None:
    rows = [{"Hostname": "exporter-abc", "pod": "exporter-abc", "instance": "10.0.0.1:9400"}]
    assert choose_labels(rows, NodeNames([])) == ("instance",)


def test_rows_that_name_nothing_choose_nothing() -> None:
    assert choose_labels([{"gpu": "0"}], NodeNames(keys("gpu-1"))) == ()
    assert choose_labels([], NodeNames(keys("gpu-1"))) == ()


def test_a_series_is_named_by_the_label_that_joins() -> None:
    known = NodeNames(keys("gpu-1"))
    chosen = ("Hostname", "instance")
    assert name_in({"Hostname": "localhost", "instance": "GPU-1:9400"}, chosen, known) == "gpu-1"
    assert name_in({"Hostname": "other", "instance": "other:9400"}, chosen, known) == "other"
    assert name_in({"Hostname": "localhost"}, chosen, known) == ""


@given(
    st.lists(st.text(alphabet="ab.:1-", max_size=8), unique=True),
    st.lists(st.text(alphabet="ab.:1-", max_size=8), unique=True),
)
def test_every_name_and_node_is_joined_or_left_over(names: list[str], nodes: list[str]) -> None:
    joined = join(names, keys(*nodes))
    assert set(joined.names.values()) | set(joined.unjoined_names) == set(names)
    assert set(joined.names) | set(joined.unjoined_nodes) == set(keys(*nodes))
    assert not set(joined.names.values()) & set(joined.unjoined_names)
