"""What a choice comes to before any adapter is made: a simulation's settings in place of a cluster's, the drills' categories."""

from __future__ import annotations

from dataclasses import replace

from fleet.drill import category_of
from tui.choice import Choice
from tui.drill_file import load_drill, packaged
from tui.settings import BadSettings, PrometheusSettings, Settings
from tui.simulation_child import SimulationChild


def for_simulation(settings: Settings, child: SimulationChild) -> Settings:
    """The settings with the child's addresses in place of any cluster, and our own wishes for its categories."""
    kubernetes = replace(settings.kubernetes, kubeconfig=child.kubeconfig, contexts=())
    settings = replace(settings, slurm=replace(settings.slurm, use=False))
    return replace(
        settings, kubernetes=kubernetes, prometheus=PrometheusSettings(), dcgm_url=child.metrics_url
    )


def with_drills(settings: Settings, choice: Choice) -> Settings:
    """The settings with the categories that drills make their nodes in, where the site has none of that name.

    A drill's node on a cluster is a KWOK node: no exporter ever tells of it, whatever source the site has for its machines.
    """
    telemetry = choice.demo is not None
    walks = [load_drill(name) for name in packaged()] + ([choice.drill] if choice.drill else [])
    ours = {drill.category: category_of(drill, telemetry=telemetry) for drill in walks}
    policy = replace(settings.policy, categories={**ours, **settings.policy.categories})
    return replace(settings, policy=policy)


def slurm_alone(settings: Settings) -> bool:
    """Whether Slurm was asked for and no Kubernetes named beside it: the current context is then not part of the fleet."""
    return settings.slurm.use and not (settings.kubernetes.contexts or settings.kubernetes.kubeconfig)


def password_of(asked: PrometheusSettings) -> str:
    """What Prometheus's password file holds; empty where none is named. Raises BadSettings."""
    if asked.password_file is None:
        return ""
    try:
        return asked.password_file.read_text().strip()
    except OSError as error:
        raise BadSettings(asked.password_file, "", f"the password can't be read: {error}") from error


def notice(choice: Choice) -> str:
    """What is said once at a start: that nobody asked for the simulated fleet, or for the theme."""
    unasked = "no cluster is configured: this is a simulated fleet; name one with --context or --kubeconfig"
    return "; ".join(says for says in (unasked if choice.unasked else "", choice.look) if says)
