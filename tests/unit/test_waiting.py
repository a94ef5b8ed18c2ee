"""What a step waits for, as a sentence."""

from __future__ import annotations

import pytest

from fleet.operation import Waiting


@pytest.mark.parametrize(
    ("waiting", "says"),
    [
        (
            Waiting("web/web-1", "budget web/pdb", "owner: search"),
            "budget web/pdb (owner: search): web/web-1",
        ),
        (Waiting("web/web-1", "to stop"), "web/web-1 to stop"),
        (Waiting("the node", "to be Ready: it is unknown"), "the node to be Ready: it is unknown"),
        (Waiting("", "its turn"), "its turn"),
    ],
)
def test_what_is_waited_for_reads_as_a_sentence(waiting: Waiting, says: str) -> None:
    assert waiting.says == says
