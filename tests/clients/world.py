"""Redis, a simulated broker and the program, for clients that are written in other languages."""

import os
import socket
import subprocess
import time

def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answers(port: int) -> None:
    """Waits until somebody listens on a port."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nobody listens on port {port}")


class World:
    """Redis, a simulated broker and a server of the API, each on a port of its own."""

    def __init__(self, sise: str, home: str) -> None:
        self.sise, self.home, self.processes = sise, home, []
        redis, broker, api = free_port(), free_port(), free_port()
        self.start(
            ["redis-server", "--port", str(redis), "--save", "", "--bind", "127.0.0.1"], redis
        )
        self.start([sise, "sim", "--limit", "0", "--listen", f"127.0.0.1:{broker}"], broker)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "REDIS_URL": f"redis://127.0.0.1:{redis}",
            "KIS_BASE_URL": f"http://127.0.0.1:{broker}",
            "KIS_MASTER_URL": f"http://127.0.0.1:{broker}",
            "KIS_APP_KEY": "PSappkeyappkeyappkeyappkeyappkeyappk",
            "KIS_APP_SECRET": "secret",
            "SISE__KIS__RATE_PER_SECOND": "2000",
            "SISE__STATE__DIRECTORY": home,
            "SISE__STORE__RESPONSE_TIMEOUT": "2s",
            "SISE__API__LISTEN": f"127.0.0.1:{api}",
            "SISE__API__REQUESTS_PER_SECOND": "0",
        }
        self.broker = f"http://127.0.0.1:{broker}"
        self.address = f"127.0.0.1:{api}"
        self.port = api

    def start(self, command: list[str], port: int) -> None:
        environment = getattr(self, "environment", {"PATH": os.environ["PATH"]})
        self.processes.append(
            subprocess.Popen(
                command,
                cwd=self.home,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        answers(port)

    def run(self, *arguments: str) -> None:
        command = [self.sise, *arguments]
        subprocess.run(
            command, cwd=self.home, env=self.environment, check=True, stdout=subprocess.DEVNULL
        )

    def sweep(self) -> None:
        self.run("run", "--once")

    def end(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            process.wait(30)
