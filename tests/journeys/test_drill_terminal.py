"""The drill in a real terminal, from the first key to the last: by the operator's keys, by `n`, with wrong keys, and killed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.served import Served, quarterdeck, serve
from tests.terminal import Terminal, terminal

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("drill-terminal")]
FAST = ("--speed", "200")
STEPS_BEFORE_THE_LAST = (
    ("1 of 5 Provision", True),
    ("2 of 5 Health gate (1/2)", False),
    ("2 of 5 Health gate (2/2)", True),
    ("3 of 5 In service", False),
    ("4 of 5 Patch (1/3)", True),
    ("4 of 5 Patch (2/3)", False),
    ("4 of 5 Patch (3/3)", False),
)
"""Each as the coach heads it, and whether it asks for a key."""


def node_of(screen: str) -> str:
    found = re.search(r"drill-[0-9a-f]{6}", screen)
    assert found is not None, screen
    return found[0]


def confirm(at: Terminal, reason: str, typed: str = "") -> None:
    """Fill in the confirm screen, once it shows a plan that is free to run."""
    at.sees("plan ", "Run it")
    at.type(reason)
    at.press("Enter")
    if typed:
        at.sees("can't be confirmed by a key")
        at.type(typed)
        at.press("Enter")


def test_the_operators_own_keys_walk_it_to_the_end_and_wrong_keys_are_answered(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with terminal(tmp_path, ("drill", *FAST, "--report", str(report)), 120, 40) as at:
        node = node_of(at.sees("1 of 5 Provision", "your turn", "Press p: Provision"))
        at.sees("gpu-l40s-004")
        at.press("G")
        at.opens("d", "Drain", "Run it")
        at.press("Escape")
        at.sees("d is Drain; the drill waits for p")
        at.opens("p", "Show the plan", node)
        at.press("Enter")
        at.sees("behind the gate", "Run it")
        at.press("Enter")
        at.sees("1 of 5 Provision", "observed", "The scheduler", "n: go on")
        at.opens("n", "2 of 5 Health gate")
        at.sees("2 of 5 Health gate (1/2)", "gate FAIL: gpus FAIL", "n: go on")
        at.opens("n", "2 of 5 Health gate (2/2)", "your turn")
        at.opens("u", "only a gate opens it")
        at.press("Escape")
        at.sees("u is Uncordon; the drill waits for g")
        gate_until_it_passes(at, node)
        at.opens("n", "3 of 5 In service")
        at.sees("3 of 5 In service", "runs on", "n: go on")
        at.opens("c", "Cordon", "Run it")
        at.press("Escape")
        at.sees("c is Cordon; the drill waits for i")
        at.opens("i", "Reimage", "drill-budget", "v2")
        confirm(at, "the patch of the month", node)
        at.sees("4 of 5 Patch (1/3)", "holds", "n: go on")
        at.opens("n", "4 of 5 Patch (2/3)")
        at.sees("4 of 5 Patch (2/3)", "The scheduler", "n: go on")
        at.opens("n", "4 of 5 Patch (3/3)")
        at.sees("4 of 5 Patch (3/3)", "n: go on", "image v2")
        at.opens("x", "Retire", "Run it")
        confirm(at, "end of lease", node)
        at.sees("5 of 5 Retire", f"the cluster has no node {node}", "report")
        at.opens("n", "The drill is over: every checkpoint was observed")
        at.press("q")
        at.sees("nothing of the drill is left on the cluster", "ended with 0")
    told = json.loads(report.read_text())
    assert told["observed"] is True
    by = [checkpoint["by"] for stage in told["stages"] for checkpoint in stage["checkpoints"]]
    assert by == ["key p", "watched", "key g", "watched", "key i", "watched", "watched", "key x"]


def gate_until_it_passes(at: Terminal, node: str) -> None:
    """Press g as often as the gate says that it could not tell: telemetry comes a moment after a repair."""
    for _ in range(10):
        at.opens("g", "check drill-", "Run it")
        at.press("Enter")
        shown = at.sees(f"gate {node}: ")
        if f"gate {node}: UNKNOWN" not in shown:
            break
    at.sees("2 of 5 Health gate (2/2)", "n: go on")


def test_n_walks_it_to_the_end_in_a_small_terminal(tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    with terminal(tmp_path, ("drill", *FAST, "--report", str(report)), 80, 24) as at:
        node = node_of(at.sees("1 of 5 Provision", "your turn"))
        for step, asks in STEPS_BEFORE_THE_LAST:
            if asks:
                at.sees(step, "your turn")
                at.press("n")
            shown = at.sees(step, "n: go on")
            assert f"▌     {node}" in shown, "the cursor is on the drill's node, and to be seen"
            at.press("n")
        at.sees("5 of 5 Retire", "your turn")
        at.press("e")
        at.sees("Why it matters", "Users and roles")
        at.press("q")
        at.sees("5 of 5 Retire", "your turn")
        at.press("n")
        at.sees("5 of 5 Retire", "observed", "n: remove what the drill made")
        at.press("q")
        at.sees("every checkpoint was observed")
        at.press("Escape")
        at.sees("ended with 0")
    assert "8 of 8 checkpoints observed" in report.read_text()


def test_it_is_left_at_once_by_q_and_leaves_nothing_on_the_cluster(tmp_path: Path) -> None:
    with (
        serve(tmp_path, "--nodes", "3", *FAST) as fleet,
        terminal(tmp_path, ("drill", "--kubeconfig", fleet.kubeconfig), 100, 30) as at,
    ):
        at.sees("1 of 5 Provision", "your turn")
        at.press("n")
        at.sees("provision:")
        at.press("q")
        at.sees("The drill is over", "left at")
        assert traces(fleet) == []
        at.press("q")
        at.sees("ended with 0")


def traces(fleet: Served) -> list[str]:
    found = [each["metadata"]["name"] for each in fleet.get("/api/v1/namespaces")["items"]]
    found += [each["metadata"]["name"] for each in fleet.get("/api/v1/nodes")["items"]]
    return [name for name in found if "drill" in name]


def test_a_killed_drill_is_cleaned_up_by_the_next_which_reports_and_exits_0(tmp_path: Path) -> None:
    with serve(tmp_path, "--nodes", "3", *FAST) as fleet:
        for stage in ("stage 1 of 5", "stage 4 of 5"):
            kill_at(fleet, stage)
            assert traces(fleet)
        report = tmp_path / "report.json"
        said = quarterdeck(
            "drill", "--auto", "--kubeconfig", fleet.kubeconfig, "--report", str(report), "--json"
        )
        assert said.code == 0, said.err
        assert said.json == json.loads(report.read_text())
        assert len(said.json["removed"]) == 1
        assert said.json["observed"] is True
        assert traces(fleet) == []
        operations = quarterdeck("operations", "--json", "--kubeconfig", fleet.kubeconfig).json
        assert not [each for each in operations if each["state"] == "interrupted"]


def kill_at(fleet: Served, stage: str) -> None:
    """A drill, killed as soon as it says that it has come to a stage."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tui.cli", "drill", "--auto", "--kubeconfig", fleet.kubeconfig],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr:
        came = any(line.startswith(stage) for line in iter(process.stderr.readline, ""))
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
    assert came, stage


