"""The process that ``prefork`` starts: imports binmirror, then forks a process for each command asked for."""

import gc
import json
import os
import signal
import socket
import sys
from typing import Any, Final

from consumer.cli.app import main as binmirror

_BUFFER: Final = 65_536


def forked(asked: socket.socket) -> dict[str, Any]:
    """Fork for each command that is asked for; returns in the forked process, with the request."""
    while True:
        mark, fds, *_ = socket.recv_fds(asked, 1, 2)
        if not mark:
            sys.exit()
        text = b""
        while not text.endswith(b"\n"):
            text += asked.recv(_BUFFER)
        request: dict[str, Any] = json.loads(text)
        answer: int | None
        if request["do"] == "poll":
            pid, status = os.waitpid(request["pid"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                _take_over(fds)
                asked.close()
                return request
            for fd in fds:
                os.close(fd)
        asked.sendall(json.dumps(answer).encode() + b"\n")


def _take_over(fds: list[int]) -> None:
    for ours, theirs in zip(fds, (1, 2), strict=True):
        os.dup2(ours, theirs)
        os.close(ours)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> None:
    """Fork until the tests are gone; in a forked process, be the command."""
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    request = forked(socket.socket(fileno=int(sys.argv[1])))
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = ["binmirror", *request["arguments"]]
    binmirror()


if __name__ == "__main__":
    main()
