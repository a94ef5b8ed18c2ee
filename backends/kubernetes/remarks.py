"""What `doctor` says of an API server itself: which version it is, and whether that is one that was tried."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from backends.kubernetes.check_runs import leftovers
from backends.kubernetes.connection import Api
from fleet.diagnosis import CheckSite
from fleet.errors import Garbled
from fleet.remark import Remark
from fleet.text import clean

OLDEST, NEWEST = (1, 20), (1, 36)
"""The oldest and the newest release whose API server was driven by this backend: 1.20.2 and 1.36.2."""
_RELEASE = re.compile(r"v?(\d{1,3})\.(\d{1,3})")


class _Version(msgspec.Struct, rename="camel"):
    git_version: str = ""


async def examine(api: Api, checks: CheckSite | None = None, prefix: str = "") -> Sequence[Remark]:
    """The version at `/version`, which everybody who is known may read by default, and what `checks` left. Raises FleetError."""
    try:
        told = msgspec.json.decode(await api.get("/version"), type=_Version).git_version
    except msgspec.DecodeError as error:
        raise Garbled(f"its version can't be read: {error}", about=f"{api.source} version") from error
    left = await leftovers(api, checks, prefix) if checks is not None else ()
    return (judged(api.source, clean(told, 80)), *left)


def judged(source: str, version: str) -> Remark:
    """What is to be said of a version such as `v1.33.4-gke.1172000`."""
    about, found = f"{source} version", _RELEASE.match(version)
    if found is None:
        return Remark(about, None, f"Kubernetes {version or 'unknown'}", "look at /version of the API server")
    release = int(found[1]), int(found[2])
    if OLDEST <= release <= NEWEST:
        return Remark(about, True, f"Kubernetes {version}")
    where = "older" if release < OLDEST else "newer"
    tried = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
    says = f"Kubernetes {version}: {where} than any that was tried ({tried})"
    return Remark(about, None, says, "try it with --read-only and `plan` first")
