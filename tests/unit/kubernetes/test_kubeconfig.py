"""The configuration as kubectl finds it, and what is said where it is wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from backends.kubernetes.kubeconfig import Access, ConfigurationError, contexts, find, is_configured
from backends.kubernetes.proxies import proxy_for


def config(
    name: str = "east",
    *,
    current: str | None = None,
    cluster: Mapping[str, Any] | None = None,
    user: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A kubeconfig of one context."""
    written: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}:6443", **(cluster or {})}}],
        "users": [{"name": f"{name}-admin", "user": dict(user or {"token": f"{name}-token"})}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-admin"}}],
    }
    return written if current is None else {**written, "current-context": current}


def write(path: Path, content: Mapping[str, Any] | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def found(home: Path, *, environ: Mapping[str, str] | None = None, **flags: str) -> Access:
    return find(environ=environ or {}, home=home, service_account=home / "no-account", **flags)


def test_the_file_in_the_home_is_the_last_resort(tmp_path: Path) -> None:
    write(tmp_path / ".kube" / "config", config(current="east"))
    other = write(tmp_path / "other", config("west", current="west"))
    assert found(tmp_path).context == "east"
    assert found(tmp_path, environ={"KUBECONFIG": str(other)}).context == "west"
    listed = {"KUBECONFIG": str(tmp_path / ".kube" / "config")}
    assert found(tmp_path, kubeconfig=str(other), environ=listed).context == "west"


def test_of_a_list_the_first_file_to_set_the_context_wins_and_missing_files_are_skipped(
    tmp_path: Path,
) -> None:
    first = write(tmp_path / "first", config("east"))
    second = write(tmp_path / "second", config("west", current="west"))
    third = write(tmp_path / "third", config("north", current="north"))
    environ = {"KUBECONFIG": f"{tmp_path / 'missing'}:{first}::{second}:{third}"}
    assert found(tmp_path, environ=environ).context == "west"
    assert found(tmp_path, environ=environ, context="north").server == "https://north:6443"
    assert contexts(environ=environ, home=tmp_path) == ("west", ("east", "west", "north"))


def test_of_two_entries_of_a_name_the_first_counts(tmp_path: Path) -> None:
    first = write(tmp_path / "first", config("east", current="east"))
    second = write(tmp_path / "second", config("east", cluster={"server": "https://other:1"}))
    assert found(tmp_path, environ={"KUBECONFIG": f"{first}:{second}"}).server == "https://east:6443"


def test_relative_paths_are_relative_to_their_own_file(tmp_path: Path) -> None:
    write(tmp_path / "site" / "ca.pem", "the ca")
    write(tmp_path / "site" / "token", "t")
    site = config(
        current="east",
        cluster={"certificate-authority": "ca.pem"},
        user={"tokenFile": "token", "exec": {"command": "./login", "apiVersion": "v1"}},
    )
    file = write(tmp_path / "site" / "config", site)
    access = found(tmp_path, kubeconfig=str(file))
    assert access.ca is not None
    assert access.ca.read() == b"the ca"
    assert access.user.token_file == tmp_path / "site" / "token"
    assert access.user.folder == tmp_path / "site"


def test_inline_certificates_and_every_tls_setting_are_read(tmp_path: Path) -> None:
    encoded = base64.b64encode(b"PEM").decode()
    file = write(
        tmp_path / "config",
        config(
            current="east",
            cluster={
                "certificate-authority-data": encoded,
                "certificate-authority": "ignored.pem",
                "tls-server-name": "api.inside",
                "proxy-url": "http://proxy:3128",
                "insecure-skip-tls-verify": True,
                "disable-compression": True,
            },
            user={"client-certificate-data": encoded, "client-key-data": encoded},
        ),
    )
    access = found(tmp_path, kubeconfig=str(file))
    assert access.ca is not None
    assert access.user.key is not None
    assert (access.ca.read(), access.user.key.read()) == (b"PEM", b"PEM")
    assert (access.tls_server_name, access.proxy, access.insecure, access.compressed) == (
        "api.inside",
        "http://proxy:3128",
        True,
        False,
    )
    assert "PEM" not in repr(access)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    file = write(tmp_path / "config", config(current="east", user={"token": "s3cret", "password": "s3cret"}))
    assert "s3cret" not in repr(found(tmp_path, kubeconfig=str(file)))


@pytest.mark.parametrize(
    ("content", "key", "expected"),
    [
        ("a: [\n", "line 2", "YAML"),
        ("[]", "", "object"),
        ("", "contexts", "no cluster"),
        ({"clusters": 5}, "clusters", "array"),
        ({"clusters": [{"name": "a", "cluster": {"server": 5}}]}, "clusters", "str"),
        (config(), "current-context", "choose one with --context: east"),
        (config(current="gone"), "current-context", "no context 'gone'; there are: east"),
        (config(current="east", cluster={"server": "ftp://x"}), "clusters[east].server", "https://host:6443"),
        (
            config(current="east", cluster={"server": "https://[::bad"}),
            "clusters[east].server",
            "https://host",
        ),
        (config(current="east", cluster={"proxy-url": "socks5://x"}), "clusters[east].proxy-url", "SOCKS"),
        (
            config(current="east", cluster={"certificate-authority": "gone.pem"}),
            "clusters[east].certificate-authority",
            "no file",
        ),
        (
            config(current="east", cluster={"certificate-authority-data": "&"}),
            "clusters[east].certificate-authority-data",
            "base64",
        ),
        (
            config(current="east", user={"client-certificate-data": "UEVN"}),
            "users[east-admin].client-key",
            "go together",
        ),
        (
            config(current="east", user={"auth-provider": {"name": "gcp"}}),
            "users[east-admin].auth-provider",
            "'gcp'",
        ),
        (
            config(current="east", user={"exec": {"command": "login", "interactiveMode": "Always"}}),
            "users[east-admin].exec",
            "wants the terminal",
        ),
        ({**config(current="east"), "users": []}, "contexts[east].user", "no user"),
        ({**config(current="east"), "clusters": None}, "contexts[east].cluster", "no cluster"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_key(
    tmp_path: Path, content: Mapping[str, Any] | str, key: str, expected: str
) -> None:
    file = write(tmp_path / "config", content)
    with pytest.raises(ConfigurationError) as caught:
        found(tmp_path, kubeconfig=str(file))
    assert caught.value.file == str(file)
    assert key in caught.value.key
    assert expected in caught.value.expected


def test_a_context_that_is_not_there_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    file = write(tmp_path / "config", config(current="east"))
    with pytest.raises(ConfigurationError, match="--context: there is no context 'west'; there are: east"):
        found(tmp_path, kubeconfig=str(file), context="west")
    with pytest.raises(ConfigurationError, match="can't be read: No such file"):
        found(tmp_path, kubeconfig=str(tmp_path / "gone"))


def test_in_a_pod_the_service_account_is_used_where_nothing_else_is(tmp_path: Path) -> None:
    account = tmp_path / "account"
    write(account / "token", "t")
    write(account / "ca.crt", "ca")
    pod = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    access = find(environ=pod, home=tmp_path, service_account=account)
    assert (access.context, access.server) == ("in-cluster", "https://[fd00::1]:443")
    assert access.user.token_file == account / "token"
    assert is_configured(environ=pod, home=tmp_path, service_account=account)
    assert not is_configured(environ={}, home=tmp_path, service_account=account)
    write(tmp_path / ".kube" / "config", config(current="east"))
    assert find(environ=pod, home=tmp_path, service_account=account).context == "east"


@pytest.mark.parametrize(
    ("server", "environ", "proxy"),
    [
        ("https://api:6443", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://api:6443", {"https_proxy": "p:1"}, "http://p:1"),
        ("http://api", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://127.0.0.1:6443", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://localhost:6443", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://[::1]:6443", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://10.1.2.3:6443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, None),
        ("https://10.1.2.3:6443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.1.2.3"}, None),
        (
            "https://10.1.2.3:6443",
            {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "11.0.0.0/8, bad/net"},
            "http://p:1",
        ),
        ("https://api.site.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "x, .site.example"}, None),
        ("https://site.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".site.example"}, "http://p:1"),
        ("https://site.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "site.example"}, None),
        ("https://notsite.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "site.example"}, "http://p:1"),
        ("https://api:6443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api:6444"}, "http://p:1"),
        ("https://api:6443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api:6443"}, None),
        ("https://api", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
    ],
)
def test_proxies_are_chosen_as_kubectl_chooses(
    server: str, environ: Mapping[str, str], proxy: str | None
) -> None:
    assert proxy_for(server, environ) == proxy


def test_a_user_that_is_to_be_impersonated_is_never_left_out(tmp_path: Path) -> None:
    asked = {"as": "viewer", "as-uid": "7", "as-groups": ["a", "b"], "as-user-extra": {"why/s": ["x", "y"]}}
    path = write(tmp_path / "config", config(current="east", user={"token": "t", **asked}))
    assert found(tmp_path, kubeconfig=str(path)).user.impersonating == (
        ("Impersonate-User", "viewer"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-why%2Fs", "x"),
        ("Impersonate-Extra-why%2Fs", "y"),
    )
    nobody = write(tmp_path / "nobody", config(current="east", user={"token": "t", "as-groups": ["a"]}))
    with pytest.raises(ConfigurationError, match="without a user"):
        found(tmp_path, kubeconfig=str(nobody))
