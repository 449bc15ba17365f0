"""What departments and the sharing authority do beside asking, in the client that blocks."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

from foundation.calling.calls import Call
from zhengtong.client import archives, share_requests, sharing
from zhengtong.client.archives import CaseArchive
from zhengtong.client.share_requests import Answer, Party, ShareRequest, TermNotice
from zhengtong.client.sharing import (
    DataCheck,
    DataValue,
    Document,
    LicenceFile,
    SharedFileCheck,
    SharedLicence,
    Use,
)

Result = TypeVar("Result")


class SharingMethods(ABC):
    """Share requests, archives of cases, and licences by their short names."""

    @abstractmethod
    def call(self, call: Call[Result]) -> Result:
        """Make any call; raises CallFailed."""

    # --- share requests ---

    def request_resource(
        self,
        resource: str,
        fields: Sequence[str],
        *,
        matters: Sequence[str],
        per_day: int,
        until: datetime,
        purpose: str,
        legal_basis: str,
        request_id: uuid.UUID | None = None,
        further: Mapping[str, Any] | None = None,
    ) -> ShareRequest:
        """Ask for a resource (docs/requests.md), as a department.

        Args:
            per_day: subjects.
            further: members of the request that have no name here, such as `modes`, `divisions`, or the `title` and
                the `owner` of what the catalogue does not hold.
        """
        return self.call(
            share_requests.submission(
                resource,
                fields,
                matters,
                per_day=per_day,
                until=until,
                purpose=purpose,
                legal_basis=legal_basis,
                request_id=request_id,
                further=further,
            )
        )

    def resubmit_request(
        self,
        request_id: uuid.UUID | str,
        resource: str,
        fields: Sequence[str],
        *,
        matters: Sequence[str],
        per_day: int,
        until: datetime,
        purpose: str,
        legal_basis: str,
        further: Mapping[str, Any] | None = None,
    ) -> ShareRequest:
        """Say anew, and completely, what a request that was returned asks for."""
        return self.call(
            share_requests.resubmission(
                request_id,
                resource,
                fields,
                matters,
                per_day=per_day,
                until=until,
                purpose=purpose,
                legal_basis=legal_basis,
                further=further,
            )
        )

    def share_requests(
        self,
        *,
        state: str | None = None,
        overdue: bool = False,
        before: datetime | None = None,
        limit: int = 100,
    ) -> tuple[ShareRequest, ...]:
        """List the requests of one's department and to it, the latest first; the sharing authority sees all."""
        return self.call(share_requests.listed(state, overdue, before, limit))

    def share_request(self, request_id: uuid.UUID | str) -> ShareRequest:
        """See a request with its history."""
        return self.call(share_requests.one(request_id))

    def check_request(
        self, request_id: uuid.UUID | str, *, complete: bool, reason: str | None = None
    ) -> ShareRequest:
        """Find a request complete, or return it and say what is missing, as the sharing authority."""
        return self.call(share_requests.check(request_id, complete=complete, reason=reason))

    def answer_request(
        self,
        request_id: uuid.UUID | str,
        answer: Answer,
        *,
        scope: Mapping[str, Any] | None = None,
        reason: str | None = None,
        legal_basis: str | None = None,
    ) -> ShareRequest:
        """Grant all, grant in part (`scope`), or refuse, as the department that the resource is of."""
        return self.call(
            share_requests.answer(request_id, answer, scope=scope, reason=reason, legal_basis=legal_basis)
        )

    def provide_request(self, request_id: uuid.UUID | str) -> ShareRequest:
        """Make the grant that was promised; it is in `grant` then."""
        return self.call(share_requests.provision(request_id))

    def dispute_request(self, request_id: uuid.UUID | str, reason: str) -> ShareRequest:
        """Take an answer, or that there is none, to the sharing authority."""
        return self.call(share_requests.dispute(request_id, reason))

    def decide_request(
        self,
        request_id: uuid.UUID | str,
        for_: Party,
        *,
        reason: str,
        scope: Mapping[str, Any] | None = None,
    ) -> ShareRequest:
        """Decide a dispute, as the sharing authority; `scope`: what is granted where it is less than all."""
        return self.call(share_requests.decision(request_id, for_, reason=reason, scope=scope))

    def withdraw_request(self, request_id: uuid.UUID | str) -> ShareRequest:
        """Withdraw one's request; the grant that it brought ends with it."""
        return self.call(share_requests.withdrawal(request_id))

    def end_request(self, request_id: uuid.UUID | str, reason: str) -> ShareRequest:
        """End what was provided, and its grant, as the sharing authority."""
        return self.call(share_requests.ending(request_id, reason))

    def term_notices(self, *, unseen: bool = False, limit: int = 100) -> tuple[TermNotice, ...]:
        """List the terms that have passed, the latest first."""
        return self.call(share_requests.notices(unseen, limit))

    def see_term_notice(self, number: int) -> None:
        """Say that a notice was seen."""
        self.call(share_requests.notice_seen(number))

    def request_statistics(
        self, begins: date = date(2000, 1, 1), ends: date = date(9999, 1, 1)
    ) -> tuple[dict[str, Any], ...]:
        """Fetch how departments answered, by month: from the first day to the day after the last."""
        return self.call(share_requests.statistics(begins, ends))

    # --- archives of cases ---

    def case_archives(self, case: str) -> tuple[CaseArchive, ...]:
        """See the packages of a case that one's department decided, one for each matter."""
        return self.call(archives.of_case(case))

    def case_package(self, case: str, matter: str) -> bytes:
        """Fetch the package of a closed case; `zhengtong verify` checks it offline.

        Raises:
            ProblemError: `archive-not-packed` while it is being made.
            ReplyUnreadable: what came is not what was announced.
        """
        return self.call(archives.package(case, matter))

    def retry_case_archive(self, case: str, matter: str) -> CaseArchive:
        """Have a package made anew that failed, or that was damaged in the store."""
        return self.call(archives.retry(case, matter))

    # --- licences by their short names ---

    def licences_of_holder(
        self, holder_code: str, use: Use, *, type_code: str | None = None
    ) -> tuple[SharedLicence, ...]:
        """List the licences of a person or an entity that grants cover, without their holder's fields."""
        return self.call(sharing.by_holder(holder_code, use, type_code))

    def licence_data(self, identifier: str, use: Use) -> SharedLicence:
        """See the granted data of a licence and whether it is good."""
        return self.call(sharing.by_identifier(identifier, use))

    def licence_data_by_code(self, code: str, use: Use) -> tuple[SharedLicence, ...]:
        """See what a code shows, at a counter. It works once: after Unreachable with `sent`, ask for a new one."""
        return self.call(sharing.by_code(code, use))

    def make_licence_file(
        self, identifier: str, use: Use, *, document: Document | None = None
    ) -> LicenceFile:
        """Have a marked copy made: as a document, else the signed copy alone. Each call makes another."""
        return self.call(sharing.file(identifier, use, document))

    def fetch_licence_file(self, made: LicenceFile) -> bytes:
        """Fetch a marked copy. Its link works once: after Unreachable with `sent`, have another made.

        Raises:
            ReplyUnreadable: what came is not what was made.
        """
        return self.call(sharing.download(made))

    def check_licence_data(self, identifier: str, data: Mapping[str, DataValue], use: Use) -> DataCheck:
        """Compare data that somebody has in hand with a licence, by short names; no values come back."""
        return self.call(sharing.data_check(identifier, data, use))

    def check_licence_file(self, data: bytes, use: Use) -> SharedFileCheck:
        """Verify a file, and see the data of the licence in it by short names."""
        return self.call(sharing.file_check(data, use))
