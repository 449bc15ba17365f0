"""The client that blocks; one may serve many threads."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from foundation.calling.blocking import BlockingCaller
from foundation.calling.calls import Call
from foundation.calling.errors import ProblemError
from foundation.calling.retrying import Patience
from zhengtong.client import requests
from zhengtong.client.batches import BatchAnswers, read_batch_result
from zhengtong.client.keys import PrivateKey
from zhengtong.client.offline import (
    AnswerInvalid,
    Keys,
    Statement,
    read_keys,
    require_asked,
    verify_answer,
    verify_receipt,
)
from zhengtong.client.party import TIMEOUT_SECONDS, make_party
from zhengtong.client.requests import ClaimValue
from zhengtong.client.results import (
    Batch,
    Code,
    CodeShown,
    Events,
    Grant,
    InclusionProof,
    LicenceCheck,
    NumberCheck,
    Plan,
    Query,
    Subscription,
    Verification,
)
from zhengtong.client.synchronous_sharing import SharingMethods

Result = TypeVar("Result")

_PROOF_POLL_SECONDS = 0.25


class Client(SharingMethods):
    """A department's way to a Zhengtong.

    Tokens are fetched when they are needed and renewed before they expire. What may be sent again without harm is,
    after a growing wait; anything else never. Every answer is checked before it is returned: its signature, and that it
    answers what was asked.

    Args:
        base_url: of the service, such as `https://zhengtong.example`.
        client_id, private_key: a registered system and its key (see `load_private_key`); `key_id` is the `kid` that
            was registered, the JWK thumbprint unless given.
        id_token: of a person who has signed in at the issuer of people, instead of the former.
        keys: JWK Set that answers are checked with; fetched once from the service if none is given. What is to be
            relied on against the service itself is pinned here.
        log_key: of the log (`name+hash+key`), as for `keys`.
        issuer: by which the service names itself; `base_url` unless it is reached another way.
        http: a client of httpx with proxies or certificates of one's own; it stays the caller's to close.
    """

    def __init__(
        self,
        base_url: str,
        client_id: str | None = None,
        private_key: PrivateKey | None = None,
        *,
        key_id: str | None = None,
        id_token: str | None = None,
        keys: Mapping[str, Any] | None = None,
        log_key: str | None = None,
        issuer: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        patience: Patience | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        party = make_party(
            base_url,
            client_id,
            private_key,
            key_id=key_id,
            issuer=issuer,
            id_token=id_token,
            timeout=timeout,
            patience=patience,
        )
        self._owns_http = http is None
        self._http = httpx.Client() if http is None else http
        self._caller = BlockingCaller(party, self._http)
        self._pinned = keys is not None
        self._keys: Keys | None = None if keys is None else read_keys(keys)
        self._log_key = log_key

    def close(self) -> None:
        """Close the connections that this client opened."""
        if self._owns_http:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def call(self, call: Call[Result]) -> Result:
        """Make any call; raises CallFailed."""
        return self._caller.call(call)

    def request(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> httpx.Response:
        """Make a call that has no method here. A POST is sent again only if you give its `idempotency_key`."""
        return self.call(requests.anything(method, path, json, params, idempotency_key))

    # --- asking ---

    def verify(
        self, resource: str, subject: str, claims: Mapping[str, ClaimValue], *, matter: str, case: str
    ) -> Verification:
        """Ask whether what an applicant claims holds.

        Args:
            subject: identifier in clear; it stands in the body of the request only.
            claims: name → value, or name → `{"field": …, "is": …, "value": …}` (docs/asking.md).

        Raises:
            ProblemError, Unreachable, ReplyUnreadable: no answer came.
            AnswerInvalid: one came that must not be relied on.
        """
        answered = self.call(requests.verification(resource, subject, claims, matter, case))
        statement = self.check(answered.answer)
        require_asked(statement, resource, claims, matter, case)
        if dict(statement.results) != dict(answered.results):
            raise AnswerInvalid("question-differs", "the reply says other things than what was signed")
        return answered

    def query(self, resource: str, subject: str, fields: Sequence[str], *, matter: str, case: str) -> Query:
        """Ask for the values of fields; raises as `verify`."""
        answered = self.call(requests.query(resource, subject, fields, matter, case))
        said = self.check(answered.answer).claims
        asked = {"resource": resource, "matter": matter, "case": case, "values": dict(answered.values)}
        if any(said.get(name) != value for name, value in asked.items()):
            raise AnswerInvalid("question-differs", "it answers another question")
        return answered

    def plan(
        self,
        matter: str,
        *,
        case: str,
        subjects: Mapping[str, str],
        inputs: Mapping[str, str | bool | int] | None = None,
        brought: Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> Plan:
        """Ask for all that a matter needs of a case, instead of asking the applicant for papers.

        Args:
            subjects: role → identifier.
            inputs: what the applicant states in the form.
            brought: materials that are there on paper.
        """
        return self.call(requests.plan(matter, case, subjects, inputs or {}, brought, idempotency_key))

    def show_code(self, matter: str, *, case: str, code: str, shown: uuid.UUID | None = None) -> CodeShown:
        """Hand on a code that the applicant shows at the counter (docs/plans.md).

        Args:
            shown: id of the showing, new for each; the same again tells how the consents stand by now.
        """
        return self.call(requests.shown_code(case, matter, code, shown))

    def submit_batch(
        self,
        question: Mapping[str, Any],
        subjects: bytes,
        *,
        media_type: str = "application/x-ndjson",
        idempotency_key: str | None = None,
    ) -> Batch:
        """Ask about many subjects (docs/batches.md); the whole is held in memory."""
        return self.call(requests.batch(question, subjects, media_type, idempotency_key))

    def batch(self, batch_id: uuid.UUID | str) -> Batch:
        """See how far a batch is."""
        return self.call(requests.batch_progress(batch_id))

    def wait_for_batch(self, batch_id: uuid.UUID | str, *, seconds: float, every: float = 2.0) -> Batch:
        """Wait until a batch has ended, or for so many seconds; see what became of it by its `state`."""
        waited = 0.0
        while True:
            found = self.batch(batch_id)
            if not found.going_on or waited >= seconds:
                return found
            time.sleep(every)
            waited += every

    def batch_result(self, batch_id: uuid.UUID | str) -> bytes:
        """Fetch the result of a batch, sealed to the key that it was asked with."""
        return self.call(requests.batch_result(batch_id))

    def open_batch_result(self, batch_id: uuid.UUID | str, key: Mapping[str, Any]) -> BatchAnswers:
        """Fetch the result of a batch, open it and check all of it; the whole is held in memory.

        Args:
            key: private JWK of the key that it was asked with.

        Raises:
            AnswerInvalid: it must not be relied on.
            KeyUnusable: the key is none that opens results.
        """
        result = self.batch_result(batch_id)
        issuer = self._caller.party.issuer
        return self._with_keys(
            lambda keys: read_batch_result(result, key, keys, issuer=issuer, batch=batch_id)
        )

    # --- changes ---

    def subscribe(
        self,
        grant: uuid.UUID | str,
        kinds: Sequence[str],
        *,
        matter: str,
        scope: str = "named",
        url: str | None = None,
        subscription_id: uuid.UUID | None = None,
    ) -> Subscription:
        """Subscribe to changes (docs/subscriptions.md); without `url` the feed is only read."""
        return self.call(requests.subscription(grant, matter, kinds, scope, url, subscription_id))

    def name_subjects(
        self, subscription_id: uuid.UUID | str, add: Mapping[str, str], remove: Sequence[str] = ()
    ) -> int:
        """Name subjects (reference → identifier) and forget others (references); return how many are named."""
        return self.call(requests.subjects_named(subscription_id, add, remove))

    def events(self, subscription_id: uuid.UUID | str, *, after: int = 0, wait: float = 0) -> Events:
        """Read events after a sequence; where there are none, wait for some, up to so many seconds."""
        return self.call(requests.events(subscription_id, after, wait))

    def unsubscribe(self, subscription_id: uuid.UUID | str) -> None:
        """End a subscription."""
        self.call(requests.end_subscription(subscription_id))

    def check(self, answer: str) -> Statement:
        """Check the signature of an answer with the pinned keys, or with those of the service, fetched once.

        Raises:
            AnswerInvalid: it must not be relied on.
        """
        issuer = self._caller.party.issuer
        return self._with_keys(lambda keys: verify_answer(answer, keys, issuer=issuer))

    def receipt_proof(self, record: uuid.UUID | str, *, wait: float = 10.0) -> InclusionProof:
        """Fetch the proof that the record of an answer is in the log.

        Args:
            wait: seconds to go on asking while the record is not in the tree yet.
        """
        waited = 0.0
        while True:
            try:
                return self.call(requests.receipt_proof(record))
            except ProblemError as error:
                if error.code != "receipt-not-included" or waited >= wait:
                    raise
            time.sleep(_PROOF_POLL_SECONDS)
            waited += _PROOF_POLL_SECONDS

    def prove(self, answer: str) -> InclusionProof:
        """Check an answer, fetch the proof of its record and check that; file the proof beside the answer.

        Raises:
            AnswerInvalid, ReceiptInvalid: as they say.
        """
        statement = self.check(answer)
        if self._log_key is None:
            self._log_key = self.call(requests.log_key()).strip()
        proof = self.receipt_proof(statement.receipt.record)
        verify_receipt(statement, proof, self._log_key)
        return proof

    def _with_keys(self, check: Callable[[Keys], Result]) -> Result:
        if self._keys is None:
            self._fetch_keys()
        try:
            return check(self._keys or {})
        except AnswerInvalid as error:
            # A key that was made since.
            if self._pinned or error.code != "key-unknown":
                raise
        self._fetch_keys()
        return check(self._keys or {})

    def _fetch_keys(self) -> None:
        fetched = self.call(requests.key_set())
        self._keys = read_keys(fetched)

    # --- catalogue and grants ---

    def resources(self) -> tuple[dict[str, Any], ...]:
        """List the data resources that can be asked about."""
        return self.call(requests.resources())

    def grants(self, client_id: str | None = None) -> tuple[Grant, ...]:
        """List one's own grants; the sharing authority may name another client."""
        return self.call(requests.own_grants(client_id))

    def give_grant(
        self,
        *,
        client_id: str,
        resource: str,
        fields: Sequence[str],
        matters: Sequence[str],
        purpose: str,
        legal_basis: str,
        valid_from: datetime,
        valid_until: datetime,
        grant_id: uuid.UUID | None = None,
        further: Mapping[str, Any] | None = None,
    ) -> Grant:
        """Give a grant, as the sharing authority. `further`: members of the request that have no name here."""
        return self.call(
            requests.give_grant(
                client_id=client_id,
                resource=resource,
                fields=fields,
                matters=matters,
                purpose=purpose,
                legal_basis=legal_basis,
                valid_from=valid_from,
                valid_until=valid_until,
                grant_id=grant_id,
                further=further,
            )
        )

    def end_grant(self, grant_id: uuid.UUID | str) -> None:
        """End a grant, as the sharing authority."""
        self.call(requests.end_grant(grant_id))

    # --- licences ---

    def own_licences(self) -> tuple[dict[str, Any], ...]:
        """List the licences of the person whose `id_token` this client has."""
        return self.call(requests.own_licences())

    def present(self, identifier: str, disclose: Sequence[str], *, purpose: str, matter: str) -> Code:
        """Make a code that shows chosen fields of a licence once, as the person who holds it."""
        return self.call(requests.presentation(identifier, disclose, purpose, matter))

    def verify_code(self, code: str, *, case: str) -> LicenceCheck:
        """Verify a code at a counter. It works once: after Unreachable with `sent`, ask for a new one."""
        return self.call(requests.presentation_check(code, case))

    def verify_number(self, licence_type: str, number: str, holder_name: str) -> NumberCheck:
        """Ask whether a licence of this number and holder is valid."""
        return self.call(requests.number_check(licence_type, number, holder_name))

    def verify_file(self, data: bytes, *, case: str) -> LicenceCheck:
        """Verify a file: credential, signed code, answer, or a picture of a code."""
        return self.call(requests.file_check(data, case))

    def see_licence(self, identifier: str, *, matter: str, case: str) -> LicenceCheck:
        """See the granted fields of a licence without its holder's act."""
        return self.call(requests.licence_by_grant(identifier, matter, case))

    def see_history(self, identifier: str, *, matter: str, case: str) -> dict[str, Any]:
        """See all versions of a licence and every signed change, by a grant that covers history."""
        return self.call(requests.history_by_grant(identifier, matter, case))

    def issue(self, request: Mapping[str, Any], *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Issue a licence (docs/issuing.md), as an issuing authority."""
        return self.call(requests.issuance(request, idempotency_key))
