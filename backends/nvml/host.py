"""The parent's side of the child: asks it under a deadline, kills it when it hangs, and starts another after a while."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from datetime import timedelta

import msgspec

from backends.nvml.reading import Answer, Failure, Host
from fleet.errors import Denied, FleetError, Garbled, Unreachable
from fleet.ports import Clock
from fleet.text import clean

ABOUT = "NVML"

CHILD = (sys.executable, "-m", "backends.nvml.child")

_REUSED = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(seconds=60)
_ENDS_WITHIN = timedelta(seconds=2)
_LONGEST_LINE = 1 << 22
_decode = msgspec.json.Decoder(Answer).decode


class NvmlHost:
    """This host's NVML. Two readings within a second are one. `close` it in the loop that used it."""

    def __init__(
        self,
        clock: Clock,
        *,
        command: Sequence[str] | None = None,
        deadline: timedelta = timedelta(seconds=10),
    ) -> None:
        self._clock = clock
        self._command = tuple(command or CHILD)
        self._deadline = deadline
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._killed: list[asyncio.subprocess.Process] = []
        self._read: tuple[float, Host] | None = None
        self._failures = 0
        self._refusal: tuple[float, FleetError] | None = None

    async def read(self) -> Host:
        """What NVML says now. Raises Unreachable, Denied or Garbled; after a failure at once again, until a pause has passed."""
        async with self._lock:
            now = self._clock.monotonic()
            if self._read is not None and now - self._read[0] < _REUSED.total_seconds():
                return self._read[1]
            if self._refusal is not None and now < self._refusal[0]:
                error = self._refusal[1]
                raise type(error)(error.message, about=error.about)
            try:
                host = await self._asked()
            except FleetError as error:
                pause = min(timedelta(seconds=1 << min(self._failures, 8)), _LONGEST_PAUSE)
                self._failures += 1
                self._refusal = self._clock.monotonic() + pause.total_seconds(), error
                raise
            self._failures, self._refusal = 0, None
            self._read = self._clock.monotonic(), host
            return host

    async def close(self) -> None:
        """End the child. One that sits in the driver and can't be killed is left to the system."""
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            await _ended(process)
            self._kill(process)
        for killed in self._killed:
            await _ended(killed)
        self._killed.clear()

    async def _asked(self) -> Host:
        line = await self._line()
        try:
            answer: Answer = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._give_up()
            raise Garbled("its reader's answer can't be read", about=ABOUT) from error
        if isinstance(answer, Failure):
            self._give_up()
            raise _error_of(answer)
        return answer

    async def _line(self) -> bytes:
        """One line of the child. Whatever cuts it short ends the child too, whose next line would be an old one."""
        line = b""
        try:
            async with asyncio.timeout(self._deadline.total_seconds()):
                process = self._process = self._process or await self._started()
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
        except TimeoutError as error:
            seconds = self._deadline.total_seconds()
            says = f"no answer within {seconds:g} s: the driver hangs; look at the kernel log (dmesg | quarterdeck xid)"
            raise Unreachable(says, about=ABOUT) from error
        except (OSError, ValueError) as error:
            raise Unreachable(f"its reader failed: {clean(str(error), 200)}", about=ABOUT) from error
        finally:
            if not line.endswith(b"\n"):
                self._give_up()
        if not line.endswith(b"\n"):
            raise Unreachable("its reader ended without an answer", about=ABOUT)
        return line

    async def _started(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LONGEST_LINE,
        )

    def _give_up(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            self._kill(process)

    def _kill(self, process: asyncio.subprocess.Process) -> None:
        self._killed = [killed for killed in self._killed if killed.returncode is None]
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        self._killed.append(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ENDS_WITHIN.total_seconds()):
            await process.wait()


def _error_of(failure: Failure) -> FleetError:
    says = clean(failure.says, 200)
    if failure.kind == "library":
        return Unreachable(f"there is no NVIDIA driver on this host ({says})", about=ABOUT)
    if failure.kind == "driver":
        return Unreachable(f"the NVIDIA driver is installed but not loaded ({says})", about=ABOUT)
    if failure.kind == "permission":
        return Denied(f"you may not ask the NVIDIA driver ({says})", about=ABOUT)
    return Unreachable(says, about=ABOUT)
