"""Asks a simulated fleet, over its control routes, to break a node or to mend it: the demo's fault keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from backends.simulated.faults import FaultKind
from fleet.errors import Garbled, Rejected, Unreachable
from fleet.node import NodeKey

_WITHIN = aiohttp.ClientTimeout(total=5)


class SimulatedFaults:
    """The faults of the fleet served at `url`, by the names that requests use."""

    names = tuple(kind.value for kind in FaultKind)

    def __init__(self, url: str) -> None:
        self._url = f"{url}/sim/faults"

    async def inject(self, fault: str, node: NodeKey) -> str:
        """Break `node` so, and say what was done. Raises Rejected, Unreachable or Garbled."""
        done = await self._ask("POST", json={"fault": fault, "node": node.name})
        code = f" (XID {done['code']})" if done.get("code") else ""
        return f"{fault}{code} injected on {node.name}"

    async def mend(self, node: NodeKey) -> str:
        """Take every injected fault of `node` back, and say how many. Raises like `inject`."""
        done = await self._ask("DELETE", params={"node": node.name})
        lifted = done.get("lifted")
        count = len(lifted) if isinstance(lifted, list) else 0
        return f"{count} {'fault' if count == 1 else 'faults'} of {node.name} lifted"

    async def _ask(self, method: str, **words: Any) -> Mapping[str, Any]:
        try:
            async with (
                aiohttp.ClientSession(timeout=_WITHIN) as session,
                session.request(method, self._url, **words) as answer,
            ):
                body = await answer.json()
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            raise Unreachable("the simulated fleet does not answer", about=self._url) from error
        except (aiohttp.ClientError, ValueError) as error:
            raise Garbled("the simulated fleet's answer can't be read", about=self._url) from error
        if not isinstance(body, dict):
            raise Garbled("the simulated fleet's answer is no object", about=self._url)
        if answer.status >= 400:
            raise Rejected(str(body.get("error", answer.reason)), about=self._url)
        return body
