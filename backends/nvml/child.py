"""The child that talks to NVML: for each line on stdin one line of JSON on stdout, until stdin closes.

`python -m backends.nvml.child`. It holds nothing that is worth saving, so whoever waits too long for it may kill it.
"""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

import msgspec

from backends.nvml.events import XidWatch
from backends.nvml.reading import Answer, Host, failure_of, read_host


def serve(nvml: Any, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer every request with `nvml`, and end after one that failed: a new child begins with a new library."""
    encode = msgspec.json.Encoder().encode
    watch: XidWatch | None = None
    for _ in requests:
        answer: Answer
        try:
            if watch is None:
                nvml.nvmlInit()
                watch = XidWatch(nvml)
            watch.listen()
            answer = read_host(nvml, watch.heard)
        except nvml.NVMLError as error:
            answer = failure_of(nvml, error)
        answers.write(encode(answer) + b"\n")
        answers.flush()
        if not isinstance(answer, Host):
            return


def main() -> None:
    import pynvml

    serve(pynvml, sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
