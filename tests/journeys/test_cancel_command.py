"""cancel: one program asks, another stops; what nobody runs, what is over, and what is somebody else's."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.journeys.served import Served, serve

pytestmark = pytest.mark.xdist_group("cancel")
PATIENCE = 40.0


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("fleet"), "--speed", "20") as served:
        yield served


@contextmanager
def draining(fleet: Served) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A drain in a program of its own, held up by a budget: the program, the node, and the operation."""
    name = next(
        row["name"] for row in fleet.run("nodes", "stage=in-service", "--json").json if row["workloads"]
    )
    fleet.ask("POST", "/sim/faults", {"fault": "budget_blocks", "node": name})
    command = [sys.executable, "-m", "tui.cli", "--kubeconfig", fleet.kubeconfig, "run", "drain", name]
    flags = ["--reason", "firmware", "--yes", "--force", "--delete-emptydir-data"]
    process = subprocess.Popen(
        [*command, *flags],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        while "waits for" not in (line := process.stderr.readline()):
            assert line or process.poll() is None
        yield process, name, running(fleet)
    finally:
        process.kill()
        process.communicate()
        fleet.ask("DELETE", f"/sim/faults?node={name}")


def running(fleet: Served) -> str:
    return str(
        next(row["operation"] for row in fleet.run("operations", "--json").json if row["state"] == "running")
    )


def test_another_program_stops_a_drain_that_puts_back_what_it_found(fleet: Served) -> None:
    with draining(fleet) as (process, name, operation):
        assert fleet.node(name)["spec"].get("unschedulable") is True
        began = time.monotonic()
        said = fleet.run("cancel", operation)
        assert said.code == 0, said.err
        assert f"to cancel {operation}: it stops at its next safe point" in said.err
        assert process.wait(PATIENCE) == 1
        assert time.monotonic() - began < PATIENCE
    assert "unschedulable" not in fleet.node(name)["spec"]
    (ended,) = [row for row in fleet.run("operations", "--json").json if row["operation"] == operation]
    assert ended["state"] == "cancelled"
    kinds = [row["kind"] for row in fleet.run("audit", "--json").json if row["operation"] == operation]
    assert kinds.count("cancel-asked") == 1
    again = fleet.run("cancel", operation)
    assert (again.code, "it is cancelled: there is nothing to cancel" in again.err) == (3, True)


def test_one_whose_program_is_gone_is_cancelled_from_here_and_put_back(fleet: Served) -> None:
    with draining(fleet) as (process, name, operation):
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
        assert fleet.node(name)["spec"].get("unschedulable") is True
        refused = fleet.run("--read-only", "cancel", operation)
        assert (refused.code, "this session is read-only" in refused.err) == (3, True)
        said = fleet.run("cancel", operation)
    assert said.code == 0, said.err
    assert f"nobody runs {operation} any more: it is cancelled from here" in said.err
    assert "unschedulable" not in fleet.node(name)["spec"]
    again = fleet.run("cancel", operation)
    assert (again.code, "it is cancelled: there is nothing to cancel" in again.err) == (3, True)


def test_an_operation_that_this_journal_does_not_know_may_be_somebody_elses(fleet: Served) -> None:
    said = fleet.run("cancel", "20260101-0000-deadbeef")
    assert said.code == 2
    assert "there is no such operation in this journal; every user has one of their own" in said.err


def test_a_session_that_only_reads_cancels_nothing(fleet: Served) -> None:
    said = fleet.run("--read-only", "cancel", "20260101-0000-deadbeef")
    assert (said.code, "this session is read-only" in said.err) == (3, True)
