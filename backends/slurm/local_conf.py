"""What this machine's slurm.conf itself says, for when the controller does not answer."""

from __future__ import annotations

import re
from pathlib import Path

DEFAULT = Path("/etc/slurm/slurm.conf")
NAMELESS = "slurm"
"""What a cluster is called here whose name nobody can tell: its slurm.conf comes from the controller alone (configless)."""

_NAME = re.compile(r"^\s*ClusterName\s*=\s*\"?([^\s\"#]+)", re.IGNORECASE | re.MULTILINE)


def cluster_of(conf: str) -> str:
    """The ClusterName in the slurm.conf at `conf`, empty for Slurm's own default; NAMELESS where it can't be read.

    In lower case, as the controller gives it (slurm.conf(5), ClusterName).
    """
    try:
        found = _NAME.search((Path(conf) if conf else DEFAULT).read_text(errors="replace"))
    except OSError:
        return NAMELESS
    return found[1].lower() if found else NAMELESS
