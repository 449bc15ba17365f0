"""What the exchange works with, built once at start and handed to its routes as `app.state.exchange`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from exchange.audit.record import Recorder
from exchange.catalog.follow import FollowedCatalogue
from exchange.deadlines import Deadlines
from exchange.grants.held import Grants
from exchange.queries.misses import Misses
from exchange.registers.freshness import Freshness
from exchange.registers.lookup import Lookups
from exchange.relaying.relays import Relays
from exchange.subscriptions.heads import Heads
from foundation.identity.principals import Principal
from foundation.ledger import DirectoryTiles
from foundation.sensitive import Vault
from foundation.settings import Settings
from foundation.signing import KeyStore


@dataclass(frozen=True, slots=True)
class HeldLicence:
    """A licence that somebody holds.

    Args:
        division: where it is at home (6 digits).
        values: opens it and returns its fields in clear.
        merged: it stands under another identifier, which was decided to be of the same subject.
    """

    division: str | None
    issued_at: datetime
    values: Callable[[], Mapping[str, Any]]
    merged: bool = False


class LicencesHeld(Protocol):
    """The registry of licences; the exchange does not know where it is."""

    def knows(self, licence_type: str) -> bool:
        """True when there is a licence type of this id."""

    async def in_force(self, questions: Sequence[tuple[str, bytes]], day: date) -> list[bool]:
        """Tell in step whether somebody, alone or with others, holds a licence of a type that is valid on a day.

        Args:
            questions: licence type, and blind index of the holder.
        """

    async def of_holders(
        self, licence_type: str, holders: Sequence[bytes], day: date
    ) -> dict[bytes, HeldLicence]:
        """Return holder → the newest licence of a type that they hold and that is valid on a day, alone or with others.

        Args:
            holders: blind indexes; who holds none is missing.
        """


@dataclass(frozen=True, slots=True)
class LicenceChange:
    """What became of a licence.

    Args:
        resource: id of the resource that the licence's type is.
        kind: of event, such as `licence-revoked`.
        holders: blind index → identifier, None where it was not asked for or is not known.
        division: where the licence is at home (6 digits).
    """

    resource: str
    kind: str
    holders: Mapping[bytes, str | None]
    division: str | None
    happened_at: datetime


class LicenceChanges(Protocol):
    """The registry of licences, followed by positions that come in the order of what they tell."""

    async def head(self) -> int:
        """Return the last position that there is; -1 before the first."""

    async def between(
        self, position: int, upto: int, resources: frozenset[str], *, identified: bool
    ) -> list[LicenceChange]:
        """Return what became of licences of these types above a position up to another, in order.

        Args:
            identified: with the identifiers of the holders.
        """


class SourceContacts(Protocol):
    """Who is to be turned to at a source of data."""

    async def contacts(self, sources: Collection[str]) -> Mapping[str, str]:
        """Return source → department and office to turn to, of those that are known."""


@dataclass(frozen=True, slots=True)
class LicenceSeen:
    """What a department was shown of a licence in a case, as the registry of licences recorded it.

    Args:
        kind: of event, such as `presentation-verified`, and what it `said`.
        entry: of the event in the log (32 bytes).
        copy: the marked copy that the department got, as signed; None where it got none.
    """

    record: str
    identifier: str
    kind: str
    entry: bytes
    said: Mapping[str, Any]
    copy: bytes | None


@dataclass(frozen=True, slots=True)
class InLog:
    """A record with its place in the log: its entry (32 bytes), and the audit path (RFC 6962), 32 bytes each."""

    record: str
    entry: bytes
    leaf_index: int
    path: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Package:
    """What goes into an archive package.

    Args:
        key: under which it is kept; the same key again is the same package, whatever else is given.
        files: by their paths: `case/`, `plans/`, `answers/`, `commitments/`, `copies/`.
        facts: members of its manifest; JSON without fractions.
        checkpoint: signed head of the log (C2SP), under which every record of `proofs` is proved.
    """

    key: str
    matter: str
    case: str
    files: Mapping[str, bytes]
    facts: Mapping[str, Any]
    checkpoint: str
    proofs: Sequence[InLog]


@dataclass(frozen=True, slots=True)
class KeptPackage:
    """A package in the store; digests and size are of what is handed out."""

    key: str
    sha256: bytes
    sm3: bytes | None
    bytes: int | None


class Archives(Protocol):
    """Where packages of closed cases are made and kept: sealed, and never replaced.

    What cannot be read is `exchange.archives.errors.ArchiveDamaged`, a store that cannot be reached
    `ArchiveUnavailable`.
    """

    async def licences_seen(
        self, subjects: Collection[bytes], department: str, matter: str, case: str, upto: datetime
    ) -> list[LicenceSeen]:
        """Return what a department was shown in a case of licences that these subjects (blind indexes) hold."""

    async def pack(self, caller: Principal, package: Package, now: datetime) -> KeptPackage:
        """Make a package and keep it, once."""

    async def fetch(self, key: str) -> bytes:
        """Return a package."""


class PresentedCodes(Protocol):
    """Codes by which people present themselves at a counter; where they are made, the exchange does not know."""

    async def identify(
        self, caller: Principal, code: str, *, matter: str, case: str, among: Collection[bytes], now: datetime
    ) -> bytes:
        """Use a code up and return who has made it (blind index); what is refused leaves it unused.

        Args:
            among: who it may be.

        Raises:
            what `exchange.consents.errors` names: no code, used, late, of another, for another matter, by an agent.
        """


@dataclass(frozen=True, slots=True)
class Exchange:
    """Rooms of the exchange reach everything that is not pure through this.

    Args:
        pool: asyncpg pool, for the hot path.
        engine: SQLAlchemy engine on the same database, for everything else.
        catalogue: resources in force; a change takes effect in every process within two seconds.
    """

    settings: Settings
    pool: Any
    engine: AsyncEngine
    vault: Vault
    keys: KeyStore
    recorder: Recorder
    grants: Grants
    lookups: Lookups
    catalogue: FollowedCatalogue
    tiles: DirectoryTiles
    licences: LicencesHeld
    freshness: Freshness
    misses: Misses
    deadlines: Deadlines
    heads: Heads
    contacts: SourceContacts
    relays: Relays
    archives: Archives
    codes: PresentedCodes
