"""The PromQL we ask: sums by node for the fleet, raw series for the few nodes on screen.

Every selector keeps only what a metric can be (`fleet.sentinels`), inside the query: one blank of 9.2e18 would carry an
average away. A GPU scraped twice, or shown once a MIG instance, counts once where that matters (number, power).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fleet import sentinels
from fleet.gpu_rows import HOLDER_LABELS, METRICS
from fleet.idle import IDLE_AFTER, IDLE_BELOW
from fleet.joining import CANDIDATES

XID = "quarterdeck_xid"
"""The label under which `count_values` hands out the XIDs of a node."""

IDLE = "idle_held"
"""The question that goes over minutes of every GPU, and so is asked apart from the others."""

PRESENCE = (sentinels.FB_USED, sentinels.GPU_UTIL)
"""Metrics by which a GPU counts as reporting: every exporter's list has at least one, MIG has only the first."""

GPU_LABELS = ("gpu", "UUID", "uuid")
_INSTANCE_LABELS = (*GPU_LABELS, "GPU_I_ID")
_META = re.compile(r"([\\.+*?()|\[\]{}^$])")


@dataclass(frozen=True, slots=True)
class Shape:
    """How this Prometheus' series look: the labels that name a node, and the presence metrics needed to see every GPU."""

    labels: tuple[str, ...]
    presence: tuple[str, ...] = PRESENCE


def quoted(text: str) -> str:
    """A PromQL string of any text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def one_of(hosts: Collection[str]) -> str:
    """A regular expression (RE2, anchored by Prometheus) for these hosts in any case, with or without a port."""
    alternatives = "|".join(_META.sub(r"\\\1", host) for host in sorted(hosts))
    return rf"(?i)\[?(?:{alternatives})\]?(?::[0-9]+)?"


def exactly(values: Collection[str]) -> str:
    """A regular expression (RE2, anchored by Prometheus) for these very values."""
    return "|".join(_META.sub(r"\\\1", value) for value in sorted(values))


def selector(metric: str, matchers: Mapping[str, str]) -> str:
    inside = ",".join(f"{name}={quoted(value)}" for name, value in matchers.items())
    return f"{metric}{{{inside}}}"


def on_hosts(
    metric: str, shape: Shape, hosts: Collection[str], matchers: Mapping[str, str], more: str = ""
) -> Sequence[str]:
    """What can be so of a metric on these hosts, by each label that may name them. `more` matchers each begin with a comma."""
    low, high = sentinels.PLAUSIBLE[metric]
    return [
        f"{at_hosts(metric, label, hosts, matchers, more)} >= {low:g} <= {high:.15g}"
        for label in shape.labels
    ]


def at_hosts(
    metric: str, label: str, hosts: Collection[str], matchers: Mapping[str, str], more: str = ""
) -> str:
    """A metric on the hosts that this label names."""
    others = "".join(f",{name}={quoted(value)}" for name, value in matchers.items())
    return f"{metric}{{{label}=~{quoted(one_of(hosts))}{others}{more}}}"


def shapes(matchers: Mapping[str, str]) -> str:
    """Which labels the series have: one row for each way that a node is named, by presence metric."""
    return f"count by (__name__,{','.join(CANDIDATES)}) ({_any(PRESENCE, _inside(matchers))})"


def by_node(shape: Shape, matchers: Mapping[str, str]) -> Mapping[str, str]:
    """The queries of one reading of the fleet, by the field of NodeTelemetry that each fills; `at` as seconds since 1970."""
    by = ",".join(shape.labels)
    gpu = ",".join((*shape.labels, *GPU_LABELS))
    seen = {metric: _plausible(metric, matchers) for metric in sentinels.PLAUSIBLE}
    util, used = seen[sentinels.GPU_UTIL], f"avg by ({by}) ({seen[sentinels.FB_USED]})"
    free, reserved = seen[sentinels.FB_FREE], seen[sentinels.FB_RESERVED]
    present = f"{_any(shape.presence, _inside(matchers))} >= 0 < {sentinels.INT32_BLANK}"
    return {
        "at": _oldest(shape, by, _inside(matchers)),
        "gpus_seen": _counted(shape, by, present),
        "gpu_util": f"avg by ({by}) ({util})",
        "gpu_util_min": f"min by ({by}) ({util})",
        "gpu_util_max": f"max by ({by}) ({util})",
        "gpu_temp_max": f"max by ({by}) ({seen[sentinels.GPU_TEMP]})",
        "temp_margin_min": _margin(seen, by, gpu),
        "fb_used_ratio": f"{used} / ({used} + avg by ({by}) ({free}) + (avg by ({by}) ({reserved}) or {used} * 0))",
        "power_watts": f"sum by ({by}) (max by ({gpu}) ({seen[sentinels.POWER_USAGE]}))",
        "xid": f"count_values by ({by}) ({quoted(XID)}, {seen[sentinels.XID_ERRORS]})",
        "row_remap_failure": f"max by ({by}) ({seen[sentinels.ROW_REMAP_FAILURE]})",
        "remap_pending": f"max by ({by}) ({seen[sentinels.ROW_REMAP_PENDING]})",
        "remapped_rows": f"max by ({by}) ({seen[sentinels.REMAPPED_UNCORRECTABLE]})",
        "ecc_dbe": f"max by ({by}) ({seen[sentinels.ECC_DBE_VOLATILE]})",
        "slowed": f"max by ({by}) ({_slowed(seen[sentinels.CLOCK_REASONS])})",
        "recovery_action": f"max by ({by}) ({seen[sentinels.RECOVERY_ACTION]})",
        IDLE: _idle(by, gpu, matchers),
    }


def firing(matchers: Mapping[str, str]) -> str:
    """Alerts that fire, each with when it began (seconds since 1970), or 1 where nobody keeps that."""
    firing = selector("ALERTS", {**matchers, "alertstate": "firing"})
    since = selector("ALERTS_FOR_STATE", matchers)
    return f"({since} and ignoring (alertstate) {firing}) or ignoring (alertstate) {firing}"


def of_hosts(shape: Shape, hosts: Sequence[str], matchers: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """For each label that names nodes: the raw series of these hosts, and when each GPU's were sampled."""
    asked = []
    for label in shape.labels:
        inside = f"{label}=~{quoted(one_of(hosts))},{_inside(matchers)}".rstrip(",")
        by = ",".join((*shape.labels, *_INSTANCE_LABELS))
        asked.append((_any(sorted(METRICS), inside), _oldest(shape, by, inside)))
    return asked


