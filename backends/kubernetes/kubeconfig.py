"""Finds the cluster and the user to be, as kubectl finds them.

`--kubeconfig`, else the files of KUBECONFIG, else `~/.kube/config`, else the service account of the pod we run in.
Nothing is connected to here, and no secret leaves: `Access` keeps them out of its repr.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

from backends.kubernetes.kubeconfig_files import (
    ClusterEntry,
    ConfigurationError,
    ExecSpec,
    Merged,
    UserEntry,
    paths,
    read,
)
from backends.kubernetes.proxies import NO_SOCKS, speaks_http
from fleet.text import clean

__all__ = [
    "SERVICE_ACCOUNT",
    "Access",
    "ConfigurationError",
    "Pem",
    "User",
    "contexts",
    "find",
    "is_configured",
]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_POD = "in-cluster"


@dataclass(frozen=True, slots=True)
class Pem:
    """A certificate or key: its text, or the file to read it from at each connection, since files are renewed."""

    text: bytes = field(default=b"", repr=False)
    file: Path | None = None

    def read(self) -> bytes:
        """The PEM text. Raises OSError."""
        return self.file.read_bytes() if self.file is not None else self.text


@dataclass(frozen=True, slots=True)
class User:
    """Who to be. `folder` is where a plugin's relative command starts from; `entry` how errors name the user.

    `impersonating` are the headers that ask to be treated as somebody else, often with less rights.
    """

    entry: str = ""
    certificate: Pem | None = None
    key: Pem | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    plugin: ExecSpec | None = field(default=None, repr=False)
    folder: Path = Path()
    impersonating: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Access:
    """One cluster and one user, ready to connect with. `compressed`: long answers are asked for in gzip.

    `again` reads the same context from the same files once more, for they are rewritten while we run; None where there are none.
    """

    context: str
    server: str
    ca: Pem | None = None
    insecure: bool = False
    tls_server_name: str | None = None
    proxy: str | None = None
    compressed: bool = True
    user: User = User()
    again: Callable[[], Access] | None = field(default=None, repr=False, compare=False)


def find(
    *,
    kubeconfig: str | None = None,
    context: str | None = None,
    environ: Mapping[str, str],
    home: Path,
    service_account: Path = SERVICE_ACCOUNT,
) -> Access:
    """The access that kubectl would use with the same flags and environment. Raises ConfigurationError."""
    files = paths(kubeconfig, environ, home)
    merged = read(files, must_exist=kubeconfig is not None)
    if not merged.clusters and not merged.contexts:
        if context is None and kubeconfig is None and _in_pod(environ, service_account):
            return _service_account(environ, service_account)
        where = merged.where or ":".join(map(str, files))
        raise ConfigurationError(where, "contexts", "no cluster is configured there")
    name = _chosen(merged, context)
    again = partial(find, kubeconfig=kubeconfig, context=name, environ=environ, home=home)
    return replace(_access(merged, name), again=again)


def contexts(
    *, kubeconfig: str | None = None, environ: Mapping[str, str], home: Path
) -> tuple[str, Sequence[str]]:
    """The current context (empty where none is set) and the names of all, in order. Raises ConfigurationError."""
    merged = read(paths(kubeconfig, environ, home), must_exist=kubeconfig is not None)
    return merged.current, tuple(merged.contexts)


def current_context(kubeconfig: Path | None, environ: Mapping[str, str], home: Path) -> tuple[str, ...]:
    """The current context; none where none is set, or where that can't be read, which is said where the cluster is asked for."""
    try:
        found, _ = contexts(
            kubeconfig=str(kubeconfig) if kubeconfig is not None else None, environ=environ, home=home
        )
    except ConfigurationError:
        return ()
    return (found,)


def is_configured(*, environ: Mapping[str, str], home: Path, service_account: Path = SERVICE_ACCOUNT) -> bool:
    """Whether there is something to connect to without a flag. Raises ConfigurationError for a broken file."""
    merged = read(paths(None, environ, home), must_exist=False)
    return bool(merged.contexts) or _in_pod(environ, service_account)


def _chosen(merged: Merged, context: str | None) -> str:
    name = context or merged.current
    names = ", ".join(clean(each, 80) for each in merged.contexts) or "none"
    if not name:
        says = f"none is set; choose one with --context: {names}"
        raise ConfigurationError(merged.where, "current-context", says)
    if name not in merged.contexts:
        key = "--context" if context else "current-context"
        raise ConfigurationError(
            merged.where, key, f"there is no context {clean(name)!r}; there are: {names}"
        )
    return name


