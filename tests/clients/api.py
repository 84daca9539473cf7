"""Drives every route of the API from the document that it serves, and holds the messages of the
stream against their schema.

    python tests/clients/api.py target/debug/sise
"""

import asyncio
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

import jsonschema
import websockets

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/stream-v1.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CODES = ["005930", "000660", "035720"]


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
        self.sweep()
        self.run("watch", "add", "mine", *CODES)
        self.start([sise, "serve"], api)
        self.address = f"127.0.0.1:{api}"

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


def golden() -> None:
    """The examples are what the schema describes, each of the kind that its name says."""
    folder = ROOT / "docs/examples/stream"
    paths = sorted(folder.glob("*.json"))
    kinds = {kind["properties"]["type"]["const"] for kind in SCHEMA["$defs"]["server"]["oneOf"]}
    for path in paths:
        message = json.loads(path.read_text())
        VALIDATOR.validate(message)
        name = path.stem.removeprefix("client-")
        kind = message.get("type") or message["op"]
        assert name == kind or name.startswith(f"{kind}-"), path
        kinds.discard(kind)
    assert not kinds, f"no example of {kinds}"
    assert not VALIDATOR.is_valid({"v": 1, "type": "pong"}), "a message needs its number"
    assert not VALIDATOR.is_valid({"v": 1, "type": "changes", "seq": 1, "prices": [{"price": 0}]})
    print(f"{len(paths)} examples are as the schema says")


async def stream(world: World) -> None:
    """What the server tells is what the schema describes."""
    seen: dict[str, int] = {}
    async with websockets.connect(f"ws://{world.address}/v1/stream", max_size=None) as socket_:
        wishes = [
            {"op": "subscribe", "watchlist": "mine", "indices": True, "alerts": True},
            {"op": "subscribe", "all": True},
            {"op": "unsubscribe", "codes": CODES},
            {"op": "ping"},
        ]
        for wish in wishes:
            VALIDATOR.validate(wish)
            await socket_.send(json.dumps(wish))
        await socket_.send("nonsense")
        swept = False
        number = 0
        while not {"hello", "subscribed", "snapshot", "changes", "error", "pong"} <= seen.keys():
            message = json.loads(await asyncio.wait_for(socket_.recv(), 60))
            VALIDATOR.validate(message)
            number += 1
            assert message["seq"] == number, message
            seen[message["type"]] = seen.get(message["type"], 0) + 1
            if "pong" in seen and not swept:
                swept = True
                await asyncio.to_thread(world.sweep)
    print("messages of the stream are as the schema says:", seen)


def routes(world: World) -> None:
    """Every route answers what its document says, whatever it is asked."""
    document = f"http://{world.address}/v1/openapi.json"
    tool = pathlib.Path(sys.executable).with_name("schemathesis")
    command = [
        str(tool), "run", document,
        "--checks", "all",
        "--exclude-checks", "unsupported_method,positive_data_acceptance",
        # Driven above: an answer that has no end.
        "--exclude-path", "/v1/stream",
        "--max-examples", "25",
        "--seed", "1",
        "--workers", "2",
        "--request-timeout", "20",
        "--suppress-health-check", "all",
        "--no-color",
    ]
    ended = subprocess.run(command, cwd=world.home, capture_output=True, text=True, timeout=600)
    said = re.sub(r"\x1b\[[0-9;]*m", "", ended.stdout)
    if ended.returncode != 0:
        raise SystemExit(f"{said}\n{ended.stderr}")
    print("\n".join(said.splitlines()[-12:]))


def main() -> None:
    golden()
    sise = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as home:
        world = World(sise, home)
        try:
            asyncio.run(stream(world))
            routes(world)
        finally:
            world.end()


if __name__ == "__main__":
    main()
