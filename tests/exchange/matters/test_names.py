"""Names of materials: what goes, what stays, and what is certain enough to be taken apart."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exchange.matters.names import Joined, normalised, without_notes

WORDS = [
    "身份证", "营业执照", "《", "》", "（", "）", "(", ")", "原件", "复印件", "1份", "一式两份", "各一份", "或", "和", "、", "/",
    "及", "；", "。", " ", "　", "1.", "①", "一、", "A01007", "副本", "正反面", "__", "的", "ﬁ", "\u200b", "Ａ",
]  # fmt: skip
MESSY = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(WORDS), max_size=12).map("".join))


def visible(text: str) -> bool:
    return any(
        unicodedata.category(c)[0] not in "CZ" or unicodedata.category(c) == "Co"
        for c in unicodedata.normalize("NFKC", text)
    )


@given(MESSY.filter(visible))
@example("原件")
@example("（原件1份）")
@example("《》")
@example("1.1.1.")
@example("或")
@example("e\u0301（1份）\u0301")
def test_a_normalised_name_is_never_empty_and_normalising_it_again_changes_nothing(text: str) -> None:
    name = normalised(text)
    assert name.text
    assert normalised(name.text) == name
    assert all(part and normalised(part).text == part for part in name.parts)
    assert (len(name.parts) == 1) or name.joined is not Joined.ONE
    bare, _notes = without_notes(name.text)
    assert bare


@pytest.mark.parametrize("text", ["", " ", "\u200b", "　\n"])
def test_nothing_visible_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match="visible"):
        normalised(text)


@pytest.mark.parametrize(
    ("published", "text"),
    [
        ("《食品经营许可证》副本复印件（1份）", "食品经营许可证"),
        ("身份证原件及复印件各一份", "身份证"),
        ("1.身份证（原件1份，复印件2份）", "身份证"),
        ("①居民身份证 （验原件）", "居民身份证"),
        ("（一）营业执照；", "营业执照"),
        ("A01007《税务登记证》（正本）", "税务登记证"),
        ("身份证明（正反面）", "身份证明"),
        ("《个人所得税基础信息表（B表）》", "个人所得税基础信息表(B表)"),
        ("扫描上传律师资格证书", "律师资格证书"),
        ("ＡＢ　表", "AB表"),
        # What stays: a number that is no numbering, a note that tells papers apart.
        ("2寸照片", "2寸照片"),
        ("一寸蓝底照片", "一寸蓝底照片"),
        ("1.5米围墙许可证", "1.5米围墙许可证"),
        ("授权委托书（委托办理的）", "授权委托书(委托办理的)"),
        ("原件", "原件"),
    ],
)
def test_what_says_how_to_bring_it_goes(published: str, text: str) -> None:
    assert normalised(published).text == text


@pytest.mark.parametrize(
    ("published", "joined", "parts"),
    [
        ("居民身份证或营业执照或事业单位法人证书", "any_of", ("居民身份证", "营业执照", "事业单位法人证书")),
        ("申请人营业执照、身份证或法人证书", "any_of", ("申请人营业执照", "身份证", "法人证书")),
        ("参保人社会保障卡或银行存折/借记卡", "any_of", ("参保人社会保障卡", "银行存折", "借记卡")),
        ("退休证复印件或军官转业证书复印件；", "any_of", ("退休证", "军官转业证书")),
        ("本人委托书、受托人身份证", "all_of", ("本人委托书", "受托人身份证")),
        # Not certain: what is not a paper by its last word, 的 that may belong to both, 和 beside 或.
        ("与第三者达成的协议或文件", "one", None),
        ("变更后的身份证明和公安机关户籍管理部门出具的有效证明", "one", None),
        ("身份证和户口簿或护照", "one", None),
        ("工伤职工/工亡职工供养亲属身份证", "one", None),
        ("图纸（平面图或剖面图）", "one", None),
    ],
)
def test_several_papers_are_told_apart_where_it_is_certain(
    published: str, joined: str, parts: tuple[str, ...] | None
) -> None:
    name = normalised(published)
    assert name.joined == joined
    assert name.parts == (parts or (name.text,))
