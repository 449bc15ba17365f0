"""The floor of a verification: bare ASGI, one point SELECT, one ES256 signature, one durable INSERT. One worker.

python -m benchmarks.verification_floor ADDRESS PORT
"""

from __future__ import annotations

import os
import sys
import uuid
from typing import Any

import asyncpg
import uvicorn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

SUBJECTS = 20_000

TABLES = """
CREATE TABLE IF NOT EXISTS floor_row (subject bytea PRIMARY KEY, content text NOT NULL);
CREATE TABLE IF NOT EXISTS floor_record (id uuid PRIMARY KEY, content bytea NOT NULL);
"""


def subject(number: int) -> bytes:
    """Return the key of the number-th row."""
    return number.to_bytes(16, "big")


class Floor:
    """The ASGI application."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.pool: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            self.pool = await asyncpg.create_pool(self.address, min_size=16, max_size=16, reset=_nothing)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.pool.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = (await receive())["body"]
        found = await self.pool.fetchrow("SELECT content FROM floor_row WHERE subject = $1", body)
        signature = self.key.sign(found["content"].encode(), ec.ECDSA(hashes.SHA256()))
        await self.pool.execute("INSERT INTO floor_record VALUES ($1, $2)", uuid.uuid4(), signature)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(signature))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": signature})


async def _nothing(connection: Any) -> None:
    pass  # or asyncpg would send a third statement with every request


async def prepare(address: str) -> None:
    """Make the tables of the floor and fill them."""
    connection = await asyncpg.connect(address)
    await connection.execute(TABLES)
    await connection.copy_records_to_table(
        "floor_row",
        records=[(subject(n), f'{{"content": "{os.urandom(100).hex()}"}}') for n in range(SUBJECTS)],
    )
    await connection.close()


if __name__ == "__main__":
    uvicorn.run(
        Floor(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False
    )
