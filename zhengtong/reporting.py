"""How the report of a run is shown."""

from __future__ import annotations

import click

from connectors.pipeline import Report
from foundation.language import _, both
from zhengtong.command import print_json

_NAMES = {
    "read": _("read"),
    "inserted": _("inserted"),
    "changed": _("changed"),
    "unchanged": _("unchanged"),
    "quarantined": _("quarantined"),
}


def print_report(report: Report, *, as_json: bool) -> None:
    """Print what a run did: counts, why rows stayed behind, and what should be known of those that did not."""
    if as_json:
        print_json(report.as_json())
        return
    for layout in report.layouts:
        if layout["detected"]:
            found = ", ".join(f"{name}={layout[name]}" for name in layout["detected"] if layout.get(name))
            click.echo(f"{layout['part']:<24} {both(_('detected'))} {found}".lstrip())
    for name, message in _NAMES.items():
        click.echo(f"{both(message):<24} {getattr(report, name):>12,}")
    for reason, count in sorted(report.reasons.items()):
        click.echo(f"    {reason:<32} {count:>10,}")
    for code, count in sorted(report.findings.items()):
        click.echo(f"  ? {code:<32} {count:>10,}")
    click.echo(f"{both(_('seconds')):<24} {report.seconds:>12,.2f}")
