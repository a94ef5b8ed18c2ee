"""One cluster's API server, reached: requests in, bytes out, and every failure in the words of the fleet.

Each request has a deadline of its own. A 401 renews the credential once and asks again, since a request that was refused
changed nothing. Bodies come back as bytes: whoever asks decodes what it needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from backends.kubernetes.credentials import Credentials, Held
from backends.kubernetes.errors import NotKnown, Silent, translate
from backends.kubernetes.kubeconfig import Access
from backends.kubernetes.transport import Sending, SentTwice, broken, build, load, sending
from fleet.errors import FleetError, Garbled
from fleet.ports import Clock

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from kubernetes.aio.client.api_client import ApiClient

__all__ = ["Api", "Query", "load"]

Query = Sequence[tuple[str, str]]

CONNECT_SECONDS = 10.0
ANSWER = timedelta(seconds=30)
SILENCE = timedelta(seconds=95)
"""Bookmarks come every 60 s or so; an open watch that has nothing for this long is not to be believed."""
LONGEST_LINE = 64 << 20
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    query: Query
    body: Any = None
    content_type: str = JSON
    patience: timedelta = ANSWER  # how long the answer may pause


class Api:
    """The API server of one source, as the user that its kubeconfig names.

    `source` is our name for the cluster; `server` its URL; `context` the kubeconfig's context. Close it when done.
    """

    def __init__(self, access: Access, *, source: str, clock: Clock, environ: Mapping[str, str]) -> None:
        self.source = source
        self.server = access.server
        self.context = access.context
        self.clock = clock
        self._access = access
        self._environ = environ
        self._credentials = Credentials(access, clock, environ)
        self._client: ApiClient | None = None
        self._certified: tuple[object, ...] = ()
        self._retired: ApiClient | None = None
        self._building = asyncio.Lock()

    async def get(self, path: str, query: Query = (), *, deadline: timedelta = ANSWER) -> bytes:
        """The body at `path`. Raises FleetError."""
        return await self._ask(_Call("GET", path, query, patience=deadline))

    async def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        content_type: str = JSON,
        query: Query = (),
        deadline: timedelta = ANSWER,
    ) -> bytes:
        """Send a JSON change (or a review) and give the answer's body.

        Raises FleetError: OutcomeUnknown where it was sent and the answer lost, Unreachable where it was not sent.
        """
        parsed = json.loads(body) if body else None
        return await self._ask(_Call(method, path, query, parsed, content_type, deadline))

    async def watch(
        self,
        path: str,
        query: Query = (),
        *,
        silence: timedelta = SILENCE,
        accepted: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a watch as they come, until the server ends it. Wrap it in `contextlib.aclosing`.

        `accepted` is called once the server has agreed to it, which may be long before there is a line.

        Raises Silent after `silence` without a byte, Unreachable where it breaks off, and FleetError where it is refused.
        """
        request = Sending(write=False)
        about = self.server + path
        async with contextlib.AsyncExitStack() as stack:
            with _translated(request, about):
                async with asyncio.timeout(ANSWER.total_seconds()):
                    call = _Call("GET", path, query, patience=silence)
                    response = await self._open(stack, request, call)
                accepted()
                lines = await stack.enter_async_context(contextlib.aclosing(_lines(response, silence, about)))
                async for line in lines:
                    yield line

    async def close(self) -> None:
        """Close every connection; requests under way fail."""
        clients, self._client, self._retired = (self._client, self._retired), None, None
        for client in clients:
            await _close(client)

    async def _ask(self, call: _Call) -> bytes:
        request = Sending(write=call.method != "GET")
        with _translated(request, self.server + call.path):
            async with asyncio.timeout(call.patience.total_seconds()), contextlib.AsyncExitStack() as stack:
                response = await self._open(stack, request, call)
                return await response.read()

    async def _open(self, stack: contextlib.AsyncExitStack, request: Sending, call: _Call) -> ClientResponse:
        """An accepted answer whose body is still to be read; `stack` releases it."""
        held = await self._credentials.current()
        renewed = False
        while True:
            response = await self._request(request, held, call)
            stack.callback(response.close)
            if 200 <= response.status < 300:
                _expect_api(response, self.server + call.path)
                return response
            error = await self._refusal(response, request, call)
            if not isinstance(error, NotKnown) or renewed or not self._credentials.renewable:
                raise error
            held, renewed = await self._credentials.renew(held), True
            request.sent = False

    async def _request(self, request: Sending, held: Held, call: _Call) -> ClientResponse:
        from aiohttp import ClientTimeout

        client = await self._client_for(held)
        headers = {"Accept": JSON, "Content-Type": call.content_type}
        if not self._access.compressed:
            headers["Accept-Encoding"] = "identity"
        if held.authorization:
            headers["Authorization"] = held.authorization
        serialized = await client.param_serialize(
            call.method, call.path, query_params=list(call.query), header_params=headers, body=call.body
        )
        patience = call.patience.total_seconds()
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=patience)
        token = sending.set(request)
        try:
            answer = await client.call_api(*serialized, _request_timeout=timeout)
        finally:
            sending.reset(token)
        response: ClientResponse = answer.response
        return response

    async def _refusal(self, response: ClientResponse, request: Sending, call: _Call) -> FleetError:
        about = self.server + call.path
        body = b""
        with contextlib.suppress(FleetError), _translated(request, about):
            async with asyncio.timeout(CONNECT_SECONDS):
                body = await response.read()
        wait = response.headers.get("Retry-After")
        return translate(response.status, body, about=about, write=request.write, retry_after=wait)

    async def _client_for(self, held: Held) -> ApiClient:
        """The client whose TLS has the credential's certificate, made anew when that changes."""
        renewed_files = held.generation if held.user.certificate is not None else 0
        wanted = (held.credential.certificate, renewed_files, held.user.impersonating)
        async with self._building:
            if self._client is None or wanted != self._certified:
                access = replace(self._access, user=held.user)
                client = await asyncio.to_thread(build, access, held.credential, self._environ)
                await _close(self._retired)
                self._retired, self._client, self._certified = self._client, client, wanted
            return self._client


async def _close(client: ApiClient | None) -> None:
    if client is not None:
        await client.close()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _translated(request: Sending, about: str) -> Iterator[None]:
    import aiohttp

    try:
        yield
    except (aiohttp.ClientError, OSError, TimeoutError, SentTwice) as error:
        raise broken(error, request, about) from error


def _expect_api(response: ClientResponse, about: str) -> None:
    if response.content_type == "text/html":
        raise Garbled("answered with a web page, not from a Kubernetes API", about=about)


async def _lines(response: ClientResponse, silence: timedelta, about: str) -> AsyncGenerator[bytes, None]:
    """Whole lines, however long: the client library's own reader gives up above 4 MiB."""
    rest = bytearray()
    chunks = response.content.iter_any()
    while True:
        try:
            chunk = await anext(chunks, b"")
        except TimeoutError as error:
            raise Silent(f"no word for {silence.total_seconds():g} s", about=about) from error
        if not chunk:
            break
        seen = len(rest)
        rest += chunk
        if rest.find(b"\n", seen) < 0:
            if len(rest) > LONGEST_LINE:
                raise Garbled("one line is longer than 64 MiB", about=about)
            continue
        *whole, last = bytes(rest).split(b"\n")
        rest = bytearray(last)
        for line in whole:
            if line.strip():
                yield line
    if rest.strip():
        yield bytes(rest)
