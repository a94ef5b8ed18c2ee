"""Runs the benchmarks that are named, or all, and prints one figure a line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace

from benchmarks.blocking import blocking
from benchmarks.cost import cost
from benchmarks.figures import FULL, QUICK, Benchmark
from benchmarks.keys import keys
from benchmarks.loading import loading
from benchmarks.order import order
from benchmarks.remembered import remembered
from benchmarks.slurm import slurm
from benchmarks.start import start
from benchmarks.telemetry import telemetry
from benchmarks.verbs import verbs

BENCHMARKS: Mapping[str, Benchmark] = {
    "start": start,
    "loading": loading,
    "remembered": remembered,
    "blocking": blocking,
    "keys": keys,
    "order": order,
    "cost": cost,
    "slurm": slurm,
    "telemetry": telemetry,
    "verbs": verbs,
}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all")
    parser.add_argument("--quick", action="store_true", help="smaller fleets, asked less often")
    parser.add_argument("--all", action="store_true", help="also what takes minutes, such as 50,000 rows")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(BENCHMARKS):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    size = replace(QUICK if asked.quick else FULL, wide=asked.all)
    for name in asked.names or BENCHMARKS:
        print(f"{name}: {BENCHMARKS[name].__doc__}", file=sys.stderr, flush=True)
        for figure in BENCHMARKS[name](size):
            print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
