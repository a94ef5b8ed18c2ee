"""What `doctor` says of an API server itself: which version it is, and whether that is one that was tried."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from backends.kubernetes.check_runs import leftovers
from backends.kubernetes.claim_shapes import GROUP
from backends.kubernetes.claims_feed import served
from backends.kubernetes.connection import Api
from backends.kubernetes.permissions import Right, refused
from fleet.diagnosis import CheckSite
from fleet.errors import Denied, Garbled
from fleet.remark import KnownReleases, Release, Remark
from fleet.text import clean

KNOWN = KnownReleases("Kubernetes", Release(1, 20), Release(1, 36), "whose API was measured")
"""1.36.2 was measured before this backend was written; 1.20.2 is the one that the backend itself was driven on."""
_NEEDED = [
    Right(verb, plural, GROUP)
    for plural in ("resourceslices", "resourceclaims")
    for verb in ("list", "watch")
]
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
    return (judged(api.source, clean(told, 80)), *await _claims(api), *left)


async def _claims(api: Api) -> Sequence[Remark]:
    """That GPUs given out by claims can't be counted, where they may be there and we may not look. Raises FleetError."""
    try:
        if not await served(api):
            return ()
    except Denied:  # nor does it say whether there are any
        return ()
    lacking = await refused(api, _NEEDED)
    if not lacking:
        return ()
    named = ", ".join(f"{right.verb} {right.named}" for right in lacking)
    says = f"you may not {named}: GPUs that claims give out (DRA) are unknown"
    return (Remark(f"{api.source} claims", None, says, "apply deploy/kubernetes/quarterdeck-role.yaml anew"),)


def judged(source: str, version: str) -> Remark:
    """What is to be said of a version such as `v1.33.4-gke.1172000`."""
    found = _RELEASE.match(version)
    release = Release(int(found[1]), int(found[2])) if found else None
    return KNOWN.remark(source, version, release, "look at /version of the API server")
