"""Proofs not asked for: how they are counted, said beside the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

METHOD = (
    "按案件计数：同一部门、同一事项、同一案件的同一材料，经授权核验（evidence）、申请人同意（consent）或告知承诺"
    "（commitment）而未要求提交的，计为一份；同一案件多次生成方案只计最早一次；已提交纸质材料的、容缺后补的、仍需提交的"
    "均不计；月份按北京时间，以材料被认定之时为准。"
    " · Counted by case: a material that was not asked for, since it was settled by evidence under a grant, by the"
    " applicant's consent, or by a commitment, counts once for a department, matter, case and material, by the earliest"
    " plan that settled it. What was brought, may follow or is to be brought does not count. Months are those of China;"
    " the moment counts at which the material was settled."
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which proofs are counted; None: any.

    Args:
        since, until: moments, from (inclusive) to (exclusive).
    """

    department: str | None
    matter: str | None
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Saved:
    """How many proofs of a matter a department did not ask for in a month, by what stood in for them."""

    department: str
    matter: str
    month: date
    settled_by: str
    proofs: int


@dataclass(frozen=True, slots=True)
class SavedProof:
    """One proof that was not asked for, and the access records that show it."""

    plan: str
    department: str
    matter: str
    case: str
    material: str
    settled_by: str
    settled_at: datetime
    records: tuple[str, ...]
