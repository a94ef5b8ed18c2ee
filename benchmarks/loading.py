"""From exec to a whole fleet on screen, beside what the bytes alone cost and what others need for the same nodes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import quote

from backends.kubernetes.shapes import NodeShape, Reading
from benchmarks.bare_app import WORD
from benchmarks.figures import Figure, Size, alternating, timed
from benchmarks.fleets import Fleet, on_screen, served
from benchmarks.terminal import Terminal, environment, python

_PAGE = 500
_OFFICIAL = (
    "import sys; from kubernetes import client, config; config.load_kube_config(sys.argv[1]);"
    "print(len(client.CoreV1Api().list_node().items))"
)


def loading(size: Size) -> Iterator[Figure]:
    """All nodes live on screen, against transfer + typed decoding + a bare app, kubectl, and the official client."""
    for nodes, pods in ((size.few, None), (size.nodes, size.pods)):
        with served(nodes, pods=pods) as fleet:
            yield from _loaded(fleet, nodes, size.repeats)


def _loaded(fleet: Fleet, nodes: int, repeats: int) -> Iterator[Figure]:
    _exec_to_live(fleet, nodes)  # writes the compiled modules, and lets the server render its objects
    ours, bare, bytes_alone = alternating(
        repeats, lambda: _exec_to_live(fleet, nodes), _bare, lambda: timed(lambda: _read(fleet))
    )
    name = f"exec to {nodes:,} live nodes on screen"
    yield Figure(
        name, ours, "s", repeats, floor=bare + bytes_alone, note="transfer + typed decode + bare Textual"
    )
    if shutil.which("kubectl"):
        kubectl = alternating(repeats, lambda: timed(lambda: _kubectl(fleet)))[0]
        yield Figure(f"{name}, beside kubectl get nodes", ours, "s", repeats, peer=kubectl)
    official = timed(lambda: _run(python("-c", _OFFICIAL, str(fleet.kubeconfig))))
    yield Figure(
        f"{name}, beside the official client's list_node",
        ours,
        "s",
        repeats,
        peer=official,
        note="peer: once",
    )


def _exec_to_live(fleet: Fleet, nodes: int) -> float:
    with fleet.dashboard() as terminal:
        return terminal.until(*on_screen(nodes)) - terminal.began


def _bare() -> float:
    with Terminal(python("-m", "benchmarks.bare_app")) as terminal:
        return terminal.until(WORD.encode()) - terminal.began


def _read(fleet: Fleet) -> None:
    """The nodes in pages, decoded into what the program needs of them, and nothing else."""
    reading, more = Reading(NodeShape), ""
    connection = HTTPConnection("127.0.0.1", fleet.port, timeout=60)
    while True:
        connection.request("GET", f"/api/v1/nodes?limit={_PAGE}&continue={quote(more)}")
        page = reading.page(connection.getresponse().read(), about="nodes")
        if not (more := page.more):
            break
    connection.close()


def _kubectl(fleet: Fleet) -> None:
    _run(["kubectl", "--kubeconfig", str(fleet.kubeconfig), "get", "nodes"])


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment(), timeout=300)
