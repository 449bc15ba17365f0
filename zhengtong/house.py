"""Building the house: everything the applications work with, opened in order and closed in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import jwt

import exchange.app
import exchange.corrections.following
import exchange.requests.overdue
import license_registry.app
from exchange.archives.pack import pack_forever
from exchange.audit.record import Recorder
from exchange.batches.work import work_forever as work_on_batches
from exchange.catalog.drafts.edit import publish_seeds
from exchange.catalog.follow import FollowedCatalogue
from exchange.catalog.resources import read_seeds
from exchange.commitments.rounds import see_to_plans
from exchange.corrections.notices.deliver import deliver_forever as deliver_corrections
from exchange.deadlines import load_deadlines
from exchange.grants.held import Grants
from exchange.plans.plan import Planning
from exchange.ports import Exchange
from exchange.queries.misses import Misses
from exchange.registers.freshness import Freshness
from exchange.registers.lookup import Lookups
from exchange.registers.schemas import load_registers
from exchange.relaying.relays import Relays
from exchange.subscriptions.heads import Heads
from exchange.subscriptions.rounds import go_on_forever
from foundation import database
from foundation.beside import beside
from foundation.identity import development_issuer
from foundation.identity.guard import Guard
from foundation.identity.people import PeopleVerifier
from foundation.identity.routes import TOKEN_PURPOSE, AuthorisationServer
from foundation.identity.signing_in import SigningIn
from foundation.identity.tokens import TokenVerifier
from foundation.ledger.sequencer import run_forever
from foundation.sensitive import Vault
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings
from foundation.signing import CertificateAuthority, KeyStore
from foundation.webhooks.sending import sender
from license_registry.catalog.types import load_types
from license_registry.documents.at_issue import work_forever as draw_documents
from license_registry.documents.drawing import Drawing
from license_registry.issuing.bulk.jobs import work_forever
from license_registry.lifecycle.status_lists import StatusLists
from license_registry.ports import Registry
from license_registry.presenting.tables import Codes
from license_registry.store.objects import open_store
from license_registry.wallets.attesters import load_attesters
from zhengtong.case_archives import StoredArchives
from zhengtong.contacts import MappedContacts
from zhengtong.decided_identities import DecidedIdentities
from zhengtong.following_keys import follow_keys
from zhengtong.held_licences import RegisteredLicences
from zhengtong.holders import RegisteredHolders
from zhengtong.house_keys import open_keys, open_log
from zhengtong.licence_changes import FollowedLicences
from zhengtong.licence_resources import licence_resources
from zhengtong.presented_codes import PresentedCodes

HOT_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class House:
    """All that the process serves with."""

    exchange: Exchange
    registry: Registry
    authorisation_server: AuthorisationServer
    exchange_guard: Guard
    registry_guard: Guard


@contextlib.asynccontextmanager
async def open_house(settings: Settings, address: str) -> AsyncIterator[House]:
    """Open everything for serving, the log's sequencer included.

    Args:
        address: of the database, whose schema the caller has checked.
    """
    now = datetime.now(UTC)
    keys = open_keys(settings, now)
    vault = open_vault(settings, now)
    certificates = CertificateAuthority(keys)
    tiles, log_signer = open_log(settings, keys)
    engine = database.engine(address)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        pool = await stack.enter_async_context(database.pool(address, HOT_CONNECTIONS))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=5))
        recorder = Recorder(pool)
        await stack.enter_async_context(recorder.running())
        types = await asyncio.to_thread(load_types, settings.licence_types_folder)
        lookups = Lookups(pool, load_registers().values())
        await stack.enter_async_context(lookups.running())
        grants = Grants(pool)
        await stack.enter_async_context(grants.followed())
        misses = Misses(pool, settings.unknown_subjects_per_hour)
        await stack.enter_async_context(misses.followed())
        await stack.enter_async_context(
            beside(
                "sequencer",
                lambda: run_forever(pool, tiles, log_signer, interval=settings.sequence_interval_seconds),
            )
        )
        relays = Relays(
            pool, keys, settings.base_url, await stack.enter_async_context(httpx.AsyncClient(timeout=5))
        )
        await relays.load()
        await stack.enter_async_context(beside("relays", relays.follow_forever))
        await stack.enter_async_context(beside("keys", lambda: follow_keys(keys)))
        audiences = (exchange.app.AUDIENCE, license_registry.app.AUDIENCE)
        server = AuthorisationServer(
            settings.base_url, audiences, engine, keys, certificates, settings.access_token_seconds
        )
        people = _people(settings, vault, http)
        token_keys = _TokenKeys(keys)
        issuer = f"{settings.base_url}/registry"
        codes = Codes(pool)
        await stack.enter_async_context(codes.running())
        drawing = Drawing(settings.fonts_folder)
        stack.push_async_callback(asyncio.to_thread, drawing.close)
        registry = Registry(
            settings,
            pool,
            vault,
            keys,
            await asyncio.to_thread(open_store, settings),
            types,
            StatusLists(pool, keys, issuer),
            RegisteredHolders(pool, vault),
            codes,
            drawing,
            _signing_in(settings, people, http),
            DecidedIdentities(pool),
            await asyncio.to_thread(load_attesters, settings.wallet_attesters),
        )
        await stack.enter_async_context(beside("issuing", lambda: work_forever(registry)))
        await publish_seeds(pool, read_seeds(), now)
        catalogue = FollowedCatalogue(pool, licence_resources(types))
        await catalogue.refresh(now)
        await stack.enter_async_context(beside("catalogue", catalogue.follow))
        heads = Heads(pool)
        await stack.enter_async_context(heads.running())
        served = Exchange(
            settings,
            pool,
            engine,
            vault,
            keys,
            recorder,
            grants,
            lookups,
            catalogue,
            tiles,
            RegisteredLicences(pool, vault, registry.types),
            Freshness(pool),
            misses,
            await asyncio.to_thread(load_deadlines, settings),
            heads,
            MappedContacts(settings.sources_folder),
            relays,
            StoredArchives(registry),
            PresentedCodes(registry),
        )
        webhooks = await stack.enter_async_context(sender(settings))
        works: dict[str, Callable[[], Awaitable[object]]] = {
            "documents": lambda: draw_documents(registry),
            "overdue-requests": lambda: exchange.requests.overdue.rounds(served),
            "corrections": lambda: exchange.corrections.following.rounds(served),
            "correction-notices": lambda: deliver_corrections(served, webhooks),
            "batches": lambda: work_on_batches(served),
            "live-batches": lambda: work_on_batches(served, live=True),
            "archives": lambda: pack_forever(served),
            "plans": lambda: see_to_plans(Planning(served), webhooks),
            "subscriptions": lambda: go_on_forever(served, FollowedLicences(registry), webhooks),
        }
        for name, work in works.items():
            await stack.enter_async_context(beside(name, work))
        yield House(
            exchange=served,
            registry=registry,
            authorisation_server=server,
            exchange_guard=Guard(TokenVerifier(settings.base_url, audiences[0], token_keys), people),
            registry_guard=Guard(TokenVerifier(settings.base_url, audiences[1], token_keys), people),
        )


def _people(settings: Settings, vault: Vault, http: httpx.AsyncClient) -> PeopleVerifier | None:
    issuer = settings.people_issuer
    if settings.development_issuer:
        issuer = settings.base_url + development_issuer.PREFIX
    if issuer is None:
        return None
    return PeopleVerifier(issuer, settings.people_audience, settings.people_citizen_id_claim, vault, http)


def _signing_in(
    settings: Settings, people: PeopleVerifier | None, http: httpx.AsyncClient
) -> SigningIn | None:
    if people is None:
        return None
    secret = settings.people_client_secret
    return SigningIn(
        people, settings.people_audience, None if secret is None else secret.get_secret_value(), http
    )


class _TokenKeys:
    """Public keys of access tokens as PyJWT takes them; the store is looked at again every few seconds."""

    def __init__(self, keys: KeyStore) -> None:
        self._store = keys
        self._read = 0.0
        self._keys: Mapping[str, jwt.PyJWK] = {}

    def __call__(self) -> Mapping[str, jwt.PyJWK]:
        if time.monotonic() - self._read > 5:
            self._store.reload()
            wanted = self._store.verification_keys(TOKEN_PURPOSE)
            self._keys = {
                key["kid"]: jwt.PyJWK(key) for key in self._store.jwks()["keys"] if key["kid"] in wanted
            }
            self._read = time.monotonic()
        return self._keys
