"""Text for people: Chinese first, English beside it, with the same values filled in."""

from __future__ import annotations

import pytest

from foundation.errors import DomainError, NotFound
from foundation.language import _, both, catalogue, chinese, english


def test_chinese_comes_first_and_english_beside_it() -> None:
    assert both("Not granted") == "未获授权 · Not granted"
    assert (chinese("Not granted"), english("Not granted")) == ("未获授权", "Not granted")


def test_names_are_filled_in_on_both_sides() -> None:
    shown = both("the client assertion lives longer than {seconds} seconds", seconds=300)
    assert shown == "断言有效期超过 300 秒 · the client assertion lives longer than 300 seconds"


def test_values_are_never_read_as_messages() -> None:
    # What came from outside may hold braces; it must neither fail nor pull in another value.
    shown = both("the client assertion lacks {claim}", claim="{claim.__class__} {0} %s")
    assert shown.count("{claim.__class__} {0} %s") == 2


def test_an_unknown_message_is_shown_in_english_rather_than_not_at_all() -> None:
    assert chinese("never heard of {it}", it="this") == "never heard of this"


def test_marking_changes_nothing() -> None:
    assert _("Not granted") == "Not granted"


@pytest.mark.parametrize("message", sorted(catalogue()))
def test_every_translation_is_chinese_and_set_like_its_message(message: str) -> None:
    text = catalogue()[message]
    assert len(text) - len(text.lstrip()) == len(message) - len(message.lstrip())
    assert any("\u4e00" <= character <= "\u9fff" for character in text)


def test_a_refusal_reads_english_to_programs() -> None:
    refusal = NotFound(_("the client assertion lacks {claim}"), claim="jti", pointer="/jti")
    assert str(refusal) == "the client assertion lacks jti"
    assert (refusal.code, refusal.pointer, refusal.members()) == ("not-found", "/jti", {})
    assert isinstance(refusal, DomainError)
