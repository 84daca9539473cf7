"""The reference for sise's sweep: the same work in Python with asyncio.

Asks the broker for every code, 30 a call or one a call, several calls at once, turns each row into
the price object that sise writes, and writes the objects of a call in one pipeline. Prints one
number, the median of its sweeps in codes per second. `cargo bench --bench sweep_unlimited --
--reference` runs it.
"""

import argparse
import asyncio
import json
import os
import statistics
import time
from datetime import datetime, timedelta, timezone

import aiohttp
import redis.asyncio

SEOUL = timezone(timedelta(hours=9))
BASE = "/uapi/domestic-stock/v1/quotations/"
# A separate key, because the broker issues one token a minute per key.
KEY, SECRET = f"reference-{os.getpid()}", "reference"
TTL_SECONDS = 120


def whole(text):
    try:
        return int(text)
    except (TypeError, ValueError):
        return None


def price_object(code, row, names, now):
    """Returns the object of the data contract from a row of either call."""
    price = whole(row.get(names["price"]))
    if not price:
        return None
    fields = {
        "stock_code": code,
        "stock_name": row.get("inter_kor_isnm", "").strip(),
        "price": price,
        "change": whole(row.get(names["change"])),
        "change_rate": float(row.get("prdy_ctrt") or 0),
        "volume": whole(row.get("acml_vol")),
        "timestamp": now.strftime("%Y-%m-%dT%H:%M:%S"),
        "open": whole(row.get(names["open"])),
        "high": whole(row.get(names["high"])),
        "low": whole(row.get(names["low"])),
        "base_price": whole(row.get(names["base_price"])),
        "value": whole(row.get("acml_tr_pbmn")),
        "venue": "KRX",
        "session": "regular",
        "status": "trading",
        "source": names["source"],
        "fetched_at": now.isoformat(timespec="milliseconds"),
    }
    return json.dumps(fields, ensure_ascii=False)


MULTI = {
    "price": "inter2_prpr",
    "change": "inter2_prdy_vrss",
    "open": "inter2_oprc",
    "high": "inter2_hgpr",
    "low": "inter2_lwpr",
    "base_price": "inter2_sdpr",
    "source": "kis.multi",
}
SINGLE = {
    "price": "stck_prpr",
    "change": "prdy_vrss",
    "open": "stck_oprc",
    "high": "stck_hgpr",
    "low": "stck_lwpr",
    "base_price": "stck_sdpr",
    "source": "kis.single",
}


async def ask(session, headers, codes):
    """Returns the rows of one call, each with its code and its field names."""
    if len(codes) == 1:
        path, transaction = "inquire-price", "FHKST01010100"
        query = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": codes[0]}
    else:
        path, transaction = "intstock-multprice", "FHKST11300006"
        query = {}
        for slot, code in enumerate(codes, 1):
            query[f"FID_COND_MRKT_DIV_CODE_{slot}"] = "J"
            query[f"FID_INPUT_ISCD_{slot}"] = code
    headers = {**headers, "tr_id": transaction}
    async with session.get(BASE + path, params=query, headers=headers) as response:
        body = json.loads(await response.read())
    if body["rt_cd"] != "0":
        raise RuntimeError(body)
    if len(codes) == 1:
        return [(codes[0], body["output"], SINGLE)]
    return [(row["inter_shrn_iscd"], row, MULTI) for row in body["output"]]


async def sweep(session, store, headers, codes, codes_a_call, in_flight):
    """Runs one sweep; returns how many prices were written."""
    calls = [codes[at : at + codes_a_call] for at in range(0, len(codes), codes_a_call)]
    gate = asyncio.Semaphore(in_flight)

    async def one(call):
        async with gate:
            rows = await ask(session, headers, call)
            now = datetime.now(SEOUL)
            pipeline = store.pipeline(transaction=False)
            written = 0
            for code, row, names in rows:
                if text := price_object(code, row, names, now):
                    pipeline.set(f"realtime:price:{code}", text, ex=TTL_SECONDS)
                    written += 1
            await pipeline.execute()
            return written

    return sum(await asyncio.gather(*map(one, calls)))


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--redis", required=True)
    parser.add_argument("--codes", required=True, help="separated by commas")
    parser.add_argument("--codes-a-call", type=int, default=30)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--sweeps", type=int, default=5)
    arguments = parser.parse_args()
    codes = arguments.codes.split(",")

    store = redis.asyncio.Redis.from_url(arguments.redis)
    connector = aiohttp.TCPConnector(limit=arguments.in_flight)
    async with aiohttp.ClientSession(arguments.broker, connector=connector) as session:
        grant = {"grant_type": "client_credentials", "appkey": KEY, "appsecret": SECRET}
        async with session.post("/oauth2/tokenP", json=grant) as response:
            token = (await response.json(content_type=None))["access_token"]
        headers = {
            "authorization": f"Bearer {token}",
            "appkey": KEY,
            "appsecret": SECRET,
            "custtype": "P",
        }
        speeds = []
        for number in range(arguments.sweeps + 1):
            start = time.perf_counter()
            written = await sweep(
                session, store, headers, codes, arguments.codes_a_call, arguments.in_flight
            )
            seconds = time.perf_counter() - start
            if written != len(codes):
                raise SystemExit(f"{written} of {len(codes)} codes written")
            if number > 0:  # the first one connects and warms up
                speeds.append(written / seconds)
    await store.aclose()
    print(statistics.median(speeds))


asyncio.run(main())
