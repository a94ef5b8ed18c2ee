"""An interrupt ends a command that has nothing under way, in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

_WAITS = """
import asyncio, signal, sys, threading, time
from tui.interrupts import leave_when_interrupted

async def command():
    leave_when_interrupted()
    {before}
    print("waits", flush=True)
    await asyncio.Event().wait()

try:
    asyncio.run(command())
except asyncio.CancelledError:
    sys.exit(1)
"""


def _leaves(before: str) -> float:
    """Seconds from an interrupt to the end of a command that did this before it began to wait."""
    source = _WAITS.format(before=before)
    command = [sys.executable, "-c", source]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 1
        return time.monotonic() - began


@pytest.mark.parametrize(
    "before",
    [
        "",
        "asyncio.get_running_loop().run_in_executor(None, time.sleep, 120)",
        (
            "threading.Thread(target=time.sleep, args=(120,), daemon=True).start();"
            "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})"
        ),
    ],
    ids=[
        "nothing else",
        "a thread that can't be ended",
        "heard by another thread, so that no sleep is cut short",
    ],
)
def test_one_interrupt_ends_it_whatever_it_waits_for(before: str) -> None:
    assert _leaves(before) < 30
