"""A simulated fleet served by the real command in a child process, and the commands run against it as an operator would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Served:
    """Where the fleet is, and the shortest way to run a command on it."""

    kubernetes: str
    metrics: str
    kubeconfig: str

    def run(self, *arguments: str, stdin: str = "", **environment: str) -> Said:
        """One `quarterdeck` command with this fleet's flags, without a terminal."""
        flags = ("--kubeconfig", self.kubeconfig, "--dcgm", self.metrics)
        return quarterdeck(*flags, *arguments, stdin=stdin, **environment)

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints; it must end well."""
        done = subprocess.run(
            ["kubectl", "--kubeconfig", self.kubeconfig, *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    def node(self, name: str) -> Any:
        """The Node object, asked of the API itself; None where it is gone."""
        return self.get(f"/api/v1/nodes/{name}")

    def get(self, path: str) -> Any:
        request = urllib.request.Request(self.kubernetes + path)  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """A control request: faults and time."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            self.kubernetes + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
            return json.load(answer)


def quarterdeck(*arguments: str, stdin: str = "", **environment: str) -> Said:
    """One command of the program, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tui.cli", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    return Said(done.returncode, done.stdout, done.stderr)


@contextmanager
def serve(folder: Path, *flags: str) -> Iterator[Served]:
    """A fleet until the block ends: its process ends when its stdin closes."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tui.cli",
            "sim",
            "--kubeconfig",
            str(folder / "kubeconfig"),
            "--until-stdin-closes",
            *flags,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        yield Served(said["kubernetes"], said["metrics"], said["kubeconfig"])
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()
