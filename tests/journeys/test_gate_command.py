"""`gate` from the command line: what a person vouches for is typed, written on the node, and told again from the journal."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.journeys.served import Served, serve

pytestmark = pytest.mark.xdist_group("commands")
NODE = "gpu-a100-002"
ACCEPT = (
    "gate",
    NODE,
    "--accept",
    "telemetry",
    "--reason",
    "Prometheus sits on gated nodes",
    "--expires",
    "4h",
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("fleet"), "--speed", "100") as served:
        yield served


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("gate", NODE, "--accept", "telemetry", "--yes"), 2),
        (("gate", NODE, "--expires", "4h", "--yes"), 2),
        (("gate", NODE, "--accept", "telemetry", "--reason", "x", "--expires", "30h", "--yes"), 3),
        (("gate", NODE, "--accept", "telemetry", "--reason", "x", "--expires", "soon"), 2),
        (("gate", NODE, "--repaired", "new GPU", "--yes"), 3),
    ],
)
def test_what_may_not_be_vouched_for_is_refused(fleet: Served, arguments: tuple[str, ...], code: int) -> None:
    assert fleet.run(*arguments).code == code
    assert "node.lab/gate-accepted" not in fleet.node(NODE)["metadata"]["annotations"]


def test_an_acceptance_needs_the_plan_that_was_read_and_is_told_a_month_later(fleet: Served) -> None:
    refused = fleet.run(*ACCEPT, "--yes")
    assert refused.code == 3
    found = re.search(r"--plan ([0-9a-f]{12})", refused.err)
    assert found is not None
    assert fleet.run(*ACCEPT, "--yes", "--plan", found[1]).code == 0
    assert '"check":"telemetry"' in fleet.node(NODE)["metadata"]["annotations"]["node.lab/gate-accepted"]
    (node,) = fleet.run("nodes", f"name={NODE}", "--json").json
    assert [word["check"] for word in node["accepted"]] == ["telemetry"]
    verdict, word = fleet.run("gate", NODE, "--history", "--json").json
    assert (verdict["verdict"], verdict["outcome"]) == ("PASS", "done")
    assert {finding["check"] for finding in verdict["findings"]} >= {"ready", "gpus", "xid", "telemetry"}
    assert verdict["digest"] in fleet.node(NODE)["metadata"]["annotations"]["node.lab/gate"]
    assert word["accepted"]["reason"] == "Prometheus sits on gated nodes"


@pytest.mark.parametrize(
    "arguments",
    [
        ACCEPT,
        ("gate", NODE),
        ("run", "cordon", NODE, "--reason", "x"),
        ("provision", "gpu-new", "--category", "a100"),
        ("resume", "qd-none"),
    ],
)
def test_a_read_only_session_refuses_before_it_asks_for_anything(
    fleet: Served, arguments: tuple[str, ...]
) -> None:
    said = fleet.run("--read-only", *arguments)
    assert said.code == 3
    assert "this session is read-only: nothing was done" in said.err
    assert "--yes" not in said.err


def test_a_read_only_session_may_check_and_plan(fleet: Served) -> None:
    assert fleet.run("--read-only", "gate", NODE, "--check").code in (0, 1, 3)
    assert "read-only" not in fleet.run("--read-only", "gate", NODE, "--check").err
    assert fleet.run("--read-only", "plan", "cordon", NODE).code == 0
