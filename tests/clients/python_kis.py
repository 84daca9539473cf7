"""Another client of the broker, python-kis, run against the simulated one.

    python3 python_kis.py http://127.0.0.1:8080

Asks for a quote and for charts of a few stocks, as that library's users do, and compares them
with what the simulator says it would answer (GET /sim/prices). Ends with status 1 and a message
where they differ. The simulator needs its own app key or any; its limit may stand.
"""

import sys
from datetime import date, timedelta

import pykis.kis
from pykis import PyKis

from simulator import APP_SECRET, CODES, Different, expect, near, prices

# The library checks its length.
APP_KEY = "P" * 36


def check_quote(kis, base, code):
    known = prices(base)[code]
    quote = kis.stock(code).quote()
    expect(f"{code}: quoted {quote.price}, the simulator has {known}", near(quote.price, known))
    expect(f"{code}: quote is of {quote.symbol}", quote.symbol == code)
    expect(f"{code}: low {quote.low}, high {quote.high}", 0 < quote.low <= quote.high)
    expect(
        f"{code}: price {quote.price} is outside {quote.low} to {quote.high}",
        quote.low <= quote.price <= quote.high,
    )
    expect(
        f"{code}: price {quote.price} is outside the limits",
        quote.low_limit <= quote.price <= quote.high_limit,
    )
    change = quote.price - quote.base_price
    expect(f"{code}: change {quote.change}, not {change}", quote.change == change)
    expect(f"{code}: volume {quote.volume}", quote.volume > 0 and quote.amount > 0)


def check_chart(kis, base, code):
    today = date.today()
    bars = kis.stock(code).chart("1y").bars
    # About 245 days of trading in a year: three pages.
    expect(f"{code}: {len(bars)} bars in a year", 230 <= len(bars) <= 255)
    days = [bar.time.date() for bar in bars]
    expect(f"{code}: days are out of order or double", days == sorted(set(days)))
    for bar in bars:
        expect(
            f"{code}: bar of {bar.time.date()} does not hang together",
            0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high,
        )
    for older, newer in zip(bars, bars[1:]):
        expect(
            f"{code}: {newer.time.date()} changes from {newer.prev_price}, not {older.close}",
            newer.prev_price == older.close,
        )
    known = prices(base)[code]
    expect(
        f"{code}: newest bar ends at {bars[-1].close}, the simulator has {known}",
        near(bars[-1].close, known),
    )
    for period in ("week", "month"):
        longer = kis.stock(code).daily_chart(
            start=today - timedelta(days=365), period=period
        )
        most = 54 if period == "week" else 13
        expect(f"{code}: {len(longer.bars)} bars by {period}", 11 <= len(longer.bars) <= most)


def check_unknown(kis):
    try:
        # Without a market it would look abroad as well.
        quote = kis.stock("999999", market="KRX").quote()
    except Exception as error:  # The library has several, told apart by name only.
        expect(f"unknown code: {error!r}", "NotFound" in type(error).__name__)
    else:
        raise Different(f"unknown code is quoted at {quote.price}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    base = sys.argv[1].rstrip("/")
    # The library knows its hosts as constants only.
    pykis.kis.REAL_DOMAIN = base
    kis = PyKis(
        id="simulated",
        account="00000000-01",
        appkey=APP_KEY,
        secretkey=APP_SECRET,
        use_websocket=False,
        keep_token=False,
    )
    try:
        for code in CODES:
            check_quote(kis, base, code)
            check_chart(kis, base, code)
            info = kis.stock(code).info
            expect(f"{code}: the broker knows it as {info.symbol}", info.symbol == code)
            expect(f"{code}: it has no name", info.name)
        check_unknown(kis)
    except Different as error:
        sys.exit(f"python-kis and the simulator differ: {error}")
    print(f"python-kis: quotes and charts of {', '.join(CODES)} are right")


if __name__ == "__main__":
    main()
