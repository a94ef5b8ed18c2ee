"""An HTTP server on loopback that answers as a test says, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

Answer = Callable[["Asked", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Wire:
    """Where it listens, and everything it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []


def body(
    code: int, content: bytes | str, *, content_type: str = "application/json", extra: str = ""
) -> bytes:
    """One whole answer."""
    raw = content.encode() if isinstance(content, str) else content
    head = f"HTTP/1.1 {code} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(raw)}\r\n{extra}\r\n"
    return head.encode() + raw


def chunk(content: bytes) -> bytes:
    """One piece of a chunked answer; empty content ends it."""
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def says(*answers: bytes) -> Answer:
    """Answer the first request with the first of `answers`, and so on; the last one is repeated."""
    left = list(answers)

    async def answer(_: Asked, out: asyncio.StreamWriter) -> None:
        out.write(left.pop(0) if len(left) > 1 else left[0])
        await out.drain()

    return answer


@contextlib.asynccontextmanager
async def serving(answer: Answer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    """Serve until the block ends; connections live until `answer` closes their writer or the client does."""
    wire = Wire("")
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while not out.is_closing():
                asked = await _read(reader)
                wire.asked.append(asked)
                await answer(asked, out)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            out.close()
            tasks.discard(task)

    server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=tls)
    wire.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    content = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, content)
