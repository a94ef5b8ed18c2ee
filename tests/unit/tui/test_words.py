"""Fleet values as lines for a terminal without a dashboard."""

from __future__ import annotations

import pytest

from tui.headless.words import of_node


@pytest.mark.parametrize("says", ["somebody opened it", "gpu-1: somebody opened it"])
def test_a_nodes_name_is_said_once(says: str) -> None:
    assert of_node("gpu-1", says) == "gpu-1: somebody opened it"
