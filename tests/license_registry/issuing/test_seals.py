"""No licence without the seals that its type asks for, one by one and in bulk, where the house asks for them."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from foundation.settings import Settings
from license_registry.issuing.bulk import tables as jobs
from license_registry.issuing.bulk.batch import Row, issue_batch
from license_registry.issuing.issue import issue
from license_registry.lifecycle.states import Operation
from license_registry.lifecycle.versions import VersionRequest, new_version
from license_registry.ports import Registry
from license_registry.seals.errors import SealLacking
from license_registry.seals.register import SealWanted, change, register
from license_registry.seals.states import SealKind, SealOperation
from tests.conftest import MARKET
from tests.license_registry.conftest import AUTHORITY, NOW, registry, request


async def seal(ports: Registry, kind: SealKind) -> uuid.UUID:
    wanted = SealWanted(uuid.uuid4(), MARKET, kind, "示范章", None, None)
    made, _ = await register(ports, AUTHORITY, wanted, NOW)
    await change(ports, AUTHORITY, made.id, SealOperation.USE, None, NOW)
    return made.id
