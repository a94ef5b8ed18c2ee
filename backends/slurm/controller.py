"""What the controller says of itself: `scontrol show config`, as far as somebody here asks for it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from backends.slurm.commands import SlurmCommands
from fleet.errors import Garbled
from fleet.text import clean

_LINE = re.compile(r"^([A-Za-z_]+(?:\[\d+\])?) *= ?(.*)$", re.MULTILINE)
_ABSENT = frozenset({"(null)", "N/A", "none"})
_UID = re.compile(r"\((\d{1,10})\)\s*\Z")
_COMMAND = ("scontrol", "show", "config")


@dataclass(frozen=True, slots=True)
class ControllerConfig:
    """The controller's configuration. Empty: not set. `hash_differs` is what Slurm says where this machine's slurm.conf is another.

    `slurm_uid` is SlurmUser's, None where it can't be read; `private` are the things PrivateData hides.
    """

    cluster: str = ""
    controller: str = ""
    port: str = ""
    version: str = ""
    slurm_user: str = ""
    slurm_uid: int | None = None
    reboot_program: str = ""
    health_check: str = ""
    topology_plugin: str = ""
    features_plugins: str = ""
    accounting: str = ""
    resume_program: str = ""
    return_to_service: str = ""
    resume_timeout: str = ""
    private: frozenset[str] = frozenset()
    hash_differs: str = ""

    @property
    def identity(self) -> str:
        """Which cluster this is: its name and the host of its controller."""
        return f"{self.cluster}@{self.controller}"

    @property
    def has_topology(self) -> bool:
        return bool(self.topology_plugin) and not self.topology_plugin.endswith(
            ("/none", "/default", "/flat")
        )

    @property
    def has_accounting(self) -> bool:
        """Whether users may have a right of their own (`AdminLevel=Admin`), which only slurmdbd gives."""
        return bool(self.accounting) and not self.accounting.endswith("/none")


async def ask_config(commands: SlurmCommands) -> ControllerConfig:
    """The controller's configuration now. Raises FleetError."""
    config = read_config(await commands.read(*_COMMAND))
    if not config.cluster:
        raise Garbled("the controller did not say which cluster it is", about=" ".join(_COMMAND))
    return config


def read_config(text: str) -> ControllerConfig:
    """The configuration in what `scontrol show config` printed."""
    values = {name: value.strip() for name, value in _LINE.findall(text)}

    def value(*names: str) -> str:
        said = next((values[name] for name in names if values.get(name)), "")
        return "" if said in _ABSENT else clean(said, 300)

    user = value("SlurmUser")
    uid = _UID.search(user)
    matches = value("HASH_VAL")
    return ControllerConfig(
        cluster=value("ClusterName"),
        controller=value("SlurmctldHost[0]", "SlurmctldHost", "ControlMachine").partition("(")[0],
        port=value("SlurmctldPort"),
        version=value("SLURM_VERSION"),
        slurm_user=user.partition("(")[0],
        slurm_uid=int(uid[1]) if uid else None,
        reboot_program=value("RebootProgram"),
        health_check=value("HealthCheckProgram"),
        topology_plugin=value("TopologyPlugin"),
        features_plugins=value("NodeFeaturesPlugins"),
        accounting=value("AccountingStorageType"),
        resume_program=value("ResumeProgram"),
        return_to_service=value("ReturnToService"),
        resume_timeout=value("ResumeTimeout"),
        private=frozenset(item.strip().lower() for item in value("PrivateData").split(",")) - {""},
        hash_differs="" if matches in ("", "Match") else matches,
    )
