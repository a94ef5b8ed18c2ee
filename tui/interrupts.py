"""An interrupt of a command that has nothing under way ends it: the first one, at once, whatever it waits for.

asyncio.run's own handler leaves two ways to be held. It has no wake-up descriptor, so that an interrupt which comes just before the
loop falls asleep is heard at the next event only, a minute later on a quiet fleet; and it waits for every thread, one that asks a
name server included.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading

from tui.exits import FAILED

LEAVES_WITHIN = 2.0
"""Seconds that connections and threads have to end by themselves once it was interrupted."""


def leave_when_interrupted() -> None:
    """From now on an interrupt cancels the task that runs now; a second one, or `LEAVES_WITHIN`, ends the program outright.

    Call it again after a time in which interrupts meant something else. Main thread only.
    """
    task = asyncio.current_task()
    assert task is not None, "a command runs as a task"
    asked = False

    def interrupted() -> None:
        nonlocal asked
        if asked:
            os._exit(FAILED)
        asked = True
        task.cancel()
        held = threading.Timer(LEAVES_WITHIN, os._exit, (FAILED,))
        held.daemon = True  # it must not hold the program itself
        held.start()

    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted)
