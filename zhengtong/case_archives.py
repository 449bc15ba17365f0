"""Packages of closed cases, made and kept by the registry of licences: the exchange knows no store."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime

from exchange.archives.errors import ArchiveDamaged, ArchiveUnavailable
from exchange.ports import KeptPackage, LicenceSeen, Package
from foundation.errors import DomainError
from foundation.identity.principals import Principal
from license_registry.archive import pack as packing
from license_registry.archive import tables
from license_registry.archive.pack import ToPack
from license_registry.archive.seen import seen_in_case
from license_registry.ports import Registry
from license_registry.store.objects import ObjectAltered, ObjectMissing, StoreFull, StoreUnavailable
from license_registry.verifying.archive import CHECKPOINT, PROOFS
from license_registry.verifying.logged import Proof, write_proofs


class StoredArchives:
    """The exchange's packages in the registry's store."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def licences_seen(
        self, subjects: Collection[bytes], department: str, matter: str, case: str, upto: datetime
    ) -> list[LicenceSeen]:
        """Return what a department was shown in a case of licences that these subjects hold."""
        with _told():
            found = await seen_in_case(self._registry, subjects, department, matter, case, upto)
        return [
            LicenceSeen(
                str(each.seen.id),
                each.seen.identifier,
                each.seen.kind,
                each.seen.entry,
                each.seen.content,
                each.copy,
            )
            for each in found
        ]

    async def pack(self, caller: Principal, package: Package, now: datetime) -> KeptPackage:
        """Make a package and keep it, once."""
        log = {}
        if package.proofs:
            proofs = [Proof(each.record, each.entry, each.leaf_index, each.path) for each in package.proofs]
            log = {CHECKPOINT: package.checkpoint.encode(), PROOFS: write_proofs(proofs)}
        wanted = ToPack(
            package.key, package.matter, package.case, {**package.files, **log}, dict(package.facts)
        )
        with _told():
            kept = await packing.pack(self._registry, caller, wanted, now)
        return KeptPackage(kept.object_key, kept.sha256, kept.sm3, kept.bytes)

    async def fetch(self, key: str) -> bytes:
        """Return a package."""
        kept = await tables.find(self._registry.pool, key)
        assert kept is not None, "what was packed was noted first"
        with _told():
            return await packing.fetch(self._registry, kept)


@contextmanager
def _told() -> Iterator[None]:
    """Say in the exchange's words what is the matter with the store."""
    try:
        yield
    except (ObjectMissing, ObjectAltered) as error:
        raise _as(ArchiveDamaged, error) from error
    except (StoreFull, StoreUnavailable) as error:
        raise _as(ArchiveUnavailable, error) from error


def _as(kind: type[DomainError], error: DomainError) -> DomainError:
    return kind(error.message)
