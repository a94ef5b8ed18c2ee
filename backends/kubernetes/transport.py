"""Builds the client library's transport for an Access, and tells what became of a request that broke.

Only the configuration, the TLS and the HTTP of `kubernetes.aio` are used: its models cost seconds and gigabytes. They are
imported inside functions, since that takes most of a second: `load()` does it beforehand, in a thread.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import ssl
import tempfile
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.kubernetes.errors import redacted
from backends.kubernetes.exec_plugin import Credential
from backends.kubernetes.kubeconfig import Access
from backends.kubernetes.proxies import NO_SOCKS, proxy_for, speaks_http
from fleet.errors import FleetError, Garbled, OutcomeUnknown, Unreachable

if TYPE_CHECKING:
    from aiohttp import TraceConfig
    from kubernetes.aio.client.api_client import ApiClient

USER_AGENT = "quarterdeck"


class Sending:
    """How far one request got. Before its headers went out nothing can have changed."""

    __slots__ = ("sent", "write")

    def __init__(self, *, write: bool) -> None:
        self.write = write
        self.sent = False


class SentTwice(Exception):
    """A write broke after it was sent, and the HTTP client was about to send it again."""


sending: ContextVar[Sending | None] = ContextVar("sending", default=None)


def load() -> None:
    """Import everything that a first request needs: most of a second, so call it in a thread."""
    for name in (
        "aiohttp",
        "yaml",
        "kubernetes.aio.client.api_client",
        "kubernetes.aio.client.configuration",
    ):
        importlib.import_module(name)


def build(access: Access, credential: Credential, environ: Mapping[str, str]) -> ApiClient:
    """A client for `access`, with the credential's certificate. Slow (TLS): call it in a thread. Raises Unreachable."""
    from kubernetes.aio.client.api_client import ApiClient
    from kubernetes.aio.client.configuration import Configuration

    configuration = Configuration(host=access.server)
    configuration.verify_ssl = not access.insecure
    # kubectl takes certificates that Python 3.13's strict mode refuses (a CA without key usage).
    configuration.disable_strict_ssl_verification = True
    configuration.tls_server_name = access.tls_server_name
    configuration.proxy = access.proxy or proxy_for(access.server, environ)
    if configuration.proxy and not speaks_http(configuration.proxy):
        raise Unreachable(f"the environment names a proxy, and {NO_SOCKS}", about=access.server)
    # .netrc and Python's reading of proxy variables are not kubectl's.
    configuration.client_session_kwargs = {"trust_env": False, "headers": list(access.user.impersonating)}
    configuration.trace_configs = [_tracing()]
    try:
        if access.ca is not None and not access.insecure:
            configuration.ca_cert_data = access.ca.read().decode()
        certificate, key = _certificate(access, credential)
        with tempfile.TemporaryDirectory(prefix="quarterdeck-") as folder:
            if certificate and key:
                configuration.cert_file = _private(Path(folder) / "certificate", certificate)
                configuration.key_file = _private(Path(folder) / "key", key)
            client = ApiClient(configuration)
    except (OSError, UnicodeDecodeError) as error:
        says = f"the certificates of the kubeconfig can't be used: {redacted(str(error))}"
        raise Unreachable(says, about=access.server) from error
    client.user_agent = USER_AGENT
    return client


def _certificate(access: Access, credential: Credential) -> tuple[bytes | None, bytes | None]:
    if credential.certificate:
        return credential.certificate, credential.key
    user = access.user
    return (user.certificate.read() if user.certificate else None, user.key.read() if user.key else None)


def _private(path: Path, content: bytes) -> str:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return str(path)


def _tracing() -> TraceConfig:
    """Marks the request of this task as sent, and stops the HTTP client from sending a write a second time."""
    from aiohttp import TraceConfig

    async def sent(*_: Any) -> None:
        if (request := sending.get()) is not None:
            request.sent = True

    async def connecting(*_: Any) -> None:
        request = sending.get()
        if request is not None and request.write and request.sent:
            raise SentTwice

    tracing = TraceConfig()
    tracing.on_request_headers_sent.append(sent)
    tracing.on_connection_create_start.append(connecting)
    tracing.on_connection_reuseconn.append(connecting)
    return tracing


def broken(error: BaseException, request: Sending, about: str) -> FleetError:
    """What a request that broke, rather than being answered, means."""
    import aiohttp

    says = _words(error)
    if request.write and request.sent:
        return OutcomeUnknown(f"the change was sent and its answer lost: {says}", about=about)
    if isinstance(error, aiohttp.ClientResponseError) and not isinstance(error, aiohttp.ClientHttpProxyError):
        return Garbled(says, about=about)
    return Unreachable(says, about=about)


def _words(error: BaseException) -> str:
    import aiohttp

    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not trusted: {redacted(str(error.certificate_error))}"
        case aiohttp.ClientConnectorDNSError():
            return f"no such host: {redacted(error.host)}"
        case aiohttp.ClientProxyConnectionError():
            return f"the proxy can't be reached: {redacted(error.os_error.strerror or str(error.os_error))}"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy answered {error.status}: {redacted(error.message)}"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return f"TLS failed: {redacted(str(error))}"
        case aiohttp.ClientConnectorError():
            return redacted(_reason(error.os_error))
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without an answer"
        case aiohttp.ServerTimeoutError() | asyncio.TimeoutError():
            return "no answer in time"
        case aiohttp.ClientPayloadError():
            return "the answer broke off"
        case aiohttp.ClientResponseError():
            return f"not HTTP as we know it: {redacted(error.message)}"
        case SentTwice():
            return "the connection broke before the answer"
        case OSError():
            return redacted(_reason(error))
        case _:
            return redacted(str(error)) or type(error).__name__


def _reason(error: OSError) -> str:
    """The system's own words, such as `Connection refused`, also where the event loop has wrapped them."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__