def _inside(matchers: Mapping[str, str]) -> str:
    return ",".join(f"{name}={quoted(value)}" for name, value in matchers.items())


def _any(metrics: Collection[str], inside: str) -> str:
    names = f'__name__=~"{"|".join(metrics)}"'
    return f"{{{names},{inside}}}" if inside else f"{{{names}}}"


def _counted(shape: Shape, by: str, present: str) -> str:
    """How many GPUs there are: as many as have a number or a UUID of their own, whichever are more.

    GPUs that got other numbers in a reboot are not twice as many while what told of them before still stands, nor are those fewer
    that an exporter calls alike, or two exporters number from 0.
    """
    each = {"number": GPU_LABELS[:1], "uuid": GPU_LABELS[1:]}
    ways = [
        f"label_replace(count by ({by}) (group by ({','.join((*shape.labels, *labels))}) ({present})), "
        f'"quarterdeck_by", "{way}", "", "")'
        for way, labels in each.items()
    ]
    return f"max by ({by}) ({' or '.join(ways)})"


def _plausible(metric: str, matchers: Mapping[str, str]) -> str:
    low, high = sentinels.PLAUSIBLE[metric]
    return f"{selector(metric, matchers)} >= {low:g} <= {high:.15g}"


def _margin(seen: Mapping[str, str], by: str, gpu: str) -> str:
    """The margin as it is exported; where only the threshold is, what is left to it."""
    left = f"min by ({gpu}) ({seen[sentinels.TEMP_SLOWDOWN]}) - max by ({gpu}) ({seen[sentinels.GPU_TEMP]})"
    return f"min by ({by}) ({seen[sentinels.TEMP_MARGIN]}) or min by ({by}) ({left})"


def _slowed(reasons: str) -> str:
    """1 where any bit of `fleet.clock_reasons.SLOWED` (0x8, 0x20, 0x40, 0x80) is set: PromQL has no bits, so it divides."""
    return f"((floor(({reasons}) / 8) % 2) + (floor(({reasons}) / 32) % 8)) > bool 0"


def _idle(by: str, gpu: str, matchers: Mapping[str, str]) -> str:
    """GPUs whose series has named the same holder all the while and was never above idle; 0 where GPUs are held and busy.

    A blank among its values is a high one, so that such a GPU counts as busy.
    """
    who = f"{by},{','.join(HOLDER_LABELS)}"
    span = f"{IDLE_AFTER.total_seconds():.0f}s"
    inside = _inside(matchers)
    of_one = [
        f"{sentinels.GPU_UTIL}{{{inside}{',' if inside else ''}{held}}}"
        for held in (
            'exported_pod!=""',
            'exported_pod="",pod!="",pod!~".*dcgm-exporter.*"',
            'pod_name!=""',
            'hpc_job!=""',
        )
    ]
    idle = " or ".join(
        f"(max_over_time({held}[{span}]) < {IDLE_BELOW:g} and {held} and {held} offset {span})"
        for held in of_one
    )
    busy = " or ".join(of_one)
    return (
        f"count by ({who}) (group by ({gpu},{','.join(HOLDER_LABELS)}) ({idle})) "
        f"or 0 * count by ({by}) ({busy})"
    )


def _oldest(shape: Shape, by: str, inside: str) -> str:
    """When the oldest sample was taken: a node is as fresh as its most silent GPU."""
    return " or ".join(f"min by ({by}) (timestamp({metric}{{{inside}}}))" for metric in shape.presence)
