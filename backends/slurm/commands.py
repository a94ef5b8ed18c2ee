"""Runs Slurm's commands: an argument list, never a shell, with nothing to read, a deadline of our own and a bound on what is kept.

Slurm's own patience is seconds to for ever (10 s for a hung controller, no end for a hung munged). Reads go one at a time, so that
a slow controller is asked less, not more. The variables that reshape what Slurm prints are taken out; times come in UTC.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from backends.slurm.errors import Completed, spelled, translate
from fleet.errors import FleetError, Garbled, OutcomeUnknown, Unreachable
from fleet.ports import Clock

DEADLINE = timedelta(seconds=30)
OUTPUT_LIMIT = 256 * 1024 * 1024
"""Bytes kept of one answer: ten thousand nodes take 6 MB."""
_ERROR_LIMIT = 1024 * 1024
_CHUNK = 256 * 1024
_RESHAPING = ("SLURM_TIME_FORMAT", "SLURM_CLUSTERS", "SLURM_BITSTR_LEN", "SCONTROL_", "SQUEUE_", "SINFO_")


class SlurmCommands:
    """The commands of one cluster. `conf` is its slurm.conf, None for what `environ` or Slurm's own default says."""

    def __init__(
        self,
        clock: Clock,
        environ: Mapping[str, str],
        conf: Path | None = None,
        deadline: timedelta = DEADLINE,
        *,
        output_limit: int = OUTPUT_LIMIT,
    ) -> None:
        self._clock = clock
        self._environ = _environment(environ, conf)
        self._deadline = deadline
        self._limit = output_limit
        self._reading = asyncio.Lock()

    @property
    def conf(self) -> str:
        """The slurm.conf in use, for people; empty where it is Slurm's default."""
        return self._environ.get("SLURM_CONF", "")

    async def read(self, *argv: str, about: str = "", deadline: timedelta | None = None) -> str:
        """What a reading command prints, once the read before it has ended. Raises FleetError naming command and node."""
        done = await self.ask(*argv, about=about, deadline=deadline)
        if done.rc:
            raise translate(done, about=about)
        return done.out

    async def ask(self, *argv: str, about: str = "", deadline: timedelta | None = None) -> Completed:
        """A reading command that may say no, such as one for nodes of which some are unknown. Raises Unreachable, Garbled."""
        async with self._reading:
            return await self._run(argv, about, deadline or self._deadline, write=False)

    async def ask_long(self, *argv: str, about: str = "", deadline: timedelta) -> Completed:
        """A command that works for minutes, beside all the others: cancelled, it is killed. Raises Unreachable, Garbled."""
        return await self._run(argv, about, deadline, write=False)

    async def change(self, *argv: str, about: str = "", deadline: timedelta | None = None) -> str:
        """What a changing command prints. Cancelled, it ends first, since what it did must be known.

        Raises FleetError: OutcomeUnknown where it was sent and its answer is lost, Unreachable where nothing was sent.
        """
        running = asyncio.ensure_future(self._run(argv, about, deadline or self._deadline, write=True))
        try:
            done = await asyncio.shield(running)
        except asyncio.CancelledError:
            with suppress(FleetError):
                await running
            raise
        if done.rc:
            raise translate(done, about=about, write=True)
        return done.out

    async def _run(self, argv: tuple[str, ...], about: str, deadline: timedelta, *, write: bool) -> Completed:
        running = await self._start(argv)
        answer = asyncio.ensure_future(self._answer(running, argv))
        alarm = asyncio.ensure_future(self._clock.sleep(deadline))
        try:
            await asyncio.wait({answer, alarm}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
        finally:
            alarm.cancel()
            answer.cancel()
            await _end(running)
            await asyncio.gather(alarm, answer, return_exceptions=True)
        says = f"{spelled(argv)}: no answer in {deadline.total_seconds():g} s"
        if write:
            raise OutcomeUnknown(f"{says}: read it back", about=about or argv[0])
        raise Unreachable(says, about=about or argv[0])

    async def _start(self, argv: tuple[str, ...]) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environ,
                limit=_CHUNK,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise Unreachable(f"no {argv[0]} on the PATH", about=spelled(argv)) from error
        except (OSError, ValueError) as error:
            raise Unreachable(f"{argv[0]} can't be run: {error}", about=spelled(argv)) from error

    async def _answer(self, running: asyncio.subprocess.Process, argv: tuple[str, ...]) -> Completed:
        assert running.stdout is not None, "its output is a pipe"
        assert running.stderr is not None, "its errors are a pipe"
        out, err = await asyncio.gather(
            _all(running.stdout, self._limit, argv), _all(running.stderr, _ERROR_LIMIT, argv)
        )
        rc = await running.wait()
        return Completed(argv, rc, out.decode(errors="replace"), err.decode(errors="replace"))


async def _all(stream: asyncio.StreamReader, limit: int, argv: tuple[str, ...]) -> bytes:
    """What a stream says to its end. Raises Garbled where that is more than `limit` bytes."""
    said = bytearray()
    while chunk := await stream.read(_CHUNK):
        said += chunk
        if len(said) > limit:
            raise Garbled(f"it printed more than {limit} bytes", about=spelled(argv))
    return bytes(said)


async def _end(running: asyncio.subprocess.Process) -> None:
    """See that it is gone. Its pipes are closed first: one that is not read to its end would keep us waiting."""
    transport = getattr(running, "_transport", None)
    if transport is not None:
        transport.close()
    if running.returncode is None:
        with suppress(ProcessLookupError):
            running.kill()
    await running.wait()


def _environment(environ: Mapping[str, str], conf: Path | None) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if not name.startswith(_RESHAPING)}
    kept |= {"LC_ALL": "C", "TZ": "UTC", "SLURM_TIME_FORMAT": "standard"}
    kept |= {
        "SCONTROL_LOCAL": "1",
        "SQUEUE_LOCAL": "1",
    }  # of a federation: its other clusters have nodes of these names too
    if conf is not None:
        kept["SLURM_CONF"] = str(conf)
    return kept
