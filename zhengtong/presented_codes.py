"""Codes that people present at a counter, for the consents of the exchange: who has made one."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from exchange.consents.errors import (
    ConsentCodeByAgent,
    ConsentCodeDiffers,
    ConsentCodeOver,
    ConsentCodeUnknown,
    ConsentCodeUsed,
)
from foundation.errors import NotFound
from foundation.identity.principals import Principal
from foundation.language import _
from license_registry.ports import Registry
from license_registry.presenting.errors import CodeExpired, CodeUsed
from license_registry.presenting.identifying import Presenter, identify


class PresentedCodes:
    """Codes of the registry of licences."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def identify(
        self, caller: Principal, code: str, *, matter: str, case: str, among: Collection[bytes], now: datetime
    ) -> bytes:
        """Use a code up and return who has made it (blind index).

        Raises:
            ConsentCodeUnknown, ConsentCodeUsed, ConsentCodeOver, ConsentCodeDiffers, ConsentCodeByAgent: as they say.
        """

        def require(presenter: Presenter) -> None:
            if presenter.by_agent:
                raise ConsentCodeByAgent(_("nobody consents for somebody else"), pointer="/code")
            if presenter.matter != matter:
                raise ConsentCodeDiffers(
                    _("its holder has presented it for another matter"), pointer="/matter"
                )
            if presenter.subject not in among:
                raise ConsentCodeDiffers(_("nothing is asked of its holder in this case"), pointer="/code")

        try:
            presenter = await identify(self._registry, caller, code, case, require, now)
        except NotFound as error:
            raise ConsentCodeUnknown(_("no such code"), pointer="/code") from error
        except CodeUsed as error:
            raise ConsentCodeUsed(
                _("a code works once; ask the holder for a new one"), pointer="/code"
            ) from error
        except CodeExpired as error:
            raise ConsentCodeOver(_("ask the holder for a new code"), pointer="/code") from error
        return presenter.subject
