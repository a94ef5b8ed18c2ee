"""Keeps tests on this machine: a test that reaches past loopback fails, even where the code swallows the error."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import pytest

reached: list[str] = []
"""What the running test tried to reach outside; each test ends with it empty."""


class OutsideNetwork(RuntimeError):
    """A test connected to an address that is not loopback. Not an OSError, so that no retry takes it for one."""


def is_local(host: object) -> bool:
    """Whether a host, as `getaddrinfo` or `connect` takes it, is this machine's loopback."""
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.split("%")[0]).is_loopback
    except ValueError:
        return text.endswith(".localhost")


def stay_inside(patch: pytest.MonkeyPatch) -> None:
    """Refuse connections to other machines, and let no name but localhost resolve."""

    def guarded(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
        def guarded_connect(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not is_local(address[0]):
                reached.append(str(address))
                raise OutsideNetwork(f"a test connects to {address}")
            return connect(self, address)

        return guarded_connect

    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **named: Any) -> Any:
        literal = isinstance(host, str) and host.replace(".", "").isdigit()
        if not literal and not is_local(host) and ":" not in str(host):
            raise socket.gaierror(socket.EAI_NONAME, f"names do not resolve in tests: {host!r}")
        return resolve(host, *rest, **named)

    patch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    patch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
    patch.setattr(socket, "getaddrinfo", getaddrinfo)
