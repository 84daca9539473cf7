"""One price over HTTP without sise, with FastAPI and redis-py."""

import json
import os
from contextlib import asynccontextmanager
from datetime import datetime, timezone

import redis.asyncio
from fastapi import FastAPI, HTTPException, Response

store = redis.asyncio.from_url(os.environ["REDIS_URL"])


@asynccontextmanager
async def lifespan(_: FastAPI):
    yield
    await store.aclose()


app = FastAPI(lifespan=lifespan)


@app.get("/v1/prices/{code}")
async def price(code: str) -> Response:
    text = await store.get(f"realtime:price:{code}")
    if text is None:
        raise HTTPException(404)
    quote = json.loads(text)
    asked = datetime.fromisoformat(quote["fetched_at"])
    age = datetime.now(timezone.utc) - asked
    quote["age_ms"] = int(age.total_seconds() * 1000)
    body = json.dumps(quote, ensure_ascii=False, separators=(",", ":"))
    headers = {"Age": str(int(age.total_seconds()))}
    return Response(body, media_type="application/json", headers=headers)
