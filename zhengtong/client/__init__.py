"""The Python client of Zhengtong: `pip install zhengtong`, then `from zhengtong.client import Client`.

Loads neither web framework nor database: see docs/client.md.
"""

from foundation.calling.calls import Call
from foundation.calling.errors import (
    CallFailed,
    FieldError,
    Problem,
    ProblemError,
    ReplyUnreadable,
    Unreachable,
)
from foundation.calling.retrying import Patience
from zhengtong.client.archives import CaseArchive
from zhengtong.client.asynchronous import AsyncClient
from zhengtong.client.batches import BatchAnswers, read_batch_result
from zhengtong.client.keys import KeyUnusable, load_private_key
from zhengtong.client.offline import (
    AnswerInvalid,
    Keys,
    ReceiptInvalid,
    Statement,
    read_keys,
    verify_answer,
    verify_receipt,
)
from zhengtong.client.results import (
    Batch,
    Code,
    CodeShown,
    Event,
    Events,
    Grant,
    InclusionProof,
    LicenceCheck,
    NumberCheck,
    Plan,
    PlannedMaterial,
    Query,
    Receipt,
    Subscription,
    Verification,
)
from zhengtong.client.share_requests import ShareRequest, TermNotice
from zhengtong.client.sharing import DataCheck, LicenceFile, SharedFileCheck, SharedLicence, Use
from zhengtong.client.synchronous import Client

__all__ = [
    "AnswerInvalid",
    "AsyncClient",
    "Batch",
    "BatchAnswers",
    "Call",
    "CallFailed",
    "CaseArchive",
    "Client",
    "Code",
    "CodeShown",
    "DataCheck",
    "Event",
    "Events",
    "FieldError",
    "Grant",
    "InclusionProof",
    "KeyUnusable",
    "Keys",
    "LicenceCheck",
    "LicenceFile",
    "NumberCheck",
    "Patience",
    "Plan",
    "PlannedMaterial",
    "Problem",
    "ProblemError",
    "Query",
    "Receipt",
    "ReceiptInvalid",
    "ReplyUnreadable",
    "ShareRequest",
    "SharedFileCheck",
    "SharedLicence",
    "Statement",
    "Subscription",
    "TermNotice",
    "Unreachable",
    "Use",
    "Verification",
    "load_private_key",
    "read_batch_result",
    "read_keys",
    "verify_answer",
    "verify_receipt",
]
