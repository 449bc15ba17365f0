"""Who takes part in share requests, and the calendar."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from demonstration.parties import System
from exchange.requests.overdue import Round, go_round
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.exchange.requests.asking import (
    ASKING,
    PERSONS,
    Round_,
)
from zhengtong.house import open_house


@pytest.fixture(scope="module")
def fund(service: Service) -> System:
    return service.system("fund", Role.DEPARTMENT_SYSTEM, department=ASKING)


@pytest.fixture(scope="module")
def police(service: Service) -> System:
    return service.system("police", Role.DEPARTMENT_SYSTEM, department=PERSONS.department)


@pytest.fixture(scope="module")
def bureau(service: Service) -> System:
    return service.system("bureau", Role.SHARING_AUTHORITY)


@pytest.fixture(scope="module")
def auditor(service: Service) -> System:
    return service.system("audit-office", Role.AUDITOR)


@pytest.fixture(scope="module")
def go_on(service: Service) -> Round_:
    """Let the calendar come to a moment, in another process's place, on the same database."""

    def run(now: datetime) -> Round:
        async def work() -> Round:
            async with open_house(service.settings, service.address) as house:
                return await go_round(house.exchange, now)

        return asyncio.run(work())

    return run
