"""Active checks: something run on a closed node, what came of it, and the finding that it leads to.

Here are the values alone. A `fleet.ports.CommandRunner` runs the command, a `CheckRunner` reads what it printed.
"""

from __future__ import annotations

import hashlib
import json
import re
import textwrap
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleet.health import Finding, Verdict
from fleet.text import clean

DCGM_DIAG = "dcgm-diag"
NCCL = "nccl-allreduce"
SITE = "site."
"""How the name of a check begins that is a site's own command."""

OUTPUT_LIMIT = 1024 * 1024
"""Bytes of output that are read; a diagnostic of eight GPUs prints a tenth of that."""

_TAIL_LINES = 8
_LINE = 200
_SAYS = re.compile(r"\w")


@dataclass(frozen=True, slots=True)
class Diagnose:
    """Run one active check on a closed node: a step. It is done whatever it found; the `Check` after it decides.

    `command` is an argument list, never a shell's text. `gpus` are all that the node has, and the run takes all of them;
    `model` is their product, where it is known. `limit` is the category's threshold. `deadline` bounds the run, and `starts_in`
    how long it may wait for the node. `image` is what a Kubernetes Job runs it in; Slurm runs what is installed on the node.
    """

    check: str
    operation: str
    by: str
    command: tuple[str, ...]
    image: str = ""
    gpus: int = 0
    model: str = ""
    limit: float | None = None
    deadline: timedelta = timedelta(minutes=10)
    starts_in: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a command on a node. `why` says why it was not run to its end, or why that can't be told: then it is UNKNOWN.

    `exit_code` None is not known; `cut` says that not all of its output could be read.
    """

    output: str = ""
    exit_code: int | None = None
    at: datetime | None = None
    where: str = ""  # the Job or the Slurm job that ran it
    cut: bool = False
    why: str = ""
    clears: str = ""

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits of the output; empty where there is none."""
        data = self.output.encode(errors="replace")
        return hashlib.sha256(data).hexdigest()[:12] if data else ""

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines of the output, cleaned and bounded; those of brackets and rules alone, which say nothing, are left out."""
        end = self.output[-_TAIL_LINES * 4 * _LINE :].expandtabs(2)
        lines = [line for line in end.splitlines() if _SAYS.search(line)]
        last = textwrap.dedent("\n".join(lines[-_TAIL_LINES:])).splitlines()
        return tuple(clean(line, _LINE) for line in last)


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """What an active check came to, as the journal keeps it: its finding, what it printed last, and on which boot."""

    finding: Finding
    boot_id: str = ""
    tail: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True, slots=True)
class CheckSite:
    """Where a cluster runs active checks. `priority_class` is one that preempts nobody; empty is the cluster's default."""

    namespace: str = "quarterdeck-checks"
    priority_class: str = ""


def unknown(
    check: str, value: str, *, source: str = "", clears: str = "", at: datetime | None = None
) -> Finding:
    """The finding of an active check that was not run, or whose result can't be told."""
    return Finding(check, Verdict.UNKNOWN, clean(value, _LINE), "", source, at, clears or "gating it again")


def as_evidence(diagnosed: Diagnosed) -> str:
    """A diagnosis as one line of JSON, for the journal."""
    finding = diagnosed.finding
    told = {
        "check": finding.check,
        "verdict": finding.verdict.value,
        "value": finding.value,
        "threshold": finding.threshold,
        "source": finding.source,
        "at": finding.at.isoformat() if finding.at is not None else None,
        "clears": finding.clears,
        "boot": diagnosed.boot_id,
        "digest": diagnosed.digest,
        "tail": list(diagnosed.tail),
    }
    return json.dumps(told, separators=(",", ":"))


def from_evidence(text: str) -> Diagnosed | None:
    """The diagnosis that `as_evidence` told; None where it can't be read, which is not a diagnosis that passed."""
    try:
        told = json.loads(text)
        at = told["at"]
        finding = Finding(
            str(told["check"]),
            Verdict(told["verdict"]),
            str(told["value"]),
            str(told["threshold"]),
            str(told["source"]),
            datetime.fromisoformat(at) if at else None,
            str(told["clears"]),
        )
        tail = tuple(str(line) for line in told["tail"])
        return Diagnosed(finding, str(told["boot"]), tail, str(told["digest"]))
    except (ValueError, TypeError, KeyError):
        return None
