"""The one page of an authorisation: which licence goes into which wallet. No script, nothing from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Final
from urllib.parse import urlsplit

from foundation.language import _, both
from license_registry.catalog.types import LicenceType
from license_registry.wallets.authorising.authorise import Choice

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
}

_STYLE = "body{font:1.1em sans-serif;max-width:36em;margin:2em auto;padding:0 1em}button{font:inherit;padding:.4em 1em}"


def page(choice: Choice, licence_type: LicenceType, action: str) -> str:
    """Return the page that asks the holder.

    Args:
        action: where the choice is sent.
    """
    where = urlsplit(choice.redirect_uri)
    asked = both(
        _("The wallet {wallet} ({address}) asks for a licence of yours"),
        wallet=choice.client_id,
        address=where.hostname or where.scheme,
    )
    offered = "".join(
        f'<p><button name="licence" value="{escape(each.identifier)}">'
        f"{escape(licence_type.name)} {escape(each.number)}</button>"
        for each in choice.licences
    )
    if not choice.licences:
        offered = f"<p>{escape(both(_('You have no valid licence of this type')))}"
    return (
        '<!doctype html><html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(both(_('Put a licence into a wallet')))}</title><style>{_STYLE}</style>"
        f"<h1>{escape(licence_type.name)} · {escape(licence_type.name_en)}</h1><p>{escape(asked)}"
        f'<form method="post" action="{escape(action)}">'
        f'<input type="hidden" name="ticket" value="{escape(choice.ticket)}">{offered}'
        f'<p><button name="licence" value="">{escape(both(_("Give nothing and go back")))}</button></form></html>'
    )
