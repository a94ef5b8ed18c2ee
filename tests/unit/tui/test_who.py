"""Whether somebody else of this machine still acts."""

from __future__ import annotations

import os
import sys

import pytest

from tui.who import lives


def test_this_process_lives() -> None:
    assert lives(os.getpid())


def test_a_process_that_ended_and_was_collected_does_not_live() -> None:
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {})
    os.waitpid(child, 0)
    assert not lives(child)


@pytest.mark.skipif(sys.platform != "linux", reason="what has ended is told from /proc")
def test_a_process_that_ended_and_was_not_collected_does_not_live() -> None:
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {})
    try:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert not lives(child)
    finally:
        os.waitpid(child, 0)
