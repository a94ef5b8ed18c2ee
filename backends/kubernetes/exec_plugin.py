"""Runs a credential plugin the way a dashboard must: no terminal to take, a deadline, and failures that say so.

The protocol is `client.authentication.k8s.io` (Kubernetes documentation, "client-go credential plugins").
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from backends.kubernetes.errors import redacted
from backends.kubernetes.kubeconfig import Access
from backends.kubernetes.kubeconfig_files import ExecSpec
from fleet.errors import Denied
from fleet.text import clean

DEADLINE = timedelta(seconds=30)
_LONGEST_ANSWER = 1 << 20


@dataclass(frozen=True, slots=True)
class Credential:
    """What a plugin handed out: a token, a certificate with its key, or both. `expires` None: until refused."""

    token: str | None = field(default=None, repr=False)
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    expires: datetime | None = None


class _Status(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime | None = None


class _Answer(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""
    status: _Status | None = None


async def run_plugin(
    spec: ExecSpec, access: Access, environ: Mapping[str, str], *, deadline: timedelta = DEADLINE
) -> Credential:
    """The credential a plugin gives. Raises Denied, naming the plugin and the last thing it said."""
    name = clean(Path(spec.command).name, 80)
    command = spec.command
    if os.sep in command and not Path(command).is_absolute():
        command = str(access.user.folder / command)
    variables = {**environ, **{each.name: each.value for each in spec.env or ()}}
    variables["KUBERNETES_EXEC_INFO"] = _request(spec, access)
    try:
        # A session of its own: a plugin that opens /dev/tty gets no terminal either.
        running = await asyncio.create_subprocess_exec(
            command,
            *(spec.args or ()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=variables,
            start_new_session=True,
        )
    except OSError as error:
        hint = f"; {clean(spec.install_hint, 200)}" if spec.install_hint else ""
        says = f"the plugin {name} can't be started: {error.strerror or type(error).__name__}{hint}"
        raise Denied(says, about=access.server) from error
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            out, err = await running.communicate()
    except TimeoutError as error:
        says = f"the plugin {name} gave no credential within {deadline.total_seconds():g} s"
        raise Denied(says, about=access.server) from error
    finally:
        await _end(running)
    if running.returncode != 0:
        raise Denied(
            f"the plugin {name} failed ({running.returncode}): {_last_line(err)}", about=access.server
        )
    return _read(out, spec, name, access)


async def _end(running: asyncio.subprocess.Process) -> None:
    if running.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    await running.wait()


def _request(spec: ExecSpec, access: Access) -> str:
    cluster: dict[str, object] = {"server": access.server}
    if access.tls_server_name:
        cluster["tls-server-name"] = access.tls_server_name
    if access.insecure:
        cluster["insecure-skip-tls-verify"] = True
    elif access.ca is not None:
        cluster["certificate-authority-data"] = access.ca.read()
    asked: dict[str, object] = {"interactive": False}
    if spec.provide_cluster_info:
        asked["cluster"] = cluster
    body = {"apiVersion": spec.api_version, "kind": "ExecCredential", "spec": asked}
    return msgspec.json.encode(body).decode()


def _read(out: bytes, spec: ExecSpec, name: str, access: Access) -> Credential:
    try:
        answer = msgspec.json.decode(out[:_LONGEST_ANSWER], type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Denied(f"the plugin {name} printed no ExecCredential", about=access.server) from error
    status = answer.status
    if answer.api_version != spec.api_version:
        says = f"the plugin {name} answered in {clean(answer.api_version, 80)!r}, not {spec.api_version!r}"
        raise Denied(says, about=access.server)
    if status is None or not (status.token or (status.client_certificate_data and status.client_key_data)):
        raise Denied(
            f"the plugin {name} gave neither a token nor a certificate with its key", about=access.server
        )
    expires = status.expiration_timestamp
    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    return Credential(
        token=(status.token or "").strip() or None,
        certificate=(status.client_certificate_data or "").encode() or None,
        key=(status.client_key_data or "").encode() or None,
        expires=expires,
    )


def _last_line(err: bytes) -> str:
    lines = [line for line in err[-8192:].decode(errors="replace").splitlines() if line.strip()]
    return redacted(lines[-1]) if lines else "it said nothing"
