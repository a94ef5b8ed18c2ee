"""What holds for every test: a home of its own, a clean environment, no network past loopback."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from tests import network

FOREIGN_VARIABLES = (
    *("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "SLURM_CONF", "PROMETHEUS_URL"),
    *("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "COLORTERM", "COLUMNS", "LINES", "TMUX", "SSH_TTY"),
    *("EDITOR", "VISUAL", "LC_ALL"),
    *(
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
    ),
)
"""What a developer's shell may hold and the program, or a library under it, would read."""

settings.register_profile("ci", derandomize=True, deadline=None, database=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "desk")


@dataclass(frozen=True, slots=True)
class Cluster:
    """The real cluster that `--cluster` names, for the contract suite."""

    kubeconfig: Path
    context: str | None


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("quarterdeck")
    group.addoption("--cluster", metavar="KUBECONFIG", help="run the contract suite on this cluster too")
    group.addoption(
        "--cluster-context", metavar="NAME", help="which context of --cluster; default its current one"
    )


def pytest_configure(config: pytest.Config) -> None:
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    for name in (
        *FOREIGN_VARIABLES,
        *(name for name in os.environ if name.startswith(("QUARTERDECK_", "TEXTUAL"))),
    ):
        patch.delenv(name, raising=False)
    patch.setenv("TERM", "xterm-256color")
    patch.setenv("LANG", "C.UTF-8")
    patch.setenv("TZ", "UTC")
    time.tzset()
    kubeconfig = config.getoption("--cluster")
    if not kubeconfig:
        network.stay_inside(patch)
    elif not Path(kubeconfig).expanduser().is_file():
        raise pytest.UsageError(f"--cluster: no such kubeconfig: {kubeconfig}")


@pytest.fixture(autouse=True)
def home(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A home and XDG folders that only this test has. On a real cluster HOME stays: exec plugins log in from it."""
    folder = tmp_path_factory.mktemp("home")
    if not request.config.getoption("--cluster"):
        monkeypatch.setenv("HOME", str(folder))
    for kind in ("CONFIG", "STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(folder / kind.lower()))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return folder


@pytest.fixture(autouse=True)
def stays_on_loopback() -> Iterator[None]:
    """Fail a test that reached outside, whatever the code under test made of the refusal."""
    network.reached.clear()
    yield
    outside = list(network.reached)
    network.reached.clear()
    assert outside == [], f"reached past loopback: {outside}"


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """The real cluster to test on; without `--cluster` the test skips."""
    kubeconfig = request.config.getoption("--cluster")
    if not kubeconfig:
        pytest.skip("no --cluster given (make test-cluster KUBECONFIG=file)")
    return Cluster(Path(kubeconfig).expanduser().resolve(), request.config.getoption("--cluster-context"))
