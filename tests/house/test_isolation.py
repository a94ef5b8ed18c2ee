"""The rules that conftest holds every test to are themselves tested."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests import network
from tests.servers import require

TEST_NET = "192.0.2.1"
"""An address that RFC 5737 keeps for documentation: nobody answers."""


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_a_connection_to_another_machine_is_refused_and_remembered(method: str) -> None:
    with socket.socket() as plug, pytest.raises(network.OutsideNetwork, match=TEST_NET):
        getattr(plug, method)((TEST_NET, 443))
    assert network.reached == [f"('{TEST_NET}', 443)"]
    network.reached.clear()


def test_a_name_does_not_resolve() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("cluster.example", 443)


def test_loopback_is_open() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as plug,
    ):
        assert plug.getpeername() == server.getsockname()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", None])
def test_loopback_is_known(host: str | None) -> None:
    assert network.is_local(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "example.com", "fe80::1%eth0", "2001:db8::1"])
def test_other_machines_are_known(host: str) -> None:
    assert not network.is_local(host)


def test_the_home_is_not_the_developers(home: Path) -> None:
    assert Path.home() == home
    assert Path(os.environ["XDG_STATE_HOME"]).is_relative_to(home)


@pytest.mark.parametrize("name", ["KUBECONFIG", "NO_COLOR", "HTTPS_PROXY"])
def test_what_the_shell_held_is_gone(name: str) -> None:
    assert name not in os.environ


def test_a_program_that_is_there_is_found() -> None:
    assert require("sh").name == "sh"


def test_a_missing_program_skips_at_a_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        require("no-such-program")


def test_a_missing_program_fails_where_ci_promises_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-program is not installed"):
        require("no-such-program")
