"""Verbs on many nodes at once: cordon beside kubectl's, and the long ones beside what one node needs alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime
from time import perf_counter
from typing import Any

from benchmarks.figures import Figure, Size, timed
from benchmarks.fleets import Fleet, own_folders, served
from benchmarks.terminal import environment, python

_SPEED = 20.0
"""Of simulated time: a grace period of 30 s is 1.5 s, a boot some seconds."""
_SAMPLE = 20
_ALONE = 3
_MOVING = ("--force", "--delete-emptydir-data", "--timeout", "5m")
"""A deadline above the longest grace of any simulated pod, which blocks a plan otherwise."""
_WITHIN = 600
"""Seconds for any one command: above the drain's own deadline."""
_LONG = (("gate", ()),)
_LONGEST = (("drain", _MOVING), ("reimage", _MOVING))
"""Only where time is given: their pods wait for a place elsewhere, or for the deadline."""
_CATEGORIES = ("h100", "a100", "l40s")


def verbs(size: Size) -> Iterator[Figure]:
    """Cordon 1,000 nodes against kubectl node by node; drain, reimage and gate 200 at once against the slowest one alone."""
    with served(5 * size.few) as fleet:
        _allow_all_at_once(fleet)
        yield from _cordoned(fleet, size.few)
    many = size.few // 5
    for verb, flags in (*_LONG, *(_LONGEST if size.wide else ())):
        with served(20 * many, speed=_SPEED) as fleet:
            _allow_all_at_once(fleet)
            yield _beside_one(fleet, verb, flags, many)


def _cordoned(fleet: Fleet, nodes: int) -> Iterator[Figure]:
    names = _serving(fleet)
    ours, sampled = names[:nodes], names[nodes : nodes + _SAMPLE]
    began = perf_counter()
    ran = _run(fleet, "cordon", ours)
    whole, alone = perf_counter() - began, _seconds(ran)
    peer = None
    if shutil.which("kubectl"):
        peer = timed(lambda: _kubectl_cordons(fleet, sampled)) / len(sampled) * len(ours)
    scaled = f"peer: kubectl cordon of {_SAMPLE} nodes one by one, scaled to {len(ours):,}"
    yield Figure(f"cordon {len(ours):,} nodes, the operation", alone, "s", 1, peer=peer, note=scaled)
    yield Figure(
        f"cordon {len(ours):,} nodes, plan and run from the shell", whole, "s", 1, peer=peer, note=scaled
    )


def _beside_one(fleet: Fleet, verb: str, flags: Sequence[str], many: int) -> Figure:
    names = _free(fleet, verb, _passing(fleet, _serving(fleet)[: 2 * many]), flags)
    alone = [_seconds(_run(fleet, verb, [name], *flags)) for name in names[:_ALONE]]
    together = _run(fleet, verb, names[_ALONE : _ALONE + many], *flags)
    ended = f"ended {together['state']}; floor: the slowest of {_ALONE} alone; simulated time x {_SPEED:g}"
    return Figure(f"{verb} {many} nodes at once", _seconds(together), "s", 1, floor=max(alone), note=ended)


def _allow_all_at_once(fleet: Fleet) -> None:
    """Brakes are for fleets that serve: here they would be what is measured."""
    tables = "".join(f'[category.{name}]\nmax_unavailable = "100%"\n' for name in _CATEGORIES)
    (fleet.folder / "config.toml").write_text(f"max_parallel = 1000\n{tables}")


def _serving(fleet: Fleet) -> list[str]:
    """The nodes in service and open, so that each verb has something to do."""
    rows = json.loads(_quarterdeck(fleet, "nodes", "--json"))
    return [row["name"] for row in rows if row["stage"] == "in-service" and row["admission"] == "open"]


def _passing(fleet: Fleet, names: Sequence[str]) -> list[str]:
    """The names of nodes that would pass a gate now: one with a planted fault is waited for until its settle deadline."""
    checked = json.loads(_quarterdeck(fleet, "gate", *names, "--check", "--json"))
    return [name for name in names if checked["verdicts"].get(name, {}).get("verdict") in ("PASS", "WARN")]


def _free(fleet: Fleet, verb: str, names: Sequence[str], flags: Sequence[str]) -> list[str]:
    """The names without those that something blocks: one that is unreachable would keep all the others from running."""
    blocked = {blocker["node"] for blocker in _plan(fleet, verb, names, flags)["blockers"]}
    return [name for name in names if name not in blocked]


def _run(fleet: Fleet, verb: str, names: Sequence[str], *flags: str) -> dict[str, Any]:
    plan = _plan(fleet, verb, names, flags)
    if plan["blockers"]:  # work has landed since
        names = _free(fleet, verb, names, flags)
        plan = _plan(fleet, verb, names, flags)
    confirmed = ("--yes", "--plan", plan["hash"], "--reason", "benchmark", "--json")
    ran: dict[str, Any] = json.loads(_quarterdeck(fleet, "run", verb, *names, *flags, *confirmed))
    return ran


def _plan(fleet: Fleet, verb: str, names: Sequence[str], flags: Sequence[str]) -> dict[str, Any]:
    planned: dict[str, Any] = json.loads(_quarterdeck(fleet, "plan", verb, *names, *flags, "--json"))
    return planned


def _seconds(ran: dict[str, Any]) -> float:
    span = datetime.fromisoformat(ran["ended"]) - datetime.fromisoformat(ran["started"])
    return span.total_seconds()


def _quarterdeck(fleet: Fleet, *arguments: str) -> str:
    exporters = f"{fleet.metrics}/{{node}}"  # each node's own, as a site has them: one page of all is 60 MB of 1,200 nodes
    flags = ("--kubeconfig", str(fleet.kubeconfig), "--dcgm", exporters)
    config = ("--config", str(fleet.folder / "config.toml"))
    done = subprocess.run(
        python("-m", "tui.cli", *flags, *config, *arguments),
        env=environment(own_folders(fleet.folder)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_WITHIN,
        check=False,
    )
    if not done.stdout.strip():
        raise RuntimeError(f"quarterdeck {arguments[0]} said nothing: {done.stderr[-2000:]}")
    return done.stdout


def _kubectl_cordons(fleet: Fleet, names: Sequence[str]) -> None:
    for name in names:
        command = ["kubectl", "--kubeconfig", str(fleet.kubeconfig), "cordon", name]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