def test_a_cluster_without_a_scheduler_is_exit_1_that_says_which_checkpoint_and_why(tmp_path: Path) -> None:
    own = tmp_path / "short.toml"
    own.write_text(
        (Path("tui") / "drills" / "lifecycle.toml").read_text().replace('within = "3m"', 'within = "5s"', 1)
    )
    with serve(tmp_path, "--nodes", "3", *FAST) as fleet:
        fleet.ask("POST", "/sim/scheduler", {"runs": False})
        said = quarterdeck("drill", str(own), "--auto", "--kubeconfig", fleet.kubeconfig)
        assert said.code == 1
        assert "Provision, Make a node" in said.out
        assert "no scheduler has said a word" in said.out
        assert "nothing of the drill is left" in said.out
        assert traces(fleet) == []


def test_wrong_asking_is_exit_2_and_a_read_only_session_exit_3(tmp_path: Path) -> None:
    nowhere = quarterdeck("drill", "nosuch", "--auto")
    assert nowhere.code == 2
    assert "lifecycle" in nowhere.err
    assert quarterdeck("drill", "--auto", "--report", str(tmp_path / "no" / "r.txt")).code == 2
    listed = quarterdeck("drill", "list", "--json").json
    assert "lifecycle" in [each["name"] for each in listed]
    with serve(tmp_path, "--nodes", "3") as fleet:
        refused = quarterdeck("drill", "--auto", "--read-only", "--kubeconfig", fleet.kubeconfig)
        assert refused.code == 3
        assert "read-only" in refused.err
