"""A server's whole life, with a small stand-in for vLLM."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serve.config import ServerConfig
from serve.errors import EngineMissingError, ServerFailedError, ServerTimeoutError
from serve.server import Command, Server, require_vllm

FAKE = Path(__file__).with_name("fake_server.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def pids(tmp_path: Path) -> Path:
    return tmp_path / "pids"


def config(folder: Path, **changes: object) -> ServerConfig:
    base = {"model": folder, "name": "fake", "log": folder / "log", "stop_timeout_s": 3}
    return ServerConfig(**{**base, **changes})  # type: ignore[arg-type]


def fake(pids: Path, mode: str = "good") -> Command:
    return lambda port: [sys.executable, str(FAKE), str(port), mode, str(pids)]


def running(pids: Path) -> list[int]:
    listed = pids.read_text().split() if pids.exists() else []
    return [pid for pid in map(int, listed) if is_running(pid)]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_a_server_is_healthy_inside_the_block_and_gone_after_it(tmp_path: Path, pids: Path) -> None:
    with Server(config(tmp_path), command=fake(pids)) as server:
        assert server.healthy()
        assert server.alive
        assert len(running(pids)) == 2
    assert running(pids) == []
    assert not server.alive


def test_a_server_that_ignores_polite_signals_is_killed(tmp_path: Path, pids: Path) -> None:
    with Server(config(tmp_path, stop_timeout_s=0.4), command=fake(pids, "stubborn")):
        pass
    assert running(pids) == []


def test_a_crash_while_starting_is_told_with_the_end_of_the_log(tmp_path: Path, pids: Path) -> None:
    server = Server(config(tmp_path), command=fake(pids, "crash"))
    with pytest.raises(ServerFailedError, match="exit code 3") as caught:
        server.start()
    assert "no such quantization" in str(caught.value)
    assert str(tmp_path / "log") in str(caught.value)


def test_a_port_that_another_program_has_is_refused_before_the_start(
    tmp_path: Path, pids: Path
) -> None:
    with Server(config(tmp_path), command=fake(pids)) as other:
        before = running(pids)
        mine = Server(config(tmp_path, port=other.port), command=fake(pids))
        with pytest.raises(ServerFailedError, match=f"cannot have port {other.port} .*another"):
            mine.start()
        assert not mine.alive
        assert running(pids) == before
        port = other.port
    with Server(config(tmp_path, port=port), command=fake(pids)) as again:
        assert again.port == port


def test_what_speaks_no_http_is_not_healthy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(config(tmp_path, port=listening.getsockname()[1]))

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert not server.healthy()
        thread.join()


def test_a_server_that_never_gets_healthy_is_given_up_and_stopped(
    tmp_path: Path, pids: Path
) -> None:
    server = Server(config(tmp_path, start_timeout_s=5), command=fake(pids, "slow"))
    with pytest.raises(ServerTimeoutError, match="not healthy"):
        server.start()
    assert running(pids) == []


def test_a_crash_of_the_server_leaves_no_child_of_it(tmp_path: Path, pids: Path) -> None:
    with Server(config(tmp_path), command=fake(pids)) as server:
        leader = running(pids)[0]
        os.kill(leader, signal.SIGKILL)
        assert wait_until(lambda: not server.alive)
        assert wait_until(lambda: not running(pids))


def test_the_progress_says_how_long_it_takes(
    tmp_path: Path, pids: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.server.REPORT_S", 0.0)
    lines: list[str] = []
    with Server(config(tmp_path), command=fake(pids), progress=lines.append):
        pass
    assert lines[0].startswith("fake starts: ")
    assert lines[-1].startswith("fake is ready after ")


def test_a_server_started_in_a_thread_outlives_the_thread(tmp_path: Path, pids: Path) -> None:
    server = Server(config(tmp_path), command=fake(pids))
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    time.sleep(0.5)
    try:
        assert server.healthy()
    finally:
        server.stop()


PARENT = """
import sys, time
from pathlib import Path
from serve.config import ServerConfig
from serve.server import Server
folder, fake, pids, mode = sys.argv[1:]
config = ServerConfig(model=Path(folder), name="fake", log=Path(folder) / "log", stop_timeout_s=3)
command = lambda port: [sys.executable, fake, str(port), mode, pids]
with Server(config, command=command):
    print("ready", flush=True)
    time.sleep(600)
"""


def parent(folder: Path, pids: Path, mode: str = "good") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder), str(FAKE), str(pids), mode],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_orphan_is_left_however_the_parent_ends(
    tmp_path: Path, pids: Path, number: signal.Signals
) -> None:
    with parent(tmp_path, pids) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        process.wait(15)
    assert wait_until(lambda: not running(pids))


def test_ctrl_c_while_the_server_starts_leaves_no_orphan(tmp_path: Path, pids: Path) -> None:
    with parent(tmp_path, pids, "slow") as process:
        assert wait_until(lambda: len(running(pids)) == 2)
        process.send_signal(signal.SIGINT)
        process.wait(15)
    assert wait_until(lambda: not running(pids))


def test_a_missing_vllm_is_told_with_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(EngineMissingError, match=r"agentlab-rag\[serve\]"):
        require_vllm(tmp_path / "python")


@pytest.mark.parametrize(("gpu", "device"), [(True, "gpu"), (False, "cpu")])
def test_the_device_is_that_of_the_machine_unless_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: bool, device: str
) -> None:
    monkeypatch.setattr("serve.server.has_gpu", lambda: gpu)

    assert Server(config(tmp_path)).config.device == device
    assert Server(config(tmp_path, device="cpu")).config.device == "cpu"


def test_stopping_twice_or_before_the_start_does_nothing(tmp_path: Path, pids: Path) -> None:
    server = Server(config(tmp_path), command=fake(pids))
    server.stop()
    server.start()
    server.stop()
    server.stop()
    assert "rest" in repr(server)
