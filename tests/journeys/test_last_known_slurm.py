"""A dashboard that opens while slurmctld is away: it shows the cluster as it was last seen, by the name it had."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.driver import driving
from tests.slurm_lab import slurm_lab
from tui.choice import Choice
from tui.settings import Settings, SlurmSettings
from tui.wiring import open_deck

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("slurm-beside")]


async def test_a_controller_that_is_away_leaves_its_cluster_last_known_and_live_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with slurm_lab(tmp_path, 2) as lab:
        for name, value in lab.environ.items():
            monkeypatch.setenv(name, value)
        choice = Choice(Settings(slurm=SlurmSettings(use=True)))
        async with driving(lambda: open_deck(choice, remembers=True), choice.settings, (120, 40)) as at:
            await at.sees("gpu1", "● nodes")
        lab.stop_controller()
        async with driving(lambda: open_deck(choice, remembers=True), choice.settings, (120, 40)) as at:
            await at.sees(f"Quarterdeck  {lab.cluster}", "last known", "gpu1")
            lab.start_controller()
            await at.until(lambda: not at.deck.store.last_known, "the live cluster")
            await at.sees_no("last known")
