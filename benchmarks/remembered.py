"""From exec to the last known fleet on screen, and what keeping it costs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from backends.last_known_fleet.codec import Header, KeptNode
from backends.last_known_fleet.files import KeptFiles
from benchmarks.figures import Figure, Size, alternating, timed
from benchmarks.fleets import Fleet, on_screen, own_folders, served
from benchmarks.made_up import EPOCH, fleet
from benchmarks.terminal import Terminal, python


def remembered(size: Size) -> Iterator[Figure]:
    """The last known fleet, then the live one, against a start that remembers nothing; writing and reading the file."""
    yield from _files(size)
    with served(size.nodes, pods=size.pods) as cluster:
        named = cluster.folder / "named"  # a cluster that is called simulated is not kept
        named.write_text(cluster.kubeconfig.read_text().replace('"simulated"', '"named"'))
        _seen_before(cluster, named, size.nodes)
        first, live, fresh = alternating(
            size.repeats,
            lambda: _until(cluster, named, *on_screen(size.nodes)),
            lambda: _until(cluster, named, *on_screen(size.nodes), b"nodes 0s"),
            lambda: _until(cluster, cluster.kubeconfig, *on_screen(size.nodes), b"nodes 0s"),
        )
    name = f"exec to {size.nodes:,}"
    yield Figure(
        f"{name} last known nodes on screen", first, "s", size.repeats, peer=fresh, note="peer: live"
    )
    yield Figure(f"{name} live nodes behind the last known", live, "s", size.repeats, peer=fresh)


def _files(size: Size) -> Iterator[Figure]:
    nodes = [KeptNode(row.node, row.work) for row in fleet(size.nodes).rows()]
    header = Header("prod", "prod", "", "", EPOCH, len(nodes))
    with tempfile.TemporaryDirectory(prefix="quarterdeck-bench-") as folder:
        files = KeptFiles(Path(folder))
        writing, reading = alternating(
            size.repeats,
            lambda: timed(lambda: files.write(header, nodes)) * 1000,
            lambda: timed(lambda: files.read("prod", "prod")) * 1000,
        )
    yield Figure(f"keep {size.nodes:,} nodes, in a thread", writing, "ms", size.repeats)
    yield Figure(f"read {size.nodes:,} kept nodes, in a thread", reading, "ms", size.repeats)


def _seen_before(cluster: Fleet, kubeconfig: Path, nodes: int) -> None:
    """A run that saw the fleet and was left."""
    with _dashboard(cluster, kubeconfig) as terminal:
        terminal.until(*on_screen(nodes))
        terminal.press(b"q")
        terminal.ended()
    assert list(cluster.folder.glob("quarterdeck/last-known/*.fleet")), "it was not kept"


def _until(cluster: Fleet, kubeconfig: Path, *texts: bytes) -> float:
    with _dashboard(cluster, kubeconfig) as terminal:
        return terminal.until(*texts) - terminal.began


def _dashboard(cluster: Fleet, kubeconfig: Path) -> Terminal:
    command = python("-m", "tui.cli", "--kubeconfig", str(kubeconfig))
    return Terminal(command, own_folders(cluster.folder))
