"""The one settings object. It is read once, at start, and passed in; nothing else reads the environment."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import secrets
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
MASTER_KEY_BYTES = 32


class SettingsError(ValueError):
    """A setting that cannot be used; the message names the setting and what is wrong with it."""


class Settings(BaseSettings):
    """Everything an operator can set, by environment variables `ZHENGTONG_<NAME>` or by keyword.

    Times are seconds, sizes are bytes. Secrets are `SecretStr`: they never show in `repr` or in `masked()`.
    """

    model_config = SettingsConfigDict(env_prefix="ZHENGTONG_", extra="forbid", frozen=True)

    home: Path = Field(default=Path("var"), description="Folder that holds all data of the embedded default")
    database_url: SecretStr | None = Field(
        default=None, description="Any PostgreSQL 15+; none: the embedded one"
    )
    master_key: SecretStr | None = Field(
        default=None, description="32 bytes in base64 that wrap every other key; none: a file under home"
    )
    data_cipher: Literal["aes-256-gcm", "sm4-gcm"] = Field(
        default="aes-256-gcm", description="Cipher of sensitive fields at rest, from now on"
    )

    credential_algorithm: Literal["ES256", "SM2SM3"] = Field(
        default="ES256", description="What licences are signed with; settled by the first start"
    )

    listen_host: str = "127.0.0.1"
    listen_port: int = Field(default=8800, ge=0, le=65535)
    public_url: str | None = Field(default=None, description="Address by which others reach this service")
    maximum_body_bytes: int = Field(default=1 << 20, ge=1024)
    maximum_ingest_bytes: int = Field(
        default=64 << 20, ge=1024, description="Largest batch that a department may send at once"
    )
    maximum_batch_bytes: int = Field(
        default=256 << 20,
        ge=1024,
        description="Largest batch of questions that a department may send at once",
    )
    batch_result_days: int = Field(
        default=7, ge=1, le=90, description="Days for which the result of a batch can be fetched"
    )

    object_store: Literal["files", "s3"] = "files"
    s3_endpoint: str | None = None
    s3_bucket: str = "zhengtong"
    s3_access_key: SecretStr | None = None
    s3_secret_key: SecretStr | None = None
    s3_secure: bool = True
    s3_retention_days: int | None = Field(
        default=None,
        ge=1,
        description="Days for which nobody can delete or replace an object (object lock, compliance mode)",
    )

    connections: dict[str, SecretStr] = Field(
        default={}, description="JSON: name of a connection → URI, for sources that are fetched"
    )

    holder_register: Literal["required", "if-known"] = Field(
        default="required",
        description="Holders of licences must be in the city's registers; or need only match where they are",
    )

    required_seals: Literal["required", "not-yet"] = Field(
        default="not-yet",
        description="Nothing is issued while the authority lacks a seal that the type asks for; or not yet",
    )

    seal_algorithm: Literal["ES256", "SM2SM3"] = Field(
        default="ES256",
        description="What seals are made and put with from now on; those of before stay as they are",
    )
    registry_authority: str | None = Field(
        default=None,
        pattern=r"^[0-9A-HJ-NPQRTUWXY]{18}$",
        description="Unified code of who runs the registry, whose own seals are put where a licence type asks for them",
    )

    time_stamp_url: str | None = Field(
        default=None,
        description="Authority of time stamps (RFC 3161) that is asked for each seal put on something",
    )
    time_stamp_root_file: Path | None = Field(
        default=None,
        description="Certificates (PEM) that authorities of time stamps are trusted by, and nobody else",
    )

    documents: Literal["at-issue", "when-asked"] = Field(
        default="at-issue",
        description="When the sealed document of a licence is drawn: beside the service right after issuing, or once"
        " somebody asks for it",
    )

    plan_deadline_seconds: float = Field(
        default=3, gt=0, le=30, description="What a plan's evidence has not answered by then counts as late"
    )
    offer_hours: int = Field(
        default=72, ge=1, le=24 * 90, description="How long a plan's consents and commitments stay open"
    )
    consent_code_seconds: int = Field(
        default=600,
        ge=30,
        le=24 * 3600,
        description="How long a code works that a person has made for one consent",
    )
    case_content_days: int = Field(
        default=1095,
        ge=1,
        description="Days after which what plans and delivered messages keep sealed is deleted; records stay",
    )
    correction_words_days: int = Field(
        default=1095,
        ge=1,
        description="Days after which what was said in a report of a wrong value is deleted",
    )
    entitlement_values_days: int = Field(
        default=365, ge=1, description="Days after which what was seen of who is entitled is deleted"
    )
    supervised_applicant_days: int = Field(
        default=1825, ge=1, description="Days after which a supervised applicant's identifier is deleted"
    )
    dead_message_days: int = Field(
        default=180, ge=1, description="Days after which messages and events that were given up are deleted"
    )
    remind_working_days: int = Field(
        default=2,
        ge=0,
        le=60,
        description="Working days before its last day to remind of a material that follows",
    )
    credit_webhook: str | None = Field(
        default=None, description="Address of the credit authority, which is told of breached commitments"
    )
    supervision_webhooks: dict[str, str] = Field(
        default={},
        description="JSON: department (USCC) → address that is told what it is to supervise, and whom to give"
        " a benefit",
    )
    catalogue_notice_days: int = Field(
        default=30,
        ge=0,
        le=3650,
        description="Days that a version of a data resource which takes something away is told before it applies",
    )

    access_token_seconds: int = Field(default=600, ge=30, le=3600)
    presentation_seconds: int = Field(default=60, ge=5, le=600)
    offline_code_seconds: int = Field(
        default=24 * 3600,
        ge=60,
        le=7 * 24 * 3600,
        description="How long a signed code works without a network",
    )
    wrong_numbers_per_hour: int = Field(
        default=10,
        ge=1,
        description="Wrong licence numbers that a caller may name, and that one number may meet",
    )
    unknown_subjects_per_hour: int = Field(
        default=200,
        ge=1,
        description="Subjects that a client may ask about that are not known or have another name than claimed",
    )
    batch_misses: int = Field(
        default=100,
        ge=1,
        description="Subjects that a client misses in batches of a day, most of whose subjects it misses: a finding",
    )
    batch_misses_percent: int = Field(
        default=50,
        ge=0,
        le=100,
        description="More missed subjects than this make a batch count for batch_misses",
    )
    ledger_origin: str = "zhengtong.example/ledger"
    sequence_interval_seconds: float = Field(default=0.5, gt=0, le=60)

    people_issuer: str | None = Field(default=None, description="OpenID Connect issuer that people come from")
    people_audience: str = "zhengtong"
    people_citizen_id_claim: str = "citizen_id"
    people_client_secret: SecretStr | None = Field(
        default=None, description="Our secret at the issuer of people; none: we are a public client there"
    )
    wallet_clients: dict[str, tuple[str, ...]] = Field(
        default={},
        description="JSON: client id of a wallet → addresses that its holders may be sent back to with a code",
    )
    wallet_attesters: dict[str, Path] = Field(
        default={},
        description="JSON: client id of a wallet → file with the keys (JWK Set) or authorities (PEM) that attest it:"
        " such a wallet is not taken without an attestation",
    )
    wallet_attestation: Literal["where-configured", "required"] = Field(
        default="where-configured",
        description="Wallets of wallet_attesters have to be attested; or only attested ones are taken at all",
    )
    wallet_dpop: Literal["accepted", "required"] = Field(
        default="accepted",
        description="Tokens of wallets are bound to a key (DPoP) where the wallet proves to hold one; or always",
    )
    development_issuer: bool = Field(
        default=False, description="Serve a local issuer that lets anyone be anybody: loopback only"
    )

    webhook_networks: tuple[str, ...] = Field(
        default=(), description='JSON: private networks that webhooks may reach, such as ["10.20.0.0/16"]'
    )
    webhook_ca_file: Path | None = Field(
        default=None,
        description="Certificates (PEM) that departments' servers are trusted by, beside the world's",
    )
    feed_days: int = Field(default=30, ge=1, description="How long events of subscriptions are kept")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("database_url")
    @classmethod
    def _postgresql_only(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and urlsplit(value.get_secret_value()).scheme not in {"postgresql", "postgres"}:
            raise ValueError("must be a postgresql:// address; no other database is supported")
        return value

    @field_validator("master_key")
    @classmethod
    def _thirty_two_bytes(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _decode_master_key(value.get_secret_value())
        return value

    @field_validator("webhook_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            ipaddress.ip_network(text)
        return value

    @field_validator("wallet_clients")
    @classmethod
    def _addresses_of_wallets(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for address in (each for addresses in value.values() for each in addresses):
            parts = urlsplit(address)
            # A scheme of an app has a dot (RFC 8252 §7.1), which keeps `javascript:` and its like out.
            fits = (
                (parts.scheme == "https" and parts.hostname)
                or (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS)
                or "." in parts.scheme
            )
            if not fits or parts.fragment or not address.isascii() or not address.isprintable():
                raise ValueError(
                    "addresses of wallets are https, http on loopback, or of an app's own scheme"
                )
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        if self.development_issuer and self.listen_host not in LOOPBACK_HOSTS:
            raise ValueError(
                "development_issuer lets anyone be anybody and therefore refuses to run while "
                f"listen_host is {self.listen_host!r}; listen on 127.0.0.1 or configure people_issuer"
            )
        if self.development_issuer and urlsplit(self.base_url).hostname not in LOOPBACK_HOSTS:
            # Behind a proxy the service faces a network although it listens on loopback.
            raise ValueError("development_issuer refuses to run while public_url is beyond loopback")
        if self.development_issuer and self.people_issuer is not None:
            raise ValueError("people_issuer and development_issuer exclude each other")
        if self.time_stamp_url is not None and self.time_stamp_root_file is None:
            raise ValueError(
                "time_stamp_url needs time_stamp_root_file, by which its time stamps are checked"
            )
        if self.wallet_attestation == "required" and not self.wallet_attesters:
            raise ValueError("wallet_attestation=required needs wallet_attesters")
        if self.object_store == "s3" and not (self.s3_endpoint and self.s3_access_key and self.s3_secret_key):
            raise ValueError("object_store=s3 needs s3_endpoint, s3_access_key and s3_secret_key")
        return self

    @property
    def base_url(self) -> str:
        """Address of this service without a trailing slash."""
        host = f"[{self.listen_host}]" if ":" in self.listen_host else self.listen_host
        return (self.public_url or f"http://{host}:{self.listen_port}").rstrip("/")

    @property
    def keys_folder(self) -> Path:
        """Signing keys and data keys, each encrypted under the master key."""
        return self.home / "keys"

    @property
    def ledger_folder(self) -> Path:
        """Published tiles and checkpoint of the transparency log."""
        return self.home / "ledger"

    @property
    def objects_folder(self) -> Path:
        """Objects of the store kind `files`."""
        return self.home / "objects"

    @property
    def sources_folder(self) -> Path:
        """Mappings of this city's own sources, one YAML each, beside those that come along."""
        return self.home / "sources"

    @property
    def workdays_file(self) -> Path:
        """This city's own days off and on, beside those that come along (`foundation/workdays.py`)."""
        return self.home / "workdays.csv"

    @property
    def deadlines_file(self) -> Path:
        """This city's own terms in working days, in place of those that come along (`exchange/deadlines.py`)."""
        return self.home / "deadlines.json"

    @property
    def licence_types_folder(self) -> Path:
        """This city's own licence types and versions, beside those that come along."""
        return self.home / "licence_types"

    @property
    def fonts_folder(self) -> Path:
        """This city's own fonts, for characters that those which come along lack (`license_registry/documents`)."""
        return self.home / "fonts"

    @property
    def logs_folder(self) -> Path:
        """JSON lines of the service."""
        return self.home / "logs"

    def masked(self) -> dict[str, object]:
        """All settings as JSON values, secrets as `**********`; an unset secret is null."""
        return self.model_dump(mode="json")


def load_master_key(settings: Settings) -> bytes:
    """Return the 32-byte master key: the setting, or the file under home, made at the first start.

    Raises:
        SettingsError: the file holds something else than 32 bytes in base64.
    """
    if settings.master_key is not None:
        return _decode_master_key(settings.master_key.get_secret_value())
    path = settings.home / "secrets" / "master.key"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        fresh = base64.b64encode(secrets.token_bytes(MASTER_KEY_BYTES))
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(fresh)
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link, not a rename: of two first starts at once exactly one wins, and both then read it.
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    try:
        return _decode_master_key(path.read_text(encoding="ascii"))
    except ValueError as error:
        raise SettingsError(f"master key file {path}: {error}") from error


def _decode_master_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, UnicodeError) as error:
        raise ValueError("must be 32 bytes in base64") from error
    if len(key) != MASTER_KEY_BYTES:
        raise ValueError(f"must be 32 bytes in base64, not {len(key)}")
    return key
