"""Where nodes stand, from `scontrol show topology`: the leaf switch, or the block, is the failure domain."""

from __future__ import annotations

import re
from collections.abc import Mapping

from backends.slurm.commands import SlurmCommands
from backends.slurm.controller import ControllerConfig
from backends.slurm.hostlists import expand
from fleet.errors import FleetError, Unreachable
from fleet.node import Topology
from fleet.text import clean

_FIELD = re.compile(r"(\w+)=(\S*)")
_MOST = 100_000


async def ask_topology(commands: SlurmCommands, config: ControllerConfig) -> Mapping[str, Topology]:
    """The place of each node; none where the cluster has no topology, or will not tell it. Raises Unreachable and the like."""
    if not config.has_topology:
        return {}
    try:
        return read_topology(await commands.read("scontrol", "show", "topology"))
    except Unreachable:
        raise
    except FleetError:
        return {}


def read_topology(text: str) -> Mapping[str, Topology]:
    """The place of each node in what `scontrol show topology` printed: switches of the lowest level, and blocks."""
    switches: dict[str, str] = {}
    blocks: dict[str, str] = {}
    for line in text.splitlines():
        fields = dict(_FIELD.findall(line))
        nodes = fields.get("Nodes", "")
        if fields.get("SwitchName") and fields.get("Level", "0") == "0":
            _place(switches, nodes, fields["SwitchName"])
        elif fields.get("BlockName"):
            _place(blocks, nodes, fields["BlockName"])
    return {
        name: Topology(switch=switches.get(name, ""), clique=blocks.get(name, ""))
        for name in switches.keys() | blocks.keys()
    }


def _place(places: dict[str, str], nodes: str, where: str) -> None:
    where = clean(where, 120)
    for name in expand(nodes, _MOST):
        places.setdefault(name, where)
