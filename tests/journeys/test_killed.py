"""kill -9 in the middle of a verb: what took effect is not done again, what did not is done, and nothing is left open."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.served import Served, serve

pytestmark = pytest.mark.xdist_group("killed")

PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("fleet"), "--speed", "40") as served:
        yield served


def written(journal: Path) -> int:
    """How many records the journal has now."""
    if not journal.exists():
        return 0
    connection = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    try:
        return int(connection.execute("select count(*) from records").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def killed_after(records: int, fleet: Served, journal: Path, name: str, plan: str) -> None:
    """Start a reimage and kill it with SIGKILL once its journal has so many records."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tui.cli",
            "--kubeconfig",
            fleet.kubeconfig,
            "--dcgm",
            fleet.metrics,
            *("run", "reimage", name, "--reason", "kill it", "--yes", "--plan", plan),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    until = time.monotonic() + PATIENCE_SECONDS
    while written(journal) < records and process.poll() is None and time.monotonic() < until:
        os.sched_yield()
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("records", [3, 7, 8, 10])
def test_a_reimage_killed_after_any_record_is_resumed_to_its_end(fleet: Served, records: int) -> None:
    name = f"gpu-h100-0{19 + records}"
    before = fleet.node(name)
    plan = fleet.run("plan", "reimage", name, "--json").json["hash"]
    journal = Path(os.environ["XDG_STATE_HOME"]) / "quarterdeck" / "journal-simulated.db"
    killed_after(records, fleet, journal, name, plan)
    assert written(journal) >= records
    (operation,) = fleet.run("operations", "--json").json
    if operation["state"] == "done":
        pytest.fail("it had ended before it could be killed")
    assert operation["state"] == "interrupted"
    if written(journal) > 2:
        closed = fleet.node(name)
        if closed is not None and closed["spec"].get("unschedulable"):
            assert json.loads(closed["metadata"]["annotations"]["node.lab/held-by"])
    resumed = fleet.run("resume", operation["operation"], "--yes", "--json")
    assert resumed.code == 0, resumed.err
    after = fleet.node(name)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["metadata"]["labels"]["node.lab/image-version"] == "v2"
    assert after["metadata"]["labels"]["node.lab/lifecycle"] == "in-service"
    assert not after["spec"].get("unschedulable")
    made = [
        line
        for line in fleet.run("audit", "--json").json
        if line["kind"] == "outcome" and str(line["step"]).endswith("putimage") and line["state"] == "done"
    ]
    assert len(made) == 1
