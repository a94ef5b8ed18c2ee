"""The HTTP session under prometheus-api-client: bounded in time and size, read raw, decoded typed.

The client itself has no deadline for a whole answer, retries by itself, decodes with `json` and drops warnings. Here the
clock is asked after every read, nothing is retried, and what comes back decodes to an `Answer`. Imported late: requests
takes a third of a second to load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.utils import get_environ_proxies

from backends.prometheus.answers import Answer, Series, failure_of, read_answer, read_matrix
from fleet.errors import Denied, FleetError, Garbled, Rejected, TimedOut, Unreachable

_CHUNK = 1 << 16
_RANGE = "/query_range"


@dataclass(frozen=True, slots=True)
class Heard:
    """What `PrometheusConnect` takes for a response; it gets back the whole Answer, or a range's series, in place of a list."""

    status_code: int
    answer: Answer | Sequence[Series]

    def json(self) -> Mapping[str, Mapping[str, Answer | Sequence[Series]]]:
        return {"data": {"result": self.answer}}


class BoundedSession:
    """Stands in for `requests.Session` in PrometheusConnect. Proxies come from the environment, .netrc does not.

    `request` raises FleetError; `limit` bounds an answer in bytes.
    """

    cert = None

    def __init__(
        self,
        url: str,
        about: str,
        monotonic: Callable[[], float],
        *,
        ca_file: Path | None,
        token_file: Path | None,
        limit: int,
    ) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.proxies = dict(get_environ_proxies(url))
        self.verify: bool | str = str(ca_file) if ca_file else True
        self._about = about
        self._monotonic = monotonic
        self._token_file = token_file
        self._limit = limit

    def mount(self, prefix: str, adapter: Any) -> None:
        self._session.mount(prefix, adapter)

    def close(self) -> None:
        self._session.close()

    def request(
        self, *, method: str, url: str, timeout: float, headers: Mapping[str, str] | None, **options: Any
    ) -> Heard:
        """Ask, and read the answer to its end before `timeout` seconds are over."""
        end = self._monotonic() + timeout
        sent = {**(headers or {}), **self._token()}
        try:
            with self._session.request(
                method, url, timeout=timeout, headers=sent, stream=True, allow_redirects=False, **options
            ) as response:
                body = self._body(response, end, timeout)
                status, location = response.status_code, response.headers.get("Location", "")
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise self._late(timeout) from error
        except requests.exceptions.SSLError as error:
            raise Unreachable(
                f"its certificate is not trusted ({_innermost(error)})", about=self._about
            ) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, OSError) as error:
            raise self._failed(error) from error
        if status != requests.codes.ok:
            raise failure_of(status, body, self._about, location)
        read = read_matrix if url.endswith(_RANGE) else read_answer
        return Heard(status, read(body, self._about))

    def _body(self, response: Any, end: float, timeout: float) -> bytes:
        body = bytearray()
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            body += chunk
            if self._monotonic() > end:
                raise self._late(timeout)
            if len(body) > self._limit:
                raise Garbled(f"its answer is over {self._limit >> 20} MiB", about=self._about)
        return bytes(body)

    def _late(self, timeout: float) -> TimedOut:
        return TimedOut(f"no whole answer within {timeout:g} s", about=self._about)

    def _failed(self, error: Exception) -> FleetError:
        asked_wrongly = (
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            requests.exceptions.MissingSchema,
        )
        kind = Rejected if isinstance(error, asked_wrongly) else Unreachable
        return kind(f"no answer from it ({_innermost(error)})", about=self._about)

    def _token(self) -> Mapping[str, str]:
        if self._token_file is None:
            return {}
        try:
            token = self._token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Denied(f"its token file {self._token_file} can't be read", about=self._about) from error
        return {"Authorization": f"Bearer {token}"}


def _innermost(error: BaseException) -> str:
    """The reason at the bottom of what requests wrapped around it, in a few words."""
    seen = error
    while True:
        below = getattr(seen, "reason", None)
        if not isinstance(below, BaseException):
            below = (
                next((each for each in seen.args if isinstance(each, BaseException)), None) or seen.__cause__
            )
        if below is None:
            break
        seen = below
    text = str(seen).rpartition(">: ")[2] or type(seen).__name__
    return text[:200]
