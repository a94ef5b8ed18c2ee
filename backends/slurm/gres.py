"""Counts GPUs in Slurm's resource texts: GRES with types, sockets, indices and MIG slices, and TRES.

Forms seen from 17.11 to 26.05: `gpu:4`, `gpu:a100:8(S:0-1)`, `gpu:V100:3(IDX:0-1,3)`, `gpu:1080:7`, `gpu:a:2,gpu:b:2`,
`gpu:nvidia_a100_1g.5gb:21`, `mps:400`, `bandwidth:lustre:no_consume:4G`, `gres/gpu:h100=8`, `(null)`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_ABSENT = frozenset({"", "(null)", "N/A", "n/a", "none"})
_NOTES = re.compile(r"\([^()]*\)")
_SLICE = re.compile(r"\d+g\.\d+gb", re.IGNORECASE)
_COUNT = re.compile(r"(\d{1,9})([KkMm]?)\Z")
_SHORT = re.compile(
    r"gres/gpu count reported lower than configured \((\d{1,4}) < (\d{1,4})\)"
)  # slurmctld's own words


@dataclass(frozen=True, slots=True)
class Gpus:
    """Whole GPUs, MIG slices, and the types named, in the order they stand."""

    whole: int = 0
    slices: int = 0
    types: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def gpus_in(text: str) -> Gpus:
    """The GPUs of a GRES text (Gres=, GresUsed=, what a job asks for a node). What is no GPU counts nothing."""
    if text in _ABSENT:
        return Gpus()
    whole = slices = 0
    types: list[str] = []
    for item in _NOTES.sub("", text).split(","):
        name, kind, count = _item(item)
        if name != "gpu":
            continue
        if _SLICE.search(kind):
            slices += count
        else:
            whole += count
        if kind and kind not in types:
            types.append(kind)
    return Gpus(whole, slices, tuple(types))


def asks_for_gpus(text: str) -> bool:
    """Whether a job's request per node says anything at all; Slurm prints N/A where GPUs were asked for the whole job."""
    return text not in _ABSENT


def gpus_in_tres(text: str) -> int | None:
    """The GPUs of a TRES text (`cpu=64,mem=1T,gres/gpu=8`); None where it counts none, which says nothing."""
    for item in text.split(","):
        name, _, count = item.partition("=")
        if name == "gres/gpu" and count.isascii() and count.isdigit() and len(count) <= 9:
            return int(count)
    return None


def fewer_than_configured(reason: str) -> int | None:
    """How many GPUs slurmd found, where the controller's Reason says that these are too few."""
    found = _SHORT.search(reason[:400])
    return int(found[1]) if found else None


def _item(item: str) -> tuple[str, str, int]:
    """Name, type and count of one item: `gpu`, `gpu:8`, `gpu:h100`, `gpu:h100:8`, `gres:gpu:2`, `gres/gpu:h100:2`."""
    parts = item.strip().removeprefix("gres/").removeprefix("gres:").replace("=", ":").split(":")
    name, rest = parts[0], parts[1:]
    found = _COUNT.match(rest[-1]) if rest else None
    if found is None:
        return name, ":".join(rest), 1
    scale = {"": 1, "k": 1024, "m": 1024 * 1024}[found[2].lower()]
    return name, ":".join(rest[:-1]), int(found[1]) * scale
