"""What all commands share: refusals on one line, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from typing import Any

import click
import psycopg

from foundation import database
from foundation.errors import DomainError
from foundation.language import _, both
from foundation.sensitive import KeyringError
from foundation.settings import SettingsError
from foundation.signing import KeyStateError, KeyStoreError
from foundation.signing.chain import ChainBroken

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="JSON 输出 · Report as JSON")


class Refused(click.ClickException):
    """One line on standard error, exit code 1."""

    def show(self, file: Any = None) -> None:
        click.echo(f"zhengtong: {self.format_message()}", err=True)


def one_line(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn every error that is somebody's to mend into one line; anything else is a defect and shows itself."""

    @wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except DomainError as error:
            raise Refused(both(error.message, **error.values)) from error
        except (
            database.DatabaseError,
            SettingsError,
            KeyringError,
            KeyStoreError,
            KeyStateError,
            ChainBroken,
        ) as error:
            raise Refused(str(error)) from error
        except psycopg.OperationalError as error:
            first = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise Refused(both(_("the database cannot be reached: {reason}"), reason=first)) from error
        except OSError as error:
            raise Refused(f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")) from error

    return wrapped


def print_json(value: Any) -> None:
    """Print a report as JSON."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


class LazyGroup(click.Group):
    """A group whose further commands are loaded when they are asked for.

    Args:
        elsewhere: name of a command → where it stands, as `module:attribute`.
    """

    def __init__(self, *arguments: Any, elsewhere: Mapping[str, str], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._elsewhere = elsewhere

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted({*super().list_commands(context), *self._elsewhere})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command by its name."""
        place = self._elsewhere.get(name)
        if place is None:
            return super().get_command(context, name)
        module, attribute = place.split(":")
        found: click.Command = getattr(import_module(module), attribute)
        return found
