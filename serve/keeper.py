"""Keeper: a small process that runs a server and never lets it outlive whoever started it.

    python keeper.py PARENT_PID STOP_SECONDS COMMAND...

It writes the server's process id to its standard output, ends as the server ends, and stops the
server's whole process group when it is told to (SIGTERM) or when its parent is gone, however that
went. Run as a file, it needs nothing but the standard library.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from time import monotonic, sleep
from types import FrameType

POLL_S = 0.2


def keep(parent: int, stop_s: float, command: list[str]) -> int:
    """Run the command to its end, or until it has to be stopped; return its exit code."""
    told = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        told.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    # Standard error is the server's log; standard output speaks to the parent and is ours alone.
    server = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr, process_group=0
    )
    with suppress(BrokenPipeError):
        print(server.pid, flush=True)
    while server.poll() is None and not told and os.getppid() == parent:
        sleep(POLL_S)
    return stop(server, stop_s)


def stop(server: subprocess.Popen[bytes], stop_s: float) -> int:
    """End the server politely, then firmly, with everything that it started."""
    if server.poll() is None:
        server.send_signal(signal.SIGINT)
        if not _ended(server, stop_s):
            _signal_group(server.pid, signal.SIGTERM)
            _ended(server, stop_s / 4)
    _signal_group(server.pid, signal.SIGKILL)  # also what a crashed server left behind
    return server.wait()


def _ended(server: subprocess.Popen[bytes], seconds: float) -> bool:
    deadline = monotonic() + seconds
    while server.poll() is None and monotonic() < deadline:
        sleep(POLL_S / 2)
    return server.poll() is not None


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    code = keep(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
    sys.exit(code if code >= 0 else 128 - code)