def _access(merged: Merged, name: str) -> Access:
    context, file = merged.contexts[name]
    if context.cluster not in merged.clusters:
        key = f"contexts[{name}].cluster"
        raise ConfigurationError(str(file), key, f"there is no cluster {context.cluster!r}")
    if context.user and context.user not in merged.users:
        raise ConfigurationError(str(file), f"contexts[{name}].user", f"there is no user {context.user!r}")
    cluster, at = merged.clusters[context.cluster]
    key = f"clusters[{context.cluster}]"
    entry, entry_at = merged.users[context.user] if context.user else (UserEntry(), file)
    return Access(
        context=name,
        server=_server(cluster, str(at), f"{key}.server"),
        ca=_pem(
            cluster.certificate_authority_data,
            cluster.certificate_authority,
            at,
            f"{key}.certificate-authority",
        ),
        insecure=cluster.insecure_skip_tls_verify,
        tls_server_name=cluster.tls_server_name or None,
        proxy=_proxy(cluster.proxy_url, str(at), f"{key}.proxy-url"),
        compressed=not cluster.disable_compression,
        user=_user(entry, entry_at, f"users[{context.user}]"),
    )


def _user(entry: UserEntry, file: Path, key: str) -> User:
    if entry.auth_provider is not None:
        says = f"the {clean(entry.auth_provider.name, 40)!r} auth-provider is gone from Kubernetes; use an exec plugin"
        raise ConfigurationError(str(file), f"{key}.auth-provider", says)
    certificate = _pem(
        entry.client_certificate_data, entry.client_certificate, file, f"{key}.client-certificate"
    )
    secret = _pem(entry.client_key_data, entry.client_key, file, f"{key}.client-key")
    if (certificate is None) != (secret is None):
        raise ConfigurationError(
            str(file), f"{key}.client-key", "a client certificate and its key go together"
        )
    if entry.exec is not None and entry.exec.interactive_mode == "Always":
        says = f"{entry.exec.command} wants the terminal (interactiveMode: Always), which Quarterdeck has"
        raise ConfigurationError(str(file), f"{key}.exec", says)
    token_file = (file.parent / entry.token_file).absolute() if entry.token_file else None
    return User(
        entry=key,
        certificate=certificate,
        key=secret,
        token=entry.token or None,
        token_file=token_file,
        username=entry.username or None,
        password=entry.password,
        plugin=entry.exec,
        folder=file.parent.absolute(),
        impersonating=_impersonating(entry, str(file), key),
    )


def _impersonating(entry: UserEntry, file: str, key: str) -> tuple[tuple[str, str], ...]:
    """The headers of `as`, `as-uid`, `as-groups` and `as-user-extra` (Kubernetes 1.36, "User impersonation")."""
    more = [("Impersonate-Uid", entry.as_uid)] if entry.as_uid else []
    more += [("Impersonate-Group", group) for group in entry.as_groups or ()]
    for name, values in (entry.as_user_extra or {}).items():
        more += [(f"Impersonate-Extra-{quote(name, safe='')}", value) for value in values]
    if not entry.as_:
        if more:
            raise ConfigurationError(
                file, f"{key}.as", "groups, uid or extras are impersonated without a user"
            )
        return ()
    return (("Impersonate-User", entry.as_), *more)


def _pem(data: str | None, name: str | None, file: Path, key: str) -> Pem | None:
    if data:
        try:
            return Pem(text=base64.b64decode("".join(data.split()), validate=True))
        except ValueError as error:
            raise ConfigurationError(str(file), f"{key}-data", "expected base64") from error
    if not name:
        return None
    path = (file.parent / name).absolute()
    if not path.is_file():
        raise ConfigurationError(str(file), key, f"there is no file {path}")
    return Pem(file=path)


def _server(cluster: ClusterEntry, file: str, key: str) -> str:
    text = cluster.server.strip()
    if text and "://" not in text:
        secure = cluster.certificate_authority or cluster.certificate_authority_data
        text = f"{'https' if secure or cluster.insecure_skip_tls_verify else 'http'}://{text}"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(file, key, "expected a URL like https://host:6443") from error
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigurationError(file, key, "expected a URL like https://host:6443")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl().rstrip("/")


def _proxy(url: str | None, file: str, key: str) -> str | None:
    if not url:
        return None
    if not speaks_http(url):
        raise ConfigurationError(file, key, f"expected an http:// or https:// proxy; {NO_SOCKS}")
    return url


def _in_pod(environ: Mapping[str, str], folder: Path) -> bool:
    return bool(environ.get("KUBERNETES_SERVICE_HOST")) and (folder / "token").is_file()


def _service_account(environ: Mapping[str, str], folder: Path) -> Access:
    host = environ["KUBERNETES_SERVICE_HOST"]
    port = environ.get("KUBERNETES_SERVICE_PORT") or "443"
    ca = folder / "ca.crt"
    return Access(
        context=IN_POD,
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        ca=Pem(file=ca) if ca.is_file() else None,
        user=User(entry="service account", token_file=folder / "token", folder=folder),
    )
