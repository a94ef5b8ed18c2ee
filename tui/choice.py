"""Which fleet was asked for: the settings with the flags over them, or the demo where nothing names a cluster."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

from tui.settings import KubernetesSettings, PrometheusSettings, Settings, environment_names_a_cluster


@dataclass(frozen=True, slots=True)
class DemoChoice:
    """A simulated fleet of our own: how many nodes, from which seed, how fast its time runs."""

    nodes: int = 60
    seed: int = 1
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What to look at. `demo` is a simulated fleet of our own; `unasked` says that nobody asked for it."""

    settings: Settings
    demo: DemoChoice | None = None
    unasked: bool = False


def choose(asked: argparse.Namespace, settings: Settings) -> Choice:
    """The flags win over the settings file, and that over the environment. Nothing at all is the demo."""
    flagged = _flagged(asked, settings)
    if asked.command == "demo":
        return Choice(flagged, DemoChoice(asked.nodes, asked.seed, asked.speed))
    named = bool(asked.kubeconfig or asked.context) or settings.names_a_source
    if named or environment_names_a_cluster():
        return Choice(flagged)
    return Choice(flagged, DemoChoice(), unasked=True)


def _flagged(asked: argparse.Namespace, settings: Settings) -> Settings:
    kubernetes = KubernetesSettings(
        kubeconfig=asked.kubeconfig or settings.kubernetes.kubeconfig,
        contexts=tuple(asked.context or settings.kubernetes.contexts),
        category_labels=settings.kubernetes.category_labels,
        image_labels=settings.kubernetes.image_labels,
    )
    prometheus = settings.prometheus
    if asked.prometheus:
        prometheus = (
            PrometheusSettings(url=asked.prometheus)
            if asked.prometheus != prometheus.url
            else prometheus
        )
    return replace(
        settings,
        kubernetes=kubernetes,
        prometheus=prometheus,
        dcgm_url=asked.dcgm or settings.dcgm_url,
        theme=asked.theme or settings.theme,
        policy=replace(settings.policy, read_only=settings.policy.read_only or asked.read_only),
    )
