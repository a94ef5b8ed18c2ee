"""Putting answers on the wire: small ones whole, long lists in pieces, gzip from 128 KiB on where it is accepted.

A reader that goes away in the middle of an answer, as one that is killed does, is no error of ours.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress

from aiohttp import web

from backends.simulated.objects import Json
from backends.simulated.renderings import encode
from backends.simulated.statuses import Refused

GZIP_FROM = 128 * 1024
_JSON = {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
_WITH_GZIP_HEADER = 16 + zlib.MAX_WBITS


async def send(request: web.Request, status: int, pieces: Sequence[bytes]) -> web.StreamResponse:
    """Send a JSON body that comes in pieces."""
    size = sum(map(len, pieces))
    if size < GZIP_FROM:
        return web.Response(status=status, body=b"".join(pieces), headers=_JSON)
    response = web.StreamResponse(status=status, headers=_JSON)
    with suppress(ConnectionError):
        await _send_pieces(request, response, pieces, size)
    return response


async def _send_pieces(
    request: web.Request, response: web.StreamResponse, pieces: Sequence[bytes], size: int
) -> None:
    if "gzip" not in request.headers.get("Accept-Encoding", ""):
        response.content_length = size
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
    else:
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Vary"] = "Accept-Encoding"
        response.enable_chunked_encoding()
        await response.prepare(request)
        # Level 1, as the API server has it: a list of nodes shrinks to a fifteenth all the same.
        packer = zlib.compressobj(1, zlib.DEFLATED, _WITH_GZIP_HEADER)
        for piece in pieces:
            await response.write(packer.compress(piece))
        await response.write(packer.flush())
    await response.write_eof()


def json_answer(status: int, value: Json, headers: Mapping[str, str] | None = None) -> web.Response:
    """A small JSON answer."""
    return web.Response(status=status, body=encode(value) + b"\n", headers={**_JSON, **(headers or {})})


def refusal(refused: Refused) -> web.Response:
    """A refusal as its Status, with Retry-After where it carries one."""
    again = {} if refused.retry_after is None else {"Retry-After": str(refused.retry_after)}
    return json_answer(refused.code, refused.body, again)


def page_not_found() -> web.Response:
    """What the real server says of a path that no group serves: plain text, no Status."""
    return web.Response(status=404, text="404 page not found\n")
