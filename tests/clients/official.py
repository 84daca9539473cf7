"""The simulated broker, asked as the broker's own samples ask the broker (REST and WebSocket).

    python official.py http://127.0.0.1:8080

Those samples tell headers of the transport from the broker's own by how the names are written, and
make a named tuple of each: a name with a dash in small letters ends them. They page while `tr_cont`
says so, and read live trades by the place of a field. Here every step is made as there.
"""

import asyncio
import json
import sys
from collections import namedtuple
from datetime import date, timedelta
from io import StringIO

import pandas
import requests
import websockets

from simulator import APP_SECRET, CODES, Different, check_days, check_price, expect, prices

APP_KEY = "O" * 36
QUOTATIONS = "/uapi/domestic-stock/v1/quotations"

# Of a trade in the live feed, in the order of the frames.
COLUMNS = """MKSC_SHRN_ISCD STCK_CNTG_HOUR STCK_PRPR PRDY_VRSS_SIGN PRDY_VRSS PRDY_CTRT WGHN_AVRG_STCK_PRC
STCK_OPRC STCK_HGPR STCK_LWPR ASKP1 BIDP1 CNTG_VOL ACML_VOL ACML_TR_PBMN SELN_CNTG_CSNU SHNU_CNTG_CSNU
NTBY_CNTG_CSNU CTTR SELN_CNTG_SMTN SHNU_CNTG_SMTN CCLD_DVSN SHNU_RATE PRDY_VOL_VRSS_ACML_VOL_RATE OPRC_HOUR
OPRC_VRSS_PRPR_SIGN OPRC_VRSS_PRPR HGPR_HOUR HGPR_VRSS_PRPR_SIGN HGPR_VRSS_PRPR LWPR_HOUR
LWPR_VRSS_PRPR_SIGN LWPR_VRSS_PRPR BSOP_DATE NEW_MKOP_CLS_CODE TRHT_YN ASKP_RSQN1 BIDP_RSQN1
TOTAL_ASKP_RSQN TOTAL_BIDP_RSQN VOL_TNRT PRDY_SMNS_HOUR_ACML_VOL PRDY_SMNS_HOUR_ACML_VOL_RATE HOUR_CLS_CODE
MRKT_TRTM_CLS_CODE VI_STND_PRC""".split()


class Answer:
    """Headers and body as named tuples: those headers alone whose names are small letters."""

    def __init__(self, response):
        own = {name: value for name, value in response.headers.items() if name.islower()}
        self.header = namedtuple("header", own.keys())(**own)
        body = response.json()
        self.body = namedtuple("body", body.keys())(**body)


class Samples:
    def __init__(self, base):
        self.base = base
        self.headers = {
            "Content-Type": "application/json",
            "Accept": "text/plain",
            "charset": "UTF-8",
            "User-Agent": "Mozilla/5.0",
        }

    def issue(self, path, secret):
        wanted = {"grant_type": "client_credentials", "appkey": APP_KEY, secret: APP_SECRET}
        response = requests.post(self.base + path, data=json.dumps(wanted), headers=self.headers, timeout=10)
        expect(f"{path}: HTTP {response.status_code} {response.text}", response.status_code == 200)
        return response.json()

    def authorize(self):
        token = self.issue("/oauth2/tokenP", "appsecret")["access_token"]
        self.headers.update(authorization=f"Bearer {token}", appkey=APP_KEY, appsecret=APP_SECRET)

    def fetch(self, name, transaction, tr_cont="", **params):
        headers = {**self.headers, "tr_id": transaction, "custtype": "P", "tr_cont": tr_cont}
        address = f"{self.base}{name if name.startswith('/') else f'{QUOTATIONS}/{name}'}"
        response = requests.get(address, headers=headers, params=params, timeout=10)
        expect(f"{name}: HTTP {response.status_code} {response.text}", response.status_code == 200)
        answer = Answer(response)
        expect(f"{name}: {answer.body.msg1}", answer.body.rt_cd == "0")
        expect(f"{name}: {answer.header}", answer.header.tr_id == transaction and answer.header.gt_uid)
        # Read after every call, whether it pages or not.
        return answer.body, answer.header.tr_cont


