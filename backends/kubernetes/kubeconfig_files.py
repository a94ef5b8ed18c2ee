"""Reads kubeconfig files and merges them by client-go's rules (`clientcmd`, Kubernetes 1.36).

The first file to name a cluster, user or context wins, as does the first to set current-context; what a file says
keeps that file's path, since relative paths in it are relative to it. YAML is imported at the first read: it is slow.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fleet.text import clean


class ConfigurationError(Exception):
    """The configuration is wrong: in which file, at which key, and what was expected there."""

    def __init__(self, file: str, key: str, expected: str) -> None:
        super().__init__(": ".join(part for part in (file, key, expected) if part))
        self.file = file
        self.key = key
        self.expected = expected


class ExecEnv(msgspec.Struct, frozen=True):
    """One variable given to a plugin."""

    name: str
    value: str = ""


class ExecSpec(msgspec.Struct, frozen=True, rename="camel"):
    """A credential plugin, as a kubeconfig describes it."""

    command: str
    api_version: str = "client.authentication.k8s.io/v1"
    args: tuple[str, ...] | None = None
    env: tuple[ExecEnv, ...] | None = None
    install_hint: str | None = None
    provide_cluster_info: bool = False
    interactive_mode: str | None = None


class AuthProvider(msgspec.Struct, frozen=True):
    """The way to sign in that came before plugins (gcp, oidc), which kubectl has dropped."""

    name: str = ""


class UserEntry(msgspec.Struct, frozen=True, rename="kebab"):
    """What a kubeconfig says of a user."""

    token: str | None = None
    token_file: str | None = msgspec.field(default=None, name="tokenFile")
    username: str | None = None
    password: str | None = None
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    exec: ExecSpec | None = None
    as_: str | None = msgspec.field(default=None, name="as")
    as_uid: str | None = None
    as_groups: tuple[str, ...] | None = None
    as_user_extra: dict[str, tuple[str, ...]] | None = None
    auth_provider: AuthProvider | None = None


class ClusterEntry(msgspec.Struct, frozen=True, rename="kebab"):
    """What a kubeconfig says of a cluster."""

    server: str = ""
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool = False
    tls_server_name: str | None = None
    proxy_url: str | None = None
    disable_compression: bool = False


class ContextEntry(msgspec.Struct, frozen=True, rename="kebab"):
    """Which cluster and user a context joins."""

    cluster: str = ""
    user: str = ""


class _NamedUser(msgspec.Struct, frozen=True):
    name: str
    user: UserEntry | None = None


class _NamedCluster(msgspec.Struct, frozen=True):
    name: str
    cluster: ClusterEntry | None = None


class _NamedContext(msgspec.Struct, frozen=True):
    name: str
    context: ContextEntry | None = None


class _File(msgspec.Struct, frozen=True, rename="kebab"):
    current_context: str | None = None
    clusters: tuple[_NamedCluster, ...] | None = None
    users: tuple[_NamedUser, ...] | None = None
    contexts: tuple[_NamedContext, ...] | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """What the files say together; each value with the file it is from."""

    files: tuple[Path, ...]
    current: str
    clusters: Mapping[str, tuple[ClusterEntry, Path]]
    users: Mapping[str, tuple[UserEntry, Path]]
    contexts: Mapping[str, tuple[ContextEntry, Path]]

    @property
    def where(self) -> str:
        return os.pathsep.join(map(str, self.files))


def paths(kubeconfig: str | None, environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """The files that kubectl would look at."""
    if kubeconfig is not None:
        return (Path(kubeconfig).expanduser(),)
    if listed := environ.get("KUBECONFIG"):
        return tuple(Path(part) for part in dict.fromkeys(listed.split(os.pathsep)) if part)
    return (home / ".kube" / "config",)


def read(files: Sequence[Path], *, must_exist: bool) -> Merged:
    """The files merged; missing ones are skipped unless `must_exist`. Raises ConfigurationError."""
    loaded = [(path, _load(path)) for path in files if must_exist or path.is_file()]
    clusters: dict[str, tuple[ClusterEntry, Path]] = {}
    users: dict[str, tuple[UserEntry, Path]] = {}
    contexts: dict[str, tuple[ContextEntry, Path]] = {}
    current = ""
    for path, file in loaded:
        current = current or file.current_context or ""
        for cluster in file.clusters or ():
            clusters.setdefault(cluster.name, (cluster.cluster or ClusterEntry(), path))
        for user in file.users or ():
            users.setdefault(user.name, (user.user or UserEntry(), path))
        for context in file.contexts or ():
            contexts.setdefault(context.name, (context.context or ContextEntry(), path))
    return Merged(tuple(path for path, _ in loaded), current, clusters, users, contexts)


def _load(path: Path) -> _File:
    import yaml

    try:
        text = path.read_bytes()
    except OSError as error:
        says = f"can't be read: {error.strerror or type(error).__name__}"
        raise ConfigurationError(str(path), "", says) from error
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        parsed = yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader, the C one where there is one
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f"line {mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(str(path), at, "expected YAML") from error
    try:
        return msgspec.convert({} if parsed is None else parsed, _File)
    except msgspec.ValidationError as error:
        says, _, where = str(error).partition(" - at ")
        raise ConfigurationError(str(path), where.strip("`$."), clean(says)) from error
