"""The names of a gate's checks, for whoever asks which there are."""

from __future__ import annotations

from fleet.check_catalogue import CATALOGUE, EVIDENCE

CHECKS = (*CATALOGUE, EVIDENCE)
"""Every passive check by the name under which a category configures it."""

ACCEPTABLE = tuple(CATALOGUE)
"""Checks that a person may accept while they are UNKNOWN. Evidence is none of them: a repair is noted instead."""
