"""What `doctor` says of a Slurm cluster: its version and slurm.conf, whether it can reboot, and who is let back in by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backends.slurm.controller import ControllerConfig
from backends.slurm.reader import SlurmReader
from fleet.remark import Remark


async def examine(reader: SlurmReader) -> Sequence[Remark]:
    """Every remark about one cluster. Raises FleetError."""
    return tuple(_remarks(reader.source, await reader.config()))


def _remarks(source: str, config: ControllerConfig) -> Iterator[Remark]:
    yield Remark(f"{source} version", True, f"slurmctld {config.version or 'unknown'}")
    if config.hash_differs:
        says = f"this machine's slurm.conf is not the controller's: {config.hash_differs}"
        yield Remark(f"{source} slurm.conf", False, says, "bring the controller's slurm.conf here")
    reboots = config.reboot_program
    yield Remark(
        f"{source} RebootProgram",
        True if reboots else None,
        reboots or "not set, so that the imager slurm_reboot can't reimage",
        "set RebootProgram in slurm.conf where nodes are reimaged by a reboot",
    )
    if reboots:
        yield Remark(f"{source} ResumeTimeout", True, config.resume_timeout or "unknown")
    if config.return_to_service.startswith("2"):
        says = "2: a DOWN node that registers is opened, a retired one too where its DRAIN was lifted"
        yield Remark(f"{source} ReturnToService", None, says, "set it to 0 or 1, or retire by delete")
    checks = config.health_check
    says = checks or "not set: no verdict of a health check comes with the Reason"
    yield Remark(f"{source} HealthCheckProgram", True if checks else None, says)
    says = "Slurm has no compare-and-set: two operators at once are detected and said, not excluded"
    yield Remark(f"{source} changes", True, says)
