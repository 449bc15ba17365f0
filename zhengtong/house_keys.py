"""The keys of the house: what each is for, and the log that one of them signs. No room has to be opened for them."""

from __future__ import annotations

from datetime import datetime

from exchange.queries.attest import PURPOSE as ANSWER_PURPOSE
from exchange.relaying.relays import CASCADE_PURPOSE, QUESTION_PURPOSE
from exchange.subscriptions.delivering import PURPOSE as EVENT_PURPOSE
from foundation.identity import development_issuer
from foundation.identity.routes import TOKEN_PURPOSE
from foundation.ledger import VERIFIER_KEY_FILE, DirectoryTiles, LogSigner
from foundation.settings import Settings, load_master_key
from foundation.signing import Algorithm, KeyStore, decode_base64url
from license_registry.lifecycle.status_lists import PURPOSE as CREDENTIAL_PURPOSE
from license_registry.notices.deliver import PURPOSE as NOTICE_PURPOSE
from license_registry.wallets.requests import PURPOSE as REQUEST_PURPOSE

LEDGER_PURPOSE = "ledger"

PURPOSES = {
    TOKEN_PURPOSE: Algorithm.ES256,
    ANSWER_PURPOSE: Algorithm.ES256,
    QUESTION_PURPOSE: Algorithm.ES256,
    CASCADE_PURPOSE: Algorithm.ES256,
    CREDENTIAL_PURPOSE: Algorithm.ES256,
    NOTICE_PURPOSE: Algorithm.ES256,
    EVENT_PURPOSE: Algorithm.ES256,
    REQUEST_PURPOSE: Algorithm.ES256,
    LEDGER_PURPOSE: Algorithm.EDDSA,
}


def open_keys(settings: Settings, now: datetime) -> KeyStore:
    """Open the key store and make sure that every purpose has an active key."""
    keys = KeyStore(settings.keys_folder / "signing", load_master_key(settings))
    purposes = {**PURPOSES, CREDENTIAL_PURPOSE: Algorithm(settings.credential_algorithm)}
    if settings.development_issuer:
        purposes[development_issuer.PURPOSE] = Algorithm.ES256
    for purpose, algorithm in purposes.items():
        keys.ensure_active(purpose, algorithm, now)
    return keys


def open_log_signer(settings: Settings, keys: KeyStore) -> LogSigner:
    """Return what the log signs its heads with."""
    signer = keys.signer(LEDGER_PURPOSE)
    return LogSigner(settings.ledger_origin, decode_base64url(signer.public.to_jwk()["x"]), signer.sign)


def open_log(settings: Settings, keys: KeyStore) -> tuple[DirectoryTiles, LogSigner]:
    """Return the published files of the log and what signs its heads; what verifies them is published beside."""
    signer = open_log_signer(settings, keys)
    settings.ledger_folder.mkdir(parents=True, exist_ok=True)
    (settings.ledger_folder / VERIFIER_KEY_FILE).write_text(f"{signer.verifier_key}\n", encoding="ascii")
    return DirectoryTiles(settings.ledger_folder), signer