def of_one(code):
    return {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": code}


def check_stock(base, samples, code):
    body, _ = samples.fetch("inquire-price", "FHKST01010100", **of_one(code))
    frame = pandas.DataFrame(body.output, index=[0])
    check_price(base, code, frame["stck_prpr"][0])
    body, _ = samples.fetch("inquire-price-2", "FHPST01010000", **of_one(code))
    check_price(base, code, body.output["stck_prpr"])
    for period in "DWM":
        more = {"FID_PERIOD_DIV_CODE": period, "FID_ORG_ADJ_PRC": "1"}
        body, _ = samples.fetch("inquire-daily-price", "FHKST01010400", **of_one(code), **more)
        check_days(base, code, pandas.DataFrame(body.output).to_dict("records"))
    until, since = date.today(), date.today() - timedelta(days=60)
    more = {
        "FID_INPUT_DATE_1": f"{since:%Y%m%d}",
        "FID_INPUT_DATE_2": f"{until:%Y%m%d}",
        "FID_PERIOD_DIV_CODE": "D",
        "FID_ORG_ADJ_PRC": "0",
    }
    body, _ = samples.fetch("inquire-daily-itemchartprice", "FHKST03010100", **of_one(code), **more)
    check_price(base, code, pandas.DataFrame(body.output2)["stck_clpr"][0])
    for name, transaction in (("search-stock-info", "CTPF1002R"), ("search-info", "CTPF1604R")):
        body, _ = samples.fetch(name, transaction, PRDT_TYPE_CD="300", PDNO=code)
        expect(f"{code}: {body.output['pdno']}", body.output["pdno"].endswith(code))


def check_many(base, samples):
    wanted = {}
    for number, code in enumerate(CODES, 1):
        wanted |= {f"FID_COND_MRKT_DIV_CODE_{number}": "J", f"FID_INPUT_ISCD_{number}": code}
    body, _ = samples.fetch("intstock-multprice", "FHKST11300006", **wanted)
    frame = pandas.DataFrame(body.output)
    expect(f"rows of {list(frame['inter_shrn_iscd'])}", list(frame["inter_shrn_iscd"]) == CODES)
    for code, price in zip(CODES, frame["inter2_prpr"]):
        check_price(base, code, price)


def check_index(samples):
    for code in ("0001", "1001", "2001"):
        wanted = {"FID_COND_MRKT_DIV_CODE": "U", "FID_INPUT_ISCD": code}
        body, _ = samples.fetch("inquire-index-price", "FHPUP02100000", **wanted)
        level = float(body.output["bstp_nmix_prpr"])
        expect(f"{code} stands at {level}", level > 0)
        until, since = date.today(), date.today() - timedelta(days=60)
        wanted |= {
            "FID_INPUT_DATE_1": f"{since:%Y%m%d}",
            "FID_INPUT_DATE_2": f"{until:%Y%m%d}",
            "FID_PERIOD_DIV_CODE": "D",
        }
        body, _ = samples.fetch("inquire-daily-indexchartprice", "FHKUP03500100", **wanted)
        bars = pandas.DataFrame(body.output2)
        newest = float(bars["bstp_nmix_prpr"][0])
        expect(f"{code}: newest bar ends at {newest}, it stands at {level}", abs(newest - level) < level / 20)
        expect(f"{code}: {len(bars)} bars in sixty days", 30 <= len(bars) <= 45)


def check_rankings(samples):
    wanted = {
        "FID_COND_MRKT_DIV_CODE": "J",
        "FID_COND_SCR_DIV_CODE": "20171",
        "FID_INPUT_ISCD": "0000",
        "FID_DIV_CLS_CODE": "0",
        "FID_BLNG_CLS_CODE": "0",
        "FID_TRGT_CLS_CODE": "111111111",
        "FID_TRGT_EXLS_CLS_CODE": "0000000000",
        "FID_INPUT_PRICE_1": "",
        "FID_INPUT_PRICE_2": "",
        "FID_VOL_CNT": "",
        "FID_INPUT_DATE_1": "",
    }
    body, _ = samples.fetch("volume-rank", "FHPST01710000", **wanted)
    volumes = [int(volume) for volume in pandas.DataFrame(body.output)["acml_vol"]]
    expect(f"volumes {volumes}", len(volumes) == 30 and volumes == sorted(volumes, reverse=True))
    wanted = {
        "fid_input_price_2": "",
        "fid_cond_mrkt_div_code": "J",
        "fid_cond_scr_div_code": "20174",
        "fid_div_cls_code": "0",
        "fid_input_iscd": "0000",
        "fid_trgt_cls_code": "0",
        "fid_trgt_exls_cls_code": "0",
        "fid_input_price_1": "",
        "fid_vol_cnt": "",
    }
    body, _ = samples.fetch("/uapi/domestic-stock/v1/ranking/market-cap", "FHPST01740000", **wanted)
    sizes = [int(size) for size in pandas.DataFrame(body.output)["stck_avls"]]
    expect(f"capitalisations {sizes}", len(sizes) == 30 and sizes == sorted(sizes, reverse=True))


def check_calendar(samples):
    """Pages as long as the answer says that there is more, three at most."""
    days, tr_cont, more = [], "", {"CTX_AREA_FK": "", "CTX_AREA_NK": ""}
    for _ in range(3):
        asked = "N" if days else ""
        wanted = {"BASS_DT": f"{date.today():%Y%m%d}", **more}
        body, tr_cont = samples.fetch("chk-holiday", "CTCA0903R", asked, **wanted)
        days += [row["bass_dt"] for row in body.output]
        more = {"CTX_AREA_FK": body.ctx_area_fk, "CTX_AREA_NK": body.ctx_area_nk}
        if tr_cont not in ("M", "F"):
            break
    expect(f"days of the calendar: {days}", len(days) > 25 and days == sorted(set(days)))


async def check_feed(base, samples):
    approval = samples.issue("/oauth2/Approval", "secretkey")["approval_key"]
    known = prices(base)
    seen = {}
    address = base.replace("http://", "ws://") + "/tryitout"
    async with websockets.connect(address) as socket:
        for code in CODES:
            header = {"content-type": "utf-8", "approval_key": approval, "tr_type": "1", "custtype": "P"}
            wanted = {"header": header, "body": {"input": {"tr_id": "H0STCNT0", "tr_key": code}}}
            await socket.send(json.dumps(wanted))
        accepted = set()
        while set(seen) != set(CODES):
            raw = await asyncio.wait_for(socket.recv(), 30)
            if raw[0] in "01":
                _, transaction, count, data = raw.split("|")
                expect(f"a frame of {transaction}", transaction == "H0STCNT0" and int(count) > 0)
                # The samples make one row of it; a frame may have several records.
                fields = data.split("^")
                width = len(fields) // int(count)
                lines = ("^".join(fields[at : at + width]) for at in range(0, len(fields), width))
                frame = pandas.read_csv(StringIO("\n".join(lines)), header=None, sep="^", dtype=object)
                for _, record in frame.iterrows():
                    row = dict(zip(COLUMNS, record))
                    seen[row["MKSC_SHRN_ISCD"]] = int(row["STCK_PRPR"])
                continue
            said = json.loads(raw)
            if said["header"]["tr_id"] == "PINGPONG":
                await socket.pong(raw)
                continue
            expect(f"{said}", said["body"]["rt_cd"] == "0" and said["header"]["encrypt"] == "N")
            expect(f"{said}", said["body"]["output"]["iv"] and said["body"]["output"]["key"])
            accepted.add(said["header"]["tr_key"])
    expect(f"accepted: {accepted}", accepted == set(CODES))
    for code, price in seen.items():
        expect(f"{code}: {price} streamed, {known[code]} before", abs(price - known[code]) * 20 <= known[code])


def main():
    base = sys.argv[1].rstrip("/")
    samples = Samples(base)
    try:
        samples.authorize()
        for code in CODES:
            check_stock(base, samples, code)
        check_many(base, samples)
        check_index(samples)
        check_rankings(samples)
        check_calendar(samples)
        asyncio.run(check_feed(base, samples))
    except Different as error:
        sys.exit(f"the broker's samples and the simulator differ: {error}")
    print("the calls of the broker's own samples, REST and WebSocket, are answered as they need it")


if __name__ == "__main__":
    main()
