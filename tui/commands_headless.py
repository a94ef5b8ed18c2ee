"""The commands that need no screen, by name. Each is loaded when it is asked for."""

from __future__ import annotations

import argparse


def run(asked: argparse.Namespace) -> int:
    """Do what was asked and return the exit code."""
    raise SystemExit(f"{asked.command}: not built yet")
