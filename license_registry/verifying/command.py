"""The command `zhengtong-verify` of the small verifier: no database, no network, no settings."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from foundation.errors import DomainError
from foundation.language import both
from foundation.signing.chain import ChainBroken, load_roots
from license_registry.credentials.key_binding import OLDEST_SECONDS, ExpectedBinding
from license_registry.verifying.archive import trust_within
from license_registry.verifying.bundle import open_bundle
from license_registry.verifying.file import Ways, is_ofd, verify_path
from license_registry.verifying.report import lines
from license_registry.verifying.seen import SeenCodes
from license_registry.verifying.trust import Trust, with_further

UNUSABLE = 2
"""Exit code where nothing could be verified; 0 is valid and 1 is not."""


def main(arguments: list[str] | None = None) -> int:
    """Verify one file by a trust bundle, or a package by what it brings along; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="zhengtong-verify",
        description="离线验证证照、二维码与签名答复 · Verify a licence, code or answer offline",
    )
    parser.add_argument("file", type=Path, help="文件或图片 · File or picture")
    parser.add_argument(
        "--bundle", type=Path, help="信任包；档案包自带 · Trust bundle; an archive package brings its own"
    )
    parser.add_argument(
        "--root", type=Path, required=True, help="根证书 · Root certificate, from elsewhere (PEM)"
    )
    parser.add_argument(
        "--crl", type=Path, action="append", default=[], help="证书吊销列表 · Revocation list (DER, PEM)"
    )
    parser.add_argument(
        "--time-stamp-root", type=Path, help="时间戳根证书 · Root certificates of time stamps (PEM)"
    )
    parser.add_argument("--seen", type=Path, help="已用二维码的记录 · File of codes that were used here")
    parser.add_argument("--audience", help="持有人应向谁出示 · For whom the holder must have signed")
    parser.add_argument("--nonce", help="验证方的随机数 · The question that the holder must have signed for")
    parser.add_argument(
        "--oldest", type=int, default=OLDEST_SECONDS, help="出示的最大时长（秒）· Greatest age in seconds"
    )
    parser.add_argument("--json", action="store_true", help="JSON 输出 · Report as JSON")
    given = parser.parse_args(arguments)
    now = datetime.now(UTC)
    if (given.audience is None) != (given.nonce is None):
        parser.error("--audience, --nonce")
    expected = (
        None
        if given.audience is None
        else ExpectedBinding(given.audience, given.nonce, int(now.timestamp()), given.oldest)
    )
    try:
        roots = load_roots(given.root.read_bytes())
        if given.bundle is not None:
            trust = open_bundle(given.bundle.read_bytes(), roots, now)
        else:
            data = given.file.read_bytes()
            # Of a document seals are verified by the root alone; what the licence inside is worth stays open then.
            trust = Trust({}, roots=roots) if is_ofd(data) else trust_within(data, given.file.name, roots)
        trust = with_further(
            trust,
            [path.read_bytes() for path in given.crl],
            None if given.time_stamp_root is None else given.time_stamp_root.read_bytes(),
        )
        first_use = None if given.seen is None else SeenCodes(given.seen, now.timestamp()).first_use
        verdict = verify_path(given.file, trust, now, Ways(first_use=first_use, expected=expected))
    except DomainError as error:
        return _unusable(both(error.message, **error.values))
    except ChainBroken as error:
        return _unusable(f"{given.root.name}: {error.code}")
    except OSError as error:
        return _unusable(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "))
    if given.json:
        print(json.dumps(verdict.as_json(), ensure_ascii=False, indent=2))  # noqa: T201 -- this is the command
    else:
        for line in lines(verdict):
            print(line)  # noqa: T201
    return 0 if verdict.valid else 1


def _unusable(line: str) -> int:
    print(f"zhengtong-verify: {line}", file=sys.stderr)  # noqa: T201
    return UNUSABLE


def entry() -> None:
    """Run as a console script."""
    sys.exit(main())
