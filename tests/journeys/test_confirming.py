"""What is asked at a terminal before something is done: answered, refused, and interrupted."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.journeys.served import Served, serve

pytestmark = pytest.mark.xdist_group("commands")
NODE = "gpu-a100-005"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("fleet"), "--speed", "100") as served:
        yield served


@contextmanager
def asked(fleet: Served, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A command that has come to its question, and the terminal to answer on."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tui.cli", "--kubeconfig", fleet.kubeconfig, *arguments],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    try:
        assert process.stderr is not None
        while "to go on" not in process.stderr.readline():
            assert process.poll() is None
        yield process, ours
    finally:
        process.kill()
        process.communicate()
        os.close(ours)


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 3), (b"\x04", 3)])
def test_what_is_typed_decides(fleet: Served, answer: bytes, code: int) -> None:
    with asked(fleet, "run", "cordon", NODE, "--reason", "test") as (process, terminal):
        os.write(terminal, answer)
        assert process.wait(30) == code
    assert ("unschedulable" in fleet.node(NODE)["spec"]) is (code == 0)
    if code == 0:
        assert fleet.run("run", "uncordon", NODE, "--reason", "test", "--yes").code == 0


def test_one_interrupt_is_enough_to_leave_the_question(fleet: Served) -> None:
    with asked(fleet, "run", "cordon", NODE, "--reason", "test") as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 1
    assert "unschedulable" not in fleet.node(NODE)["spec"]
