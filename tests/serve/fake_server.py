"""A stand-in for a model server, with a child of its own: fake_server.py PORT MODE PIDS."""

import http.server
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


def main(port: int, mode: str, pids: Path) -> None:
    print(f"loading in mode {mode}", flush=True)
    if mode == "crash":
        print("RuntimeError: no such quantization", file=sys.stderr, flush=True)
        sys.exit(3)
    code = "import time; time.sleep(600)"
    if mode == "stubborn":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", code])
    pids.write_text(f"{os.getpid()} {child.pid}")
    if mode == "slow":
        time.sleep(600)
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Health).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
