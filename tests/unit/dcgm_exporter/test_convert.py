"""Whose rows a page holds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from backends.dcgm_exporter.convert import rows_of_node, rows_of_page
from fleet.joining import NodeNames
from fleet.node import NodeKey

AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
URL = "http://exporter:9400/metrics"


def rows(page: str, *nodes: str) -> dict[str, list[str]]:
    known = NodeNames(NodeKey("lab", name) for name in nodes)
    found = rows_of_page(page, URL, "exporter", known, AT)
    return {name: [row.gpu for row in gpus] for name, gpus in found.items()}


@pytest.mark.parametrize("label", ["Hostname", "hostname", "node", "kubernetes_node"])
def test_a_page_of_many_nodes_is_told_apart_by_its_label(label: str) -> None:
    page = "".join(
        f'DCGM_FI_DEV_GPU_UTIL{{gpu="{gpu}",UUID="u",{label}="gpu-{node}"}} 5\n'
        for node in (1, 2)
        for gpu in (0, 1)
    )
    assert rows(page, "gpu-1", "gpu-2") == {"gpu-1": ["0", "1"], "gpu-2": ["0", "1"]}


def test_a_page_that_says_localhost_is_its_hosts() -> None:
    assert rows('DCGM_FI_DEV_GPU_UTIL{gpu="0",Hostname="localhost"} 5', "exporter") == {"exporter": ["0"]}


def test_a_page_that_names_its_pod_is_its_hosts() -> None:
    page = 'DCGM_FI_DEV_GPU_UTIL{gpu="0",Hostname="nvidia-dcgm-exporter-s228n"} 5'
    assert rows(page, "exporter") == {"exporter": ["0"]}
    assert rows(page) == {"exporter": ["0"]}


def test_a_page_without_a_name_is_its_hosts() -> None:
    assert rows('DCGM_FI_DEV_GPU_UTIL{gpu="0"} 5') == {"exporter": ["0"]}


def test_a_page_that_was_fetched_for_a_node_is_that_nodes() -> None:
    found = rows_of_node('DCGM_FI_DEV_GPU_UTIL{gpu="0",Hostname="someone-else"} 5', URL, "gpu-1", AT)
    assert set(found) == {"gpu-1"}


def test_a_line_with_a_time_of_its_own_is_of_that_time() -> None:
    page = 'DCGM_FI_DEV_GPU_UTIL{gpu="0"} 5 1772330000000\nDCGM_FI_DEV_GPU_TEMP{gpu="1"} 50 9e300\n'
    first, second = rows_of_page(page, URL, "exporter", NodeNames([]), AT)["exporter"]
    assert first.at == datetime.fromtimestamp(1772330000, UTC)
    assert second.at == AT


def test_a_page_of_other_metrics_has_no_rows() -> None:
    assert rows("process_cpu_seconds_total 12\n") == {}
    assert rows("") == {}
