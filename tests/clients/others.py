"""Other clients of the broker, run against the simulated one as their users run them.

    python others.py http://127.0.0.1:8080 mojito2 kis-wrapper kis-agent pykis

Each asks for prices and daily bars, and what it gets is compared with what the simulator says. Ends
with status 1 and a message where they differ. Each has an app key of its own, for a token is issued
once a minute.
"""

import os
import sys
import tempfile
from datetime import date, timedelta

from simulator import APP_SECRET, CODES, Different, check_days, check_price, expect


def mojito2(base):
    from mojito import KoreaInvestment

    class Simulated(KoreaInvestment):
        def set_base_url(self, mock=True):
            self.base_url = base

    broker = Simulated("M" * 36, APP_SECRET, "00000000-01")
    for code in CODES:
        answer = broker.fetch_price(code)
        expect(f"{code}: {answer['msg1']}", answer["rt_cd"] == "0")
        check_price(base, code, answer["output"]["stck_prpr"])
        for period in "DWM":
            answer = broker.fetch_ohlcv_recent30(code, period)
            check_days(base, code, answer["output"])
        until, since = date.today(), date.today() - timedelta(days=60)
        answer = broker.fetch_ohlcv(code, "D", f"{since:%Y%m%d}", f"{until:%Y%m%d}")
        bars = [bar for bar in answer["output2"] if bar]
        expect(f"{code}: {len(bars)} bars in sixty days", 30 <= len(bars) <= 45)
        check_price(base, code, bars[0]["stck_clpr"])


def kis_wrapper(base):
    import kis.auth
    from kis import KIS, domestic

    # The library knows its hosts as constants only.
    kis.auth._URLS.update(prod=base, paper=base)
    with KIS("W" * 36, APP_SECRET, "00000000-01", env="prod") as broker:
        for code in CODES:
            check_price(base, code, domestic.price(broker, code)["stck_prpr"])
            for period in "DWM":
                check_days(base, code, domestic.daily(broker, code, period))


def kis_agent(base):
    from kis_agent import Agent

    agent = Agent("A" * 36, APP_SECRET, "00000000", "01", base_url=base)
    for code in CODES:
        price = agent.get_stock_price(code)
        expect(f"{code}: {price}", price and price["rt_cd"] == "0")
        check_price(base, code, price["output"]["stck_prpr"])
        days = agent.inquire_daily_price(code)
        check_days(base, code, days["output"])
        until, since = date.today(), date.today() - timedelta(days=60)
        bars = agent.inquire_daily_itemchartprice(code, f"{since:%Y%m%d}", f"{until:%Y%m%d}")
        check_price(base, code, bars["output2"][0]["stck_clpr"])
        details = agent.inquire_price_2(code)
        check_price(base, code, details["output"]["stck_prpr"])
        known = agent.search_stock_info(code)
        expect(f"{code}: {known}", known["output"]["pdno"].endswith(code))


def pykis(base):
    from pykis import Api, DomainInfo

    broker = Api({"appkey": "K" * 36, "appsecret": APP_SECRET}, DomainInfo(url=base))
    for code in CODES:
        check_price(base, code, broker.get_kr_current_price(code))
        least, most = broker.get_kr_min_price(code), broker.get_kr_max_price(code)
        expect(f"{code}: limits {least} to {most}", 0 < least < most)
        for period in ("day", "week", "month"):
            frame = broker.get_kr_ohlcv(code, period)
            expect(f"{code}: {len(frame)} rows by {period}", 11 <= len(frame) <= 30)
            check_price(base, code, frame["Close"].iloc[0])


CLIENTS = {"mojito2": mojito2, "kis-wrapper": kis_wrapper, "kis-agent": kis_agent, "pykis": pykis}


def main():
    base, names = sys.argv[1].rstrip("/"), sys.argv[2:]
    with tempfile.TemporaryDirectory() as home:
        # Each keeps its token somewhere else: where it is started, at home, or in its own folder.
        os.chdir(home)
        os.environ["HOME"] = home
        os.environ["KIS_TOKEN_PATH"] = os.path.join(home, "token.json")
        # Some look for the stock list on the broker's own host.
        os.environ["https_proxy"] = "http://127.0.0.1:9"
        for name in names:
            try:
                CLIENTS[name](base)
            except Different as error:
                sys.exit(f"{name} and the simulator differ: {error}")
            print(f"{name}: prices and daily bars of {', '.join(CODES)} are right")
        os.chdir("/")


if __name__ == "__main__":
    main()
