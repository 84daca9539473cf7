"""Drives the market on one page in Chromium, served by the real program while it sweeps.

    python tests/clients/page.py target/debug/sise [--pictures DIR]

Needs node and the packages of tests/page (npm ci).
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

from world import World

PAGE = pathlib.Path(__file__).resolve().parents[1] / "page"


def read(url: str) -> dict:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


def halted(world: World) -> dict[str, int]:
    """Prices that stand still, by the broker itself: what the page has to show."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        market = read(f"http://{world.address}/v1/market")
        status, code = market["columns"].index("status"), market["columns"].index("code")
        codes = [row[code] for row in market["rows"] if row[status] == "halted"]
        if len(codes) >= 3 and all(row[1] for row in market["rows"][:100]):
            prices = read(f"{world.broker}/sim/prices")
            return {code: prices[code] for code in codes[:3]}
        time.sleep(0.2)
    raise SystemExit("no prices after a minute")


def main() -> None:
    sise = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as home:
        world = World(sise, home)
        try:
            world.environment["SISE__SCHEDULE__INTERVAL"] = "2s"
            world.environment["SISE__KIS__RATE_PER_SECOND"] = "60"
            world.start([sise, "run", "--always-open"], world.port)
            expected = ",".join(f"{code}={price}" for code, price in halted(world).items())
            environment = {
                **os.environ,
                "SISE_URL": f"http://{world.address}",
                "SISE_EXPECT": expected,
            }
            command = ["node", "page.mjs", *sys.argv[2:]]
            ended = subprocess.run(command, cwd=PAGE, env=environment, timeout=900)
        finally:
            world.end()
    sys.exit(ended.returncode)


if __name__ == "__main__":
    main()
