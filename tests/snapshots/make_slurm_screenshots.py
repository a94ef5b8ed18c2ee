"""Writes Slurm's pictures to screenshots/, from a real slurmctld with a night's troubles.

Run by `python -m tests.snapshots.make_slurm_screenshots`.
It needs what `tests/slurm_lab.py` needs (slurmctld, slurmd, munge). Times and ports are those of the run.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from textual.widgets import Input

from tests.driver import Driver, driving
from tests.slurm_lab import SlurmLab, slurm_lab
from tests.snapshots.pictures import png_of, svg_of
from tui.choice import Choice
from tui.commands import DRAIN
from tui.settings import load
from tui.wiring import open_deck

FOLDER = Path(__file__).parents[2] / "screenshots"
NODES = 16
CONFIG = """
[category.train]
imager = "slurm_reboot"
desired_image = "v1"
expected_gpus = 8
[slurm]
use = true
"""


def trouble(lab: SlurmLab) -> None:
    """Jobs on most nodes, one that can't be requeued, a failed health check, a colleague's drain, a dead slurmd, two asleep."""
    for number, hours in ((1, 3), (2, 30), (3, 1), (4, 12), (5, 12), (7, 2)):
        lab.submit(f"gpu{number}", f"--time={hours}:00:00", gpus=8)
    lab.submit("gpu6", "--time=4:00:00", gpus=4)
    lab.interactive("gpu6", "--time=8:00:00", gpus=2)
    lab.make_sick("gpu9", "gpu 3 fell off the bus")
    lab.update("gpu10", "State=DRAIN", "Reason=PSU swap, back at noon")
    lab.update("gpu[13-14]", "State=POWER_DOWN")
    lab.stop_slurmd("gpu12")
    lab.update("gpu7", "State=DRAIN", "Reason=firmware")
    lab.next_image("gpu11", "v2")
    lab.scontrol("reboot", "ASAP", "nextstate=RESUME", "reason=driver", "gpu11")
    lab.node_is("gpu9", "DRAIN")
    lab.node_is("gpu14", "POWERED_DOWN")
    lab.node_is("gpu12", "DOWN", "NOT_RESPONDING")
    lab.node_is("gpu11", "IDLE", without=("DRAIN", "REBOOT_ISSUED", "REBOOT_REQUESTED", "NOT_RESPONDING"))
    lab.until(lambda: lab.booted("gpu11") == "v2", "gpu11 shows its image")


async def fleet(at: Driver) -> None:
    """The table, worst first, with the node under the cursor beside it."""
    await at.select("gpu9")
    await at.sees("NHC")


async def drain(at: Driver) -> None:
    """A drain of the node with an interactive job, its jobs requeued and that one given up."""
    await at.select("gpu6")
    await at.press(DRAIN)
    await at.planned()
    await at.turn("--requeue")
    await at.sees("can't be requeued, so it would be lost")
    await at.planned()


async def make(folder: Path = FOLDER) -> None:
    """Draw them anew."""
    programs = "SuspendProgram=/bin/true\nResumeProgram=/bin/true\nSuspendTime=36000\nSuspendTimeout=2\n"
    with (
        tempfile.TemporaryDirectory() as own,
        slurm_lab(Path(own), NODES, slurmd_timeout=6, extra=programs) as lab,
    ):
        trouble(lab)
        os.environ |= lab.environ | {"XDG_STATE_HOME": own}
        file = Path(own) / "config.toml"
        file.write_text(CONFIG)
        for name, walk in (("slurm", fleet), ("slurm-drain", drain)):
            async with driving(lambda: open_deck(Choice(load(file))), load(file), (120, 40)) as at:
                await at.sees("gpu9")
                await walk(at)
                for line in at.app.screen.query(Input):
                    line.cursor_blink = False
                await at.pilot.pause()
                svg = svg_of(at.app, "quarterdeck --slurm")
            (folder / f"{name}.svg").write_text(svg)
            (folder / f"{name}.png").write_bytes(png_of(svg))


if __name__ == "__main__":
    asyncio.run(make())
