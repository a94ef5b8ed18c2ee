"""Versions from the labels beside the samples, and from rows of GPUs; several of one node are said together."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from backends.prometheus.answers import Row
from backends.prometheus.queries import Shape
from backends.prometheus.versions import query, versions_of
from fleet.drift import Versions
from fleet.telemetry import GpuTelemetry
from fleet.version_reading import of_rows
from tests.unit.prometheus.test_client import asking, vector


def labelled(host: str, **labels: str) -> Row:
    return Row({"Hostname": host, **labels}, (0.0, "8"))


def told(*rows: Row) -> Any:
    return versions_of(rows, lambda labels: labels.get("Hostname", ""))


def test_a_nodes_versions_are_what_its_labels_say() -> None:
    row = labelled(
        "a",
        DCGM_FI_DRIVER_VERSION="570.1",
        DCGM_FI_CUDA_DRIVER_VERSION="12040",
        DCGM_FI_DEV_VBIOS_VERSION="96.00",
    )
    assert told(row, labelled("")) == {"a": Versions("570.1", "12.4", "96.00")}


def test_gpus_of_one_node_that_differ_are_said_together() -> None:
    rows = [labelled("a", DCGM_FI_DEV_VBIOS_VERSION=version) for version in ("96.2", "96.1", "96.2")]
    assert told(*rows) == {"a": Versions(vbios="96.1 + 96.2")}
    assert of_rows([GpuTelemetry("0", driver="5", vbios="b"), GpuTelemetry("1", vbios="a")]) == Versions(
        "5", vbios="a + b"
    )


def test_what_no_label_says_is_unknown_and_odd_texts_are_kept_as_texts() -> None:
    assert told(labelled("a")) == {"a": Versions()}
    assert told(labelled("a", DCGM_FI_CUDA_DRIVER_VERSION="\x1b[1mx")) == {"a": Versions(cuda="x")}


def test_the_question_keeps_the_labels_that_name_nodes_and_the_sites_matchers() -> None:
    asked = query(Shape(("Hostname",), ("DCGM_FI_DEV_FB_USED",)), {"cluster": "a"})
    assert asked == (
        "count by (Hostname,DCGM_FI_DRIVER_VERSION,DCGM_FI_CUDA_DRIVER_VERSION,DCGM_FI_DEV_VBIOS_VERSION) "
        '({__name__=~"DCGM_FI_DEV_FB_USED",cluster="a"})'
    )


async def test_prometheus_is_asked_once_for_the_whole_fleet() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.query["query"])
        labels = {"__name__": "DCGM_FI_DEV_FB_USED", "Hostname": "gpu-1", "DCGM_FI_DRIVER_VERSION": "570.1"}
        return vector({"metric": labels, "value": [1, "8"]})

    async with asking(answer) as source:
        assert await source.versions() == {"gpu-1": Versions("570.1")}
    assert len(asked) == 2
