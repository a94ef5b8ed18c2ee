"""Versions of each node's GPUs from the labels that dcgm-exporter puts beside every sample: driver, and where it is asked to, more.

One row for each way that a node's GPUs answer, asked for when somebody looks at drift and not with every reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from backends.prometheus.answers import Row
from backends.prometheus.queries import Shape, quoted
from fleet.drift import Versions
from fleet.text import clean

DRIVER, CUDA, VBIOS = "DCGM_FI_DRIVER_VERSION", "DCGM_FI_CUDA_DRIVER_VERSION", "DCGM_FI_DEV_VBIOS_VERSION"
_LONGEST = 60


def query(shape: Shape, matchers: Mapping[str, str]) -> str:
    """How many GPUs of each node say so, for every combination of versions."""
    inside = "".join(f",{name}={quoted(value)}" for name, value in matchers.items())
    names = "|".join(shape.presence)
    by = ",".join((*shape.labels, DRIVER, CUDA, VBIOS))
    return f'count by ({by}) ({{__name__=~"{names}"{inside}}})'


def versions_of(rows: Iterable[Row], host_of: Callable[[Mapping[str, str]], str]) -> Mapping[str, Versions]:
    """Versions by host; several of one host are joined, for that they differ is what is looked for."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        host = host_of(row.metric)
        if host:
            found.setdefault(host, []).append(row.metric)
    return {host: _versions(labels) for host, labels in found.items()}


def _versions(labels: Sequence[Mapping[str, str]]) -> Versions:
    def said(name: str, spell: Callable[[str], str] = str) -> str:
        values = {spell(clean(each[name], _LONGEST)) for each in labels if each.get(name)}
        return " + ".join(sorted(values))

    return Versions(driver=said(DRIVER), cuda=said(CUDA, _cuda), vbios=said(VBIOS))


def _cuda(text: str) -> str:
    """DCGM's number for a CUDA version as people write it: 12040 is 12.4."""
    if not text.isascii() or not text.isdecimal() or len(text) > 6:
        return text
    number = int(text)
    return f"{number // 1000}.{number % 1000 // 10}" if number >= 1000 else text
