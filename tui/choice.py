"""Which fleet was asked for: the settings with the flags over them, or the demo where nothing names a cluster."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tui.settings import (
    BadSettings,
    PrometheusSettings,
    Settings,
    environment_names_a_cluster,
)

if TYPE_CHECKING:
    from fleet.drill import Drill


@dataclass(frozen=True, slots=True)
class DemoChoice:
    """A simulated fleet of our own: how many nodes, from which seed, how fast its time runs."""

    nodes: int = 60
    seed: int = 1
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What to look at. `demo` is a simulated fleet of our own; `unasked` says that nobody asked for it; `drill` is walked there.

    `look` says why the dashboard begins in a theme that nobody chose.
    """

    settings: Settings
    demo: DemoChoice | None = None
    unasked: bool = False
    drill: Drill | None = None
    look: str = ""


def choose(asked: argparse.Namespace, settings: Settings) -> Choice:
    """The flags win over the settings file, and that over the environment. Nothing at all is the demo."""
    flagged = _flagged(asked, settings)
    if asked.nvml:
        _refuse_beside_nvml(asked)
        return Choice(flagged)
    if asked.command == "demo":
        return Choice(flagged, DemoChoice(asked.nodes, asked.seed, asked.speed))
    named = bool(asked.kubeconfig or asked.context or asked.slurm) or settings.names_a_source
    if asked.command == "drill":
        from tui.drill_file import load_drill

        drill = load_drill(asked.name)
        demo = DemoChoice(asked.nodes, asked.seed, asked.speed or _drill_speed(asked))
        return Choice(flagged, None if named or environment_names_a_cluster() else demo, drill=drill)
    if named or environment_names_a_cluster():
        return Choice(flagged)
    return Choice(flagged, DemoChoice(), unasked=True)


def _drill_speed(asked: argparse.Namespace) -> float:
    """How fast the embedded fleet runs: a boot of seconds for somebody who watches, and as fast as it goes for nobody."""
    return 100.0 if asked.auto else 20.0


def _contexts(asked: argparse.Namespace, settings: Settings) -> tuple[str, ...]:
    """Those named, each once. The file's are not looked for in another kubeconfig than its own."""
    if asked.context:
        return tuple(dict.fromkeys(asked.context))
    return () if asked.kubeconfig else tuple(dict.fromkeys(settings.kubernetes.contexts))


def _refuse_beside_nvml(asked: argparse.Namespace) -> None:
    """`--nvml` is this host alone: another fleet beside it, or a command that needs one, is a contradiction."""
    if asked.command in ("demo", "drill", "provision"):
        raise BadSettings("--nvml", "", f"is this host alone: {asked.command} can't be done there")
    for flag in ("kubeconfig", "context", "slurm", "prometheus", "dcgm"):
        if getattr(asked, flag):
            raise BadSettings("--nvml", "", f"is this host alone: leave out --{flag}")


def _flagged(asked: argparse.Namespace, settings: Settings) -> Settings:
    kubernetes = replace(
        settings.kubernetes,
        kubeconfig=asked.kubeconfig or settings.kubernetes.kubeconfig,
        contexts=_contexts(asked, settings),
    )
    prometheus = settings.prometheus
    if asked.prometheus:
        prometheus = (
            PrometheusSettings(url=asked.prometheus) if asked.prometheus != prometheus.url else prometheus
        )
    return replace(
        settings,
        kubernetes=kubernetes,
        slurm=replace(settings.slurm, use=settings.slurm.use or asked.slurm),
        prometheus=prometheus,
        dcgm_url=asked.dcgm or settings.dcgm_url,
        nvml=asked.nvml,
        theme=asked.theme or settings.theme,
        policy=replace(settings.policy, read_only=settings.policy.read_only or asked.read_only),
    )
