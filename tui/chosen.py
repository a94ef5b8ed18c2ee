"""What a choice comes to before any adapter is made: a simulation's settings in place of a cluster's, the drills' categories."""

from __future__ import annotations

from dataclasses import replace

from fleet.active_checks import runs_checks
from fleet.category import CheckPolicy, OnNode
from fleet.diagnosis import DCGM_DIAG
from fleet.drill import category_of
from fleet.policy import Policy
from tui.choice import Choice
from tui.drill_file import load_drill, packaged
from tui.settings import BadSettings, PrometheusSettings, Settings
from tui.simulation_child import SimulationChild

CHECKED = "l40s"
"""The category of the embedded fleet whose closed nodes run an active check, so that one can be seen: it has a new node."""

_SHOWN = OnNode(level=1, image="images.example/dcgm:4.2.3")


def for_simulation(settings: Settings, child: SimulationChild) -> Settings:
    """The settings with the child's addresses in place of any cluster, and a check to be seen where they ask for none."""
    kubernetes = replace(settings.kubernetes, kubeconfig=child.kubeconfig, contexts=())
    settings = replace(settings, slurm=replace(settings.slurm, use=False))
    return replace(
        settings,
        kubernetes=kubernetes,
        prometheus=PrometheusSettings(),
        dcgm_url=child.metrics_url,
        policy=with_a_check(settings.policy),
    )


def with_a_check(policy: Policy) -> Policy:
    """The policy with one active check on the embedded fleet, unless it has its own, or its own word on that category.

    Level 1 takes ten simulated seconds; no other category waits for it.
    """
    if runs_checks(policy) or CHECKED in policy.categories:
        return policy
    plain = policy.category(CHECKED)
    checked = replace(plain, checks={**plain.checks, DCGM_DIAG: CheckPolicy(on_node=_SHOWN)})
    return replace(policy, categories={**policy.categories, CHECKED: checked})


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
