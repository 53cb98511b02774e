"""Server: a model server that is started, awaited and stopped with everything that it started."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self

from serve import keeper
from serve.command import HOST, vllm_argv, vllm_environment
from serve.config import ServerConfig
from serve.errors import EngineMissingError, ServerFailedError, ServerTimeoutError

Progress = Callable[[str], None]
Command = Callable[[int], list[str]]
"""The command that serves on a port."""

TAIL_LINES = 15
POLL_S = 0.25
REPORT_S = 5.0


class Server:
    """Run one server; a context manager. It ends with this process, even if that is killed."""

    def __init__(
        self,
        config: ServerConfig,
        *,
        progress: Progress | None = None,
        command: Command | None = None,
    ) -> None:
        """Describe the server; `command` serves with another program than vLLM."""
        if config.device == "auto":
            config = config.model_copy(update={"device": "gpu" if has_gpu() else "cpu"})
        self.config = config
        self.port = config.port
        self._progress = progress or (lambda _message: None)
        self._command = command
        self._keeper: subprocess.Popen[str] | None = None
        self._group = 0

    def __repr__(self) -> str:
        """Say which model is served where."""
        return f"Server({self.config.name!r} at {self.base_url if self.alive else 'rest'})"

    def __enter__(self) -> Self:
        """Start the server and wait until it is healthy."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()

    @property
    def base_url(self) -> str:
        """Return where the OpenAI protocol is spoken."""
        return f"http://{HOST}:{self.port}/v1"

    @property
    def alive(self) -> bool:
        """Say whether the server's process runs."""
        return self._keeper is not None and self._keeper.poll() is None

    def start(self) -> None:
        """Start and wait until healthy. Raises a ServeError, with the log's end, if that fails."""
        if self.alive:
            return
        if self._command is None:
            require_vllm(self.config.python)
        self.port = self.config.port or _free_port()
        self._refuse_taken_port()
        try:
            self._launch(self._argv())
            self._wait_until_healthy()
        except BaseException:
            self.stop()  # Ctrl-C while it starts, too
            raise

    def stop(self) -> None:
        """Stop the server and all that it started; nothing happens if it does not run."""
        if self._keeper is None:
            return
        if self.alive:
            self._keeper.send_signal(signal.SIGTERM)
        try:
            self._keeper.wait(self.config.stop_timeout_s * 1.25 + 5)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
            if self._group:
                with suppress(ProcessLookupError):
                    os.killpg(self._group, signal.SIGKILL)
        if self._keeper.stdout is not None:
            self._keeper.stdout.close()
        self._keeper = None

    def healthy(self) -> bool:
        """Ask the server whether it can answer."""
        # A proxy of the environment has no business with this machine's own address.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{HOST}:{self.port}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, HTTPException):
            return False

    def log_tail(self) -> str:
        """Return the last lines of the server's log."""
        with suppress(OSError):
            text = self.config.log.read_text(encoding="utf-8", errors="replace")
            return "\n".join(text.splitlines()[-TAIL_LINES:])
        return ""

    def _refuse_taken_port(self) -> None:
        """Raise ServerFailedError where another program has the port: it might seem healthy."""
        with socket.socket() as probe:
            # As servers do: what a stopped one leaves in TIME_WAIT is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, self.port))
            except OSError as error:
                raise ServerFailedError(
                    f"the server for {self.config.name} cannot have port {self.port} "
                    f"({error.strerror}): end the program that has it, or choose another port"
                ) from error

    def _argv(self) -> list[str]:
        if self._command is not None:
            return self._command(self.port)
        return vllm_argv(self.config, port=self.port)

    def _launch(self, argv: list[str]) -> None:
        self.config.log.parent.mkdir(parents=True, exist_ok=True)
        keep = [sys.executable, "-P", str(Path(keeper.__file__).resolve())]
        keep += [str(os.getpid()), str(self.config.stop_timeout_s)]
        with self.config.log.open("wb") as log:
            self._keeper = subprocess.Popen(
                keep + argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **vllm_environment(self.config)},
                start_new_session=True,  # a Ctrl-C in the terminal is for us, who then stop it
            )
        if self._keeper.stdout is not None:
            self._group = int(self._keeper.stdout.readline() or 0)

    def _wait_until_healthy(self) -> None:
        began = reported = monotonic()
        while not self.healthy():
            if not self.alive:
                raise self._failure()
            waited = monotonic() - began
            if waited > self.config.start_timeout_s:
                raise ServerTimeoutError(
                    f"the server for {self.config.name} was not healthy after {waited:.0f} s: give "
                    f"it more time, or read {self.config.log}, which ends with\n{self.log_tail()}"
                )
            if monotonic() - reported > REPORT_S:
                reported = monotonic()
                self._progress(f"{self.config.name} starts: {waited:.0f} s")
            sleep(POLL_S)
        self._progress(f"{self.config.name} is ready after {monotonic() - began:.0f} s")

    def _failure(self) -> ServerFailedError:
        code = self._keeper.returncode if self._keeper else None
        return ServerFailedError(
            f"the server for {self.config.name} ended with exit code {code} while it started; "
            f"its log {self.config.log} ends with\n{self.log_tail() or '(nothing)'}"
        )


def has_gpu() -> bool:
    """Say whether the machine has a GPU that vLLM runs on, without loading torch."""
    # NVIDIA's driver, AMD's, and the one of Windows for Linux.
    return any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))


def require_vllm(python: Path) -> None:
    """Raise EngineMissingError unless that interpreter has vLLM."""
    if python == Path(sys.executable):
        there = find_spec("vllm") is not None
    else:
        question = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
        try:
            there = subprocess.run([python, "-c", question], check=False).returncode == 0
        except OSError:
            there = False
    if not there:
        raise EngineMissingError(
            f"vLLM is not installed for {python}: with a GPU, pip install 'agentlab-rag[serve]'; "
            "without one, the engine 'transformers' needs no server"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
