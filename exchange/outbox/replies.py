"""What the routes of the outbox answer, as clients read it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel


class Message(BaseModel):
    """How far a message came. `target`: `credit`, or a department."""

    id: UUID
    target: str
    kind: str
    made_at: datetime
    attempts: int
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    dead_at: datetime | None
    last_failure: str | None


class Messages(BaseModel):
    """Messages, the latest first."""

    messages: list[Message]
