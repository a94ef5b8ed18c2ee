"""Keeps the credential of one user fresh: read again as files are renewed, asked for again as plugins' expire.

A kubeconfig that was rewritten (a token rotated in it) is read again once its credential is refused, before that is told.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from backends.kubernetes.exec_plugin import Credential, run_plugin
from backends.kubernetes.kubeconfig import Access, ConfigurationError, User
from fleet.errors import Denied
from fleet.ports import Clock

_TOKEN_FILE_LASTS = timedelta(seconds=60)
_EARLY = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Held:
    """A credential in use. A new `generation` is a new credential, so that a 401 renews each one only once."""

    credential: Credential
    generation: int
    authorization: str | None
    user: User


class Credentials:
    """The credential of one Access, one renewal in flight at a time."""

    def __init__(self, access: Access, clock: Clock, environ: Mapping[str, str]) -> None:
        self._access = access
        self._clock = clock
        self._environ = environ
        self._held: Held | None = None
        self._read_at = 0.0
        self._lock = asyncio.Lock()

    @property
    def renewable(self) -> bool:
        """Whether asking again may give something else than before."""
        user = self._access.user
        if self._access.again is not None:
            return True
        files = (user.token_file, user.certificate and user.certificate.file)
        return user.plugin is not None or any(files)

    async def current(self) -> Held:
        """The credential to send now. Raises Denied where the plugin or the token file gives none."""
        async with self._lock:
            if self._held is None or self._old(self._held):
                await self._renew()
            assert self._held is not None
            return self._held

    async def renew(self, refused: Held) -> Held:
        """A credential newer than the one `refused`, unless another task has renewed it already."""
        async with self._lock:
            if self._held is None or self._held.generation == refused.generation:
                await asyncio.to_thread(self._read_kubeconfig)
                await self._renew()
            assert self._held is not None
            return self._held

    def _old(self, held: Held) -> bool:
        if self._access.user.plugin is not None:
            expires = held.credential.expires
            return expires is not None and self._clock.now() >= expires - _EARLY
        if self._access.user.token_file is not None:
            return self._clock.monotonic() - self._read_at >= _TOKEN_FILE_LASTS.total_seconds()
        return False

    async def _renew(self) -> None:
        user = self._access.user
        credential = Credential(token=user.token)
        if user.plugin is not None:
            credential = await run_plugin(user.plugin, self._access, self._environ)
        elif user.token_file is not None:
            credential = Credential(token=await asyncio.to_thread(self._read_token) or user.token)
            self._read_at = self._clock.monotonic()
        generation = self._held.generation + 1 if self._held else 0
        self._held = Held(credential, generation, self._authorization(credential), user)

    def _read_kubeconfig(self) -> None:
        """The user as the files name it now; a file that is half written, or names another server, changes nothing."""
        if self._access.again is None:
            return
        try:
            found = self._access.again()
        except ConfigurationError:
            return
        if found.server == self._access.server:
            self._access = replace(self._access, user=found.user)

    def _read_token(self) -> str | None:
        path = self._access.user.token_file
        assert path is not None
        try:
            return path.read_text().strip() or None
        except (OSError, UnicodeDecodeError) as error:
            if self._held is not None:
                return self._held.credential.token
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise Denied(
                f"the token file {path} can't be read: {reason}", about=self._access.server
            ) from error

    def _authorization(self, credential: Credential) -> str | None:
        user = self._access.user
        if credential.token:
            return f"Bearer {credential.token}"
        if user.username is not None:
            pair = f"{user.username}:{user.password or ''}".encode()
            return f"Basic {base64.b64encode(pair).decode()}"
        return None
