"""Drives the market on one page in Chromium, served by the real program while it sweeps.

    python tests/clients/page.py target/debug/sise [--pictures DIR]

Needs node and the packages of tests/page (npm ci). The pictures are of a session of half an hour that
begins now and is watched for ten minutes.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from world import World

WATCHED = timedelta(minutes=10)
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


def open_session(world: World) -> None:
    """A session that has just begun, whatever the day."""
    now = datetime.now(ZoneInfo("Asia/Seoul"))
    close = now + timedelta(minutes=30)
    row = f"{now:%Y-%m-%d},hours,{now:%H:%M},{close:%H:%M},"
    file = pathlib.Path(world.home) / "calendar.csv"
    file.write_text(f"date,kind,open,close,note\n{row}\n")
    world.environment["SISE__CALENDAR__FILE"] = str(file)


def main() -> None:
    sise = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as home:
        world = World(sise, home)
        try:
            world.environment["SISE__SCHEDULE__INTERVAL"] = "2s"
            world.environment["SISE__KIS__RATE_PER_SECOND"] = "60"
            is_picture = "--pictures" in sys.argv
            if is_picture:
                open_session(world)
            run = [sise, "run"] if is_picture else [sise, "run", "--always-open"]
            world.start(run, world.port)
            expected = ",".join(f"{code}={price}" for code, price in halted(world).items())
            environment = {
                **os.environ,
                "SISE_URL": f"http://{world.address}",
                "SISE_EXPECT": expected,
            }
            if is_picture:
                time.sleep(WATCHED.total_seconds())
            command = ["node", "page.mjs", *sys.argv[2:]]
            ended = subprocess.run(command, cwd=PAGE, env=environment, timeout=900)
        finally:
            world.end()
    sys.exit(ended.returncode)


if __name__ == "__main__":
    main()
