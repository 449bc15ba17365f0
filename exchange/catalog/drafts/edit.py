"""The way of a version: draft → in review → published → retired. The department writes, the sharing authority decides.

Each step is one transaction under the catalogue's lock. Dying before its end leaves everything as it was; each step
done again, with the same version, finds itself done and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from exchange.catalog import tables
from exchange.catalog.changes import Changes, applies_from, compare, same
from exchange.catalog.document import Document, ResourceMalformed, require_ready
from exchange.catalog.follow import in_force
from exchange.catalog.resource import ResourceUnknown
from exchange.catalog.tables import StoredVersion
from foundation.errors import DomainError
from foundation.language import _


class ResourceOfAnother(DomainError):
    code = "resource-of-another"


class ResourceInReview(DomainError):
    code = "resource-in-review"


class ResourceStateWrong(DomainError):
    code = "resource-state-wrong"


@dataclass(frozen=True, slots=True)
class Drafted:
    """What became of one document: `drafted`, `unchanged` (it says what is published or drafted), or a refusal.

    Args:
        document: with the version that it got; of an unchanged one, the version that says it already.
    """

    document: Document
    outcome: str
    refusal: DomainError | None = None


def decide_draft(
    document: Document, versions: Sequence[StoredVersion], now: datetime, *, reverting: bool = True
) -> Drafted:
    """Return what becomes of a complete document, beside what is there of its resource.

    A resource has one draft at most: another text takes its place, under the same version.

    Args:
        reverting: what is in force may be drafted again, to take the place of a newer version that was told and does
            not apply yet. Of a file it is not meant so: that only says what was in force when it was written.
    """
    if not versions:
        return Drafted({**document, "version": 1}, "drafted")
    newest = max(versions, key=lambda each: each.version)
    if newest.department != document["department"]:
        refusal = ResourceOfAnother(_("another department keeps this resource"), pointer="/id")
        return Drafted(document, "refused", refusal)
    if newest.state == "in-review":
        return Drafted(
            document, "refused", ResourceInReview(_("version {version} is in review"), version=newest.version)
        )
    if newest.state == "draft":
        outcome = (
            "unchanged"
            if same(newest.document, document) and (newest.document["notice"] == document["notice"])
            else "drafted"
        )
        return Drafted({**document, "version": newest.version}, outcome)
    if newest.state == "published" and same(newest.document, document):
        return Drafted(newest.document, "unchanged")
    current = None if reverting else in_force(versions, now)
    if newest.state == "published" and current is not None and same(current.document, document):
        return Drafted(current.document, "unchanged")
    return Drafted({**document, "version": newest.version + 1}, "drafted")


async def draft(
    pool: Any, documents: Sequence[Document], by: str, now: datetime, *, reverting: bool = True
) -> list[Drafted]:
    """Draft complete documents, in step; what is refused leaves the others alone. An id may stand there once."""
    async with pool.acquire() as connection, connection.transaction():
        await tables.lock(connection)
        known: dict[str, list[StoredVersion]] = {}
        for version in await tables.versions_of(connection, {each["id"] for each in documents}):
            known.setdefault(version.resource, []).append(version)
        decided = [
            decide_draft(each, known.get(each["id"], []), now, reverting=reverting) for each in documents
        ]
        await tables.put_drafts(
            connection, [each.document for each in decided if each.outcome == "drafted"], by, now
        )
    return decided


async def drop(pool: Any, resource: str, department: str) -> None:
    """Take a draft away; there being none is as good."""
    async with pool.acquire() as connection, connection.transaction():
        await tables.lock(connection)
        for version in await tables.versions_of(connection, [resource]):
            if version.state == "draft":
                _require_department(version, department)
                await tables.drop_draft(connection, resource, version.version)


async def submit(
    pool: Any, resource: str, version: int, department: str, by: str, now: datetime
) -> StoredVersion:
    """Give a draft to review.

    Raises:
        ResourceUnknown, ResourceOfAnother, ResourceStateWrong: as they say.
        ResourceMalformed: it lacks what a review needs.
    """
    async with pool.acquire() as connection, connection.transaction():
        await tables.lock(connection)
        versions = await tables.versions_of(connection, [resource])
        found = _named(versions, version)
        _require_department(found, department)
        if found.state == "in-review":
            return found
        _require_state(found, "draft")
        require_ready(found.document)
        _require_notice(found.document, _changes(found, versions, now))
        await tables.set_state(connection, resource, version, "in-review", by, now)
        return _named(await tables.versions_of(connection, [resource]), version)


async def publish(
    pool: Any,
    resource: str,
    version: int,
    by: str,
    now: datetime,
    *,
    notice: timedelta,
    wanted_from: datetime | None = None,
) -> StoredVersion:
    """Publish what is in review, and tell it.

    Args:
        notice: time that a change which narrows is told before it applies.
        wanted_from: from when it is to apply, if that is later.

    Raises:
        ResourceUnknown, ResourceStateWrong, ResourceMalformed: as of `submit`.
    """
    async with pool.acquire() as connection, connection.transaction():
        await tables.lock(connection)
        versions = await tables.versions_of(connection, [resource])
        found = _named(versions, version)
        if found.state == "published":
            return found
        _require_state(found, "in-review")
        require_ready(found.document)
        changes = _changes(found, versions, now)
        _require_notice(found.document, changes)
        first = in_force(versions, now) is None
        applies = applies_from(changes, now, notice, wanted_from)
        await tables.set_state(connection, resource, version, "published", by, now, applies_from=applies)
        await tables.tell_change(
            connection,
            resource,
            version,
            "new" if first else "changed",
            changes,
            found.document["notice"],
            applies,
            now,
        )
        return _named(await tables.versions_of(connection, [resource]), version)


async def send_back(
    pool: Any, resource: str, version: int, by: str, now: datetime, reason: str
) -> StoredVersion:
    """Send what is in review back to its department, which finds the reason with its draft."""
    async with pool.acquire() as connection, connection.transaction():
        await tables.lock(connection)
        found = _named(await tables.versions_of(connection, [resource]), version)
        if found.state == "draft" and found.reason == reason:
            return found
        _require_state(found, "in-review")
        await tables.set_state(connection, resource, version, "draft", by, now, reason=reason)
        return _named(await tables.versions_of(connection, [resource]), version)


async def retire(
    pool: Any, resource: str, by: str, now: datetime, *, reason: str, notice: timedelta
) -> StoredVersion:
    """Retire a resource, after the notice, and tell it; return the version that was the last in force."""
    async with pool.acquire() as connection, connection.transaction():
        await tables.lock(connection)
        versions = await tables.versions_of(connection, [resource])
        found = max(
            (each for each in versions if each.state in {"published", "retired"}),
            key=lambda each: each.version,
            default=None,
        )
        if found is None:
            raise ResourceUnknown(_("the catalogue does not hold it"), pointer="/resource")
        until = now + notice
        if found.applies_until is not None and found.applies_until <= until:
            return found
        await tables.retire(connection, resource, by, now, reason, until)
        lost = Changes(({"what": "retired"},), ())
        await tables.tell_change(connection, resource, found.version, "retired", lost, reason, until, now)
        return _named(await tables.versions_of(connection, [resource]), found.version)


async def publish_seeds(pool: Any, documents: Sequence[Document], now: datetime) -> int:
    """Publish the documents that come along, each unless its resource is known; return how many were new.

    Several processes may start at once: they wait for each other here, and the first does it.
    """
    async with pool.acquire() as connection:
        if not await _unknown(connection, documents):
            return 0
        async with connection.transaction():
            await tables.lock(connection)
            new = await _unknown(connection, documents)
            await tables.put_drafts(connection, new, "zhengtong", now)
            for each in new:
                name, version = each["id"], each["version"]
                await tables.set_state(
                    connection, name, version, "published", "zhengtong", now, applies_from=now
                )
                await tables.tell_change(
                    connection, name, version, "new", Changes((), ()), each["notice"], now, now
                )
            return len(new)


async def _unknown(connection: Any, documents: Sequence[Document]) -> list[Document]:
    known = {
        each.resource for each in await tables.versions_of(connection, [each["id"] for each in documents])
    }
    return [each for each in documents if each["id"] not in known]


def _named(versions: Sequence[StoredVersion], version: int) -> StoredVersion:
    for each in versions:
        if each.version == version:
            return each
    raise ResourceUnknown(_("there is no such version of it"), pointer="/version")


def _require_department(version: StoredVersion, department: str) -> None:
    if version.department != department:
        raise ResourceOfAnother(_("another department keeps this resource"))


def _require_state(version: StoredVersion, state: str) -> None:
    if version.state != state:
        raise ResourceStateWrong(
            _("version {version} is {found}, not {wanted}"),
            version=version.version,
            found=version.state,
            wanted=state,
        )


def _changes(new: StoredVersion, versions: Sequence[StoredVersion], now: datetime) -> Changes:
    current = in_force(versions, now)
    return Changes((), ()) if current is None else compare(current.document, new.document)


def _require_notice(document: Mapping[str, Any], changes: Changes) -> None:
    if changes.narrowed and document["notice"] is None:
        raise ResourceMalformed(
            _("a version that takes something away says why, in its notice"), pointer="/notice"
        )
