"""What the simulated broker says of itself, and how what a client got is compared with it."""

import json
import urllib.request

# A common share, a preferred share with a letter in its code, and one of the growth market.
CODES = ["005930", "00104K", "247540"]

# The walk may step between two questions: so many percent a price may have moved meanwhile.
MOVED = 5

APP_SECRET = "s" * 180


class Different(Exception):
    """What a client got is not what the simulator has."""


def expect(what, holds):
    if not holds:
        raise Different(what)


def prices(base):
    with urllib.request.urlopen(f"{base}/sim/prices", timeout=10) as answer:
        return json.load(answer)


def near(price, known):
    return abs(price - known) * 100 <= known * MOVED


def check_price(base, code, price):
    known = prices(base)[code]
    expect(f"{code}: price {price}, the simulator has {known}", near(int(price), known))


def check_days(base, code, rows, most=30):
    """Rows of `inquire-daily-price`: newest first, each with a price that hangs together."""
    expect(f"{code}: {len(rows)} rows", 11 <= len(rows) <= most)
    days = [row["stck_bsop_date"] for row in rows]
    expect(f"{code}: days are out of order or double", days == sorted(set(days), reverse=True))
    for row in rows:
        names = ("stck_lwpr", "stck_oprc", "stck_clpr", "stck_hgpr")
        low, opened, closed, high = (int(row[name]) for name in names)
        traded = int(row["acml_vol"]) > 0
        whole = 0 < low <= min(opened, closed) <= max(opened, closed) <= high
        expect(f"{code}: the row of {row['stck_bsop_date']} does not hang together", whole or not traded)
    for newer, older in zip(rows, rows[1:]):
        before = int(newer["stck_clpr"]) - int(newer["prdy_vrss"])
        expect(f"{code}: {newer['stck_bsop_date']} is measured against {before}", before == int(older["stck_clpr"]))
    check_price(base, code, rows[0]["stck_clpr"])
