"""The key store keeps one active key per purpose, through rotations, crashes, rivals and damaged files."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from foundation.signing import (
    CA_PURPOSE,
    Algorithm,
    BadJws,
    KeyState,
    KeyStateError,
    KeyStore,
    KeyStoreError,
    PublicKey,
    Signer,
    decode_base64url,
    encode_base64url,
    sign_compact,
    verify_compact,
)
from foundation.signing.algorithms import Ed25519Signer, P256Signer, Sm2Signer

MASTER = bytes(range(32))
NOW = datetime(2025, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ALL = frozenset(Algorithm)

each_algorithm = pytest.mark.parametrize("algorithm", list(Algorithm))


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys", MASTER)


def states(store: KeyStore, purpose: str = "answer") -> list[str]:
    return sorted(record.state for record in store.records(purpose))


def reopened(store: KeyStore) -> KeyStore:
    return KeyStore(store.directory, MASTER)


def token(store: KeyStore) -> str:
    return sign_compact(store.signer("answer"), b"{}", "t")


def verifies(store: KeyStore, text: str) -> bool:
    try:
        verify_compact(text, store.verification_keys("answer"), "t", ALL)
    except BadJws:
        return False
    return True


@each_algorithm
def test_a_key_is_next_then_active_then_retired_and_checks_signatures_all_along(
    store: KeyStore, algorithm: Algorithm
) -> None:
    first = store.ensure_active("answer", algorithm, NOW)
    upcoming = store.create("answer", algorithm, KeyState.NEXT, NOW)
    assert set(store.verification_keys("answer")) == {first.kid, upcoming.kid}  # published before it signs
    early = token(store)
    assert store.rotate("answer", NOW + DAY).kid == upcoming.kid
    assert store.signer("answer").kid == upcoming.kid
    late = token(store)
    for opened in (store, reopened(store)):
        assert states(opened) == ["active", "next", "retired"]
        assert opened.signer("answer").kid == upcoming.kid
        assert verifies(opened, early)
        assert verifies(opened, late)
        by_kid = {record.kid: record for record in opened.records()}
        assert by_kid[first.kid].retired_at == by_kid[upcoming.kid].activated_at == NOW + DAY
    assert reopened(store).records() == store.records()
    assert reopened(store).jwks() == store.jwks()


def test_a_purpose_has_one_key_in_a_state_and_keys_of_its_own(store: KeyStore) -> None:
    answer = store.ensure_active("answer", Algorithm.ES256, NOW)
    licence = store.ensure_active("licence", Algorithm.SM2, NOW)
    assert answer.kid != licence.kid
    assert store.ensure_active("answer", Algorithm.ES256, NOW + DAY) == answer
    with pytest.raises(KeyStateError, match="already"):
        store.create("answer", Algorithm.ES256, KeyState.ACTIVE, NOW)
    with pytest.raises(KeyStateError, match="active key is for ES256"):
        store.ensure_active("answer", Algorithm.EDDSA, NOW)
    store.create("mark", Algorithm.EDDSA, KeyState.NEXT, NOW)
    with pytest.raises(KeyStateError, match="next key is for EdDSA"):
        store.ensure_active("mark", Algorithm.ES256, NOW)
    with pytest.raises(KeyStoreError, match="no active key for mark"):
        store.signer("mark")
    with pytest.raises(KeyStateError, match="retired"):
        store.create("mark", Algorithm.EDDSA, KeyState.RETIRED, NOW)
    with pytest.raises(KeyStoreError, match="no key for nothing"):
        store.rotate("nothing", NOW)
    assert set(store.verification_keys()) == {record.kid for record in store.records()}
    assert set(store.verification_keys("licence")) == {licence.kid}


def test_a_next_key_becomes_active_where_there_is_none_even_with_the_clock_set_back(store: KeyStore) -> None:
    upcoming = store.create("answer", Algorithm.ES256, KeyState.NEXT, NOW)
    active = store.ensure_active("answer", Algorithm.ES256, NOW - DAY)
    assert (active.kid, active.activated_at) == (upcoming.kid, NOW)
    assert states(reopened(store)) == ["active"]


def test_a_rotation_can_bring_in_another_algorithm(store: KeyStore) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    early = token(store)
    store.create("answer", Algorithm.SM2, KeyState.NEXT, NOW)
    assert store.rotate("answer", NOW).algorithm is Algorithm.SM2
    assert {r.state: r.algorithm for r in store.records()} == {
        KeyState.RETIRED: Algorithm.ES256,
        KeyState.ACTIVE: Algorithm.SM2,
        KeyState.NEXT: Algorithm.SM2,
    }
    assert verifies(store, early)


def test_a_clock_that_was_set_back_does_not_bring_an_old_key_back(store: KeyStore) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    for days in (3, 0, 3, -5):
        newest = store.rotate("answer", NOW + days * DAY)
        assert reopened(store).signer("answer").kid == newest.kid
    assert states(store) == ["active", "next", *["retired"] * 4]


def test_what_another_opener_changed_is_seen_after_a_reload(store: KeyStore) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    other = reopened(store)
    assert not other.reload()
    newest = store.rotate("answer", NOW)
    assert other.signer("answer").kid != newest.kid
    assert other.reload()
    assert other.signer("answer").kid == newest.kid
    assert not other.reload()


def test_a_reload_of_a_damaged_folder_leaves_the_keys_in_memory(store: KeyStore) -> None:
    kid = store.ensure_active("answer", Algorithm.ES256, NOW).kid
    (store.directory / f"{kid}.key.json").write_bytes(b"{")
    with pytest.raises(KeyStoreError, match=kid):
        store.reload()
    assert verifies(store, token(store))


# Secrets.


def private_forms(signer: Signer) -> list[bytes]:
    """Return a private key in all the forms in which it might have been written."""
    match signer:
        case P256Signer():
            raw = signer.private_key.private_numbers().private_value.to_bytes(32, "big")
            formats = [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL]
            der = [signer.private_key.private_bytes(Encoding.DER, form, NoEncryption()) for form in formats]
        case Ed25519Signer():
            raw = signer.private_key.private_bytes_raw()
            der = [signer.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())]
        case Sm2Signer():
            raw, der = signer.private_key, []
        case _:
            raise AssertionError(signer)
    forms = [
        raw,
        raw[::-1],
        raw.hex().encode(),
        raw.hex().upper().encode(),
        str(int.from_bytes(raw, "big")).encode(),
    ]
    for data in (raw, *der):
        # The middle of the base64, whatever stands before it: three alignments.
        forms += [base64.b64encode(bytes(shift) + data)[8:-8] for shift in range(3)]
        forms += [base64.urlsafe_b64encode(bytes(shift) + data)[8:-8] for shift in range(3)]
    return forms + der


@each_algorithm
def test_no_private_key_is_on_disk_in_clear(store: KeyStore, algorithm: Algorithm) -> None:
    store.ensure_active("answer", algorithm, NOW)
    signers = [store.signer("answer")]
    store.rotate("answer", NOW)
    signers.append(store.signer("answer"))
    content = b"".join(path.read_bytes() for path in store.directory.rglob("*") if path.is_file())
    assert all(signer.public.to_jwk()["x"].encode() in content for signer in signers)  # the search does find
    assert not [form for signer in signers for form in private_forms(signer) if form in content]
    assert b"PRIVATE" not in content
    assert MASTER not in content
    assert base64.b64encode(MASTER) not in content


@each_algorithm
def test_the_published_key_set_is_of_the_required_public_members_only(
    store: KeyStore, algorithm: Algorithm
) -> None:
    store.ensure_active("answer", algorithm, NOW)
    store.rotate("answer", NOW)
    store.ensure_active(CA_PURPOSE, Algorithm.ES256, NOW)
    published = store.jwks()["keys"]
    assert len(published) == 3  # the root certificate's key is not among them: no token may hold under it
    for jwk in published:
        extra = {"y"} if jwk["kty"] == "EC" else set()
        assert set(jwk) == {"kty", "crv", "x", "kid", "alg", "use"} | extra
        key = PublicKey.from_jwk(jwk)
        assert (jwk["kid"], jwk["alg"], jwk["use"]) == (key.thumbprint(), algorithm.value, "sig")
    assert set(store.verification_keys(CA_PURPOSE)).isdisjoint(jwk["kid"] for jwk in published)


def test_the_files_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        opened = KeyStore(tmp_path / "deep" / "keys", MASTER)
        kid = opened.ensure_active("answer", Algorithm.ES256, NOW).kid
        # A leftover of a crash that others may read must not pass its mode on.
        leftover = opened.directory / f".{kid}.key.json.new"
        leftover.write_bytes(b"")
        leftover.chmod(0o666)
        opened.rotate("answer", NOW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(opened.directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in opened.directory.iterdir()}
    assert len(modes) == 4
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_master_key_has_thirty_two_bytes(tmp_path: Path, length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        KeyStore(tmp_path, bytes(length))


def test_under_another_master_key_the_store_does_not_open_and_says_why(store: KeyStore) -> None:
    kid = store.ensure_active("answer", Algorithm.ES256, NOW).kid
    with pytest.raises(KeyStoreError, match="another master key") as caught:
        KeyStore(store.directory, MASTER[::-1])
    assert f"{kid}.key.json" in str(caught.value)
    assert verifies(reopened(store), token(store))


# Damaged and forged files.


def only_file(store: KeyStore) -> Path:
    (path,) = store.directory.glob("*.key.json")
    return path


def test_a_file_cut_short_anywhere_is_named_as_damaged(store: KeyStore) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    path = only_file(store)
    whole = path.read_bytes()
    for length in range(0, len(whole.rstrip()), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(KeyStoreError, match=r"\.key\.json: damaged"):
            reopened(store)


JUNK: list[Any] = [
    None,
    True,
    5,
    0.5,
    "",
    "x",
    "d",
    [],
    ["d"],
    ["kty"],
    {},
    {"d": 1},
    "2025-01-01T00:00:00",
    "é",
]


def places(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(content, dict):
        for name, member in content.items():
            yield from places(member, (*path, name))


def replaced(content: Any, place: tuple[str, ...], junk: Any) -> Any:
    """Return the content with another value at a place, or none there where it is `...`."""
    if not place:
        return junk
    changed = dict(content)
    changed[place[0]] = replaced(content[place[0]], place[1:], junk)
    return {name: member for name, member in changed.items() if member is not ...}


def test_a_file_with_any_value_replaced_or_missing_is_refused_in_one_way(store: KeyStore) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    path = only_file(store)
    whole = json.loads(path.read_bytes())
    damaged = store.directory.with_name("damaged")
    damaged.mkdir()
    accepted = []
    for place in places(whole):
        for junk in [*JUNK, ...]:
            content = replaced(whole, place, junk)
            if content in (whole, ...):
                continue
            (damaged / path.name).write_text(json.dumps(content), encoding="utf-8")
            try:
                KeyStore(damaged, MASTER)
            except KeyStoreError as error:
                assert path.name in str(error)
            else:
                accepted.append((place, junk))
    assert accepted == []


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "licence"},
        {"purpose": CA_PURPOSE},
        {"algorithm": "EdDSA"},
        {"state": "next"},  # the times say otherwise
        {"state": "retired"},
        {"state": "revoked"},
        {"activated_at": "2025-01-01T00:00:00"},
        {"retired_at": "2025-01-01T00:00:00Z"},
        {"kid": "../../somewhere"},
    ],
    ids=repr,
)
def test_a_file_that_was_changed_by_hand_is_refused(store: KeyStore, change: dict[str, str]) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    path = only_file(store)
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}), encoding="utf-8")
    with pytest.raises(KeyStoreError, match=r"\.key\.json: "):
        reopened(store)


def test_no_public_half_nor_private_half_can_be_put_in_from_another_key(
    store: KeyStore, tmp_path: Path
) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    other = KeyStore(tmp_path / "other", MASTER)
    other.ensure_active("answer", Algorithm.ES256, NOW)
    mine, theirs = only_file(store), only_file(other)
    genuine, foreign = json.loads(mine.read_bytes()), json.loads(theirs.read_bytes())
    for forged in ({"public": foreign["public"]}, {"private": foreign["private"]}):
        mine.write_text(json.dumps({**genuine, **forged}), encoding="utf-8")
        with pytest.raises(KeyStoreError, match="changed since"):
            reopened(store)
    mine.write_bytes(theirs.read_bytes())
    with pytest.raises(KeyStoreError, match="another kid"):
        reopened(store)


# Crashes.


class Death(BaseException):
    """What ends the process between two file operations."""


class FullDisk(OSError):
    """What a write meets on a full disk; the process lives on."""


@contextmanager
def failing(at: int, failure: type[BaseException] | None, *, after: bool = False) -> Iterator[list[str]]:
    """Let the file operation of this number fail, before or after it took effect; collect the names of all."""
    done: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            done.append(name)
            fails = failure is not None and len(done) - 1 == at
            if fails and not after:
                raise failure()
            result = real(*arguments, **named)
            if fails:
                raise failure()
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "fchmod", "fdopen", "fsync", "replace"):
            patch.setattr(os, name, counted(name, getattr(os, name)))
        yield done


def prepare(directory: Path) -> tuple[str, set[str]]:
    """Make a folder with a retired, an active and a next key; return a token of the active, and all kids."""
    made = KeyStore(directory, MASTER)
    made.ensure_active("answer", Algorithm.ES256, NOW)
    made.rotate("answer", NOW + DAY)
    return token(made), {record.kid for record in made.records()}


def without_next(directory: Path) -> tuple[str, set[str]]:
    made = KeyStore(directory, MASTER)
    made.ensure_active("answer", Algorithm.ES256, NOW)
    return token(made), {record.kid for record in made.records()}


@pytest.mark.parametrize(("begin", "writes"), [(prepare, 3), (without_next, 4)])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_at_any_file_operation_of_a_rotation_leaves_a_store_that_works(
    tmp_path: Path, begin: Callable[[Path], tuple[str, set[str]]], writes: int, after: bool
) -> None:
    early, kids = begin(tmp_path / "original")
    shutil.copytree(tmp_path / "original", tmp_path / "whole")
    whole = KeyStore(tmp_path / "whole", MASTER)
    with failing(-1, None) as done:
        whole.rotate("answer", NOW + 2 * DAY)
    assert done.count("replace") == writes
    assert done.count("fsync") == 2 * writes  # of each file and of the folder that names it
    seen = set()
    for at in range(len(done)):
        folder = tmp_path / f"died-{at}"
        shutil.copytree(tmp_path / "original", folder)
        dying = KeyStore(folder, MASTER)
        with failing(at, Death, after=after), pytest.raises(Death):
            dying.rotate("answer", NOW + 2 * DAY)
        opened = KeyStore(folder, MASTER)
        left = states(opened)
        seen.add(tuple(left))
        assert left.count("active") == 1
        assert left.count("next") <= 1
        assert kids <= {record.kid for record in opened.records()}
        assert verifies(opened, early)
        assert verifies(opened, token(opened))
        before = opened.signer("answer").kid
        # The next rotation finishes what was left undone, on disk too.
        newest = opened.rotate("answer", NOW + 3 * DAY)
        assert newest.kid != before
        on_disk = [json.loads(path.read_bytes())["state"] for path in folder.glob("*.key.json")]
        assert (on_disk.count("active"), on_disk.count("next")) == (1, 1)
        assert verifies(reopened(opened), early)
    assert len(seen) > 1  # some died before the new key was active, some after


def test_a_full_disk_at_any_file_operation_fails_the_rotation_and_not_the_running_store(
    tmp_path: Path,
) -> None:
    early, _ = prepare(tmp_path / "original")
    shutil.copytree(tmp_path / "original", tmp_path / "whole")
    whole = KeyStore(tmp_path / "whole", MASTER)
    with failing(-1, None) as done:
        whole.rotate("answer", NOW + 2 * DAY)
    for at in range(len(done)):
        folder = tmp_path / f"full-{at}"
        shutil.copytree(tmp_path / "original", folder)
        running = KeyStore(folder, MASTER)
        with failing(at, FullDisk), pytest.raises(FullDisk):
            running.rotate("answer", NOW + 2 * DAY)
        assert verifies(running, early)
        assert verifies(running, token(running))
        running.rotate("answer", NOW + 3 * DAY)
        assert states(running).count("active") == states(reopened(running)).count("active") == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_while_the_first_key_is_made_leaves_none_or_the_key(tmp_path: Path, after: bool) -> None:
    outcomes = set()
    for at in range(7):
        folder = tmp_path / str(at)
        dying = KeyStore(folder, MASTER)
        with failing(at, Death, after=after), pytest.raises(Death):
            dying.ensure_active("answer", Algorithm.ES256, NOW)
        opened = KeyStore(folder, MASTER)
        outcomes.add(len(opened.records()))
        opened.ensure_active("answer", Algorithm.ES256, NOW)
        assert states(reopened(opened)) == ["active"]
    assert outcomes == {0, 1}


# Rivals.

ROTATE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from foundation.signing import Algorithm, KeyStore
store = KeyStore(Path(sys.argv[1]), bytes(range(32)))
print("ready", flush=True)
sys.stdin.readline()
store.ensure_active("answer", Algorithm.ES256, datetime(2025, 1, 1, tzinfo=UTC))
for _ in range(8):
    store.rotate("answer", datetime(2025, 1, 2, tzinfo=UTC))
"""


def test_two_processes_that_rotate_at_once_leave_one_active_key_and_lose_none(store: KeyStore) -> None:
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", ROTATE, str(store.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[3],
        )
        for _ in range(2)
    ]
    for rival in rivals:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "ready\n"
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("go\n")
        rival.stdin.flush()
    for rival in rivals:
        rival.communicate(timeout=60)
        assert rival.returncode == 0
    assert store.reload()
    # One first key, made by whoever came first, and sixteen rotations.
    assert states(store) == ["active", "next", *["retired"] * 16]
    moments = sorted(r.activated_at for r in store.records() if r.activated_at)
    assert len(set(moments)) == 17
    active = next(r for r in store.records() if r.state is KeyState.ACTIVE)
    assert active.activated_at == moments[-1]


def test_threads_that_rotate_while_others_sign_never_find_the_store_without_a_key(store: KeyStore) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    done, signed, troubles = threading.Event(), [], []

    def watch() -> None:
        try:
            while True:
                signed.append(token(store))
                if done.is_set():
                    return
        except Exception as error:  # noqa: BLE001
            troubles.append(error)

    def rotate() -> None:
        try:
            for _ in range(5):
                store.rotate("answer", NOW + DAY)
        except Exception as error:  # noqa: BLE001
            troubles.append(error)

    watcher, rivals = threading.Thread(target=watch), [threading.Thread(target=rotate) for _ in range(2)]
    for thread in (watcher, *rivals):
        thread.start()
    for thread in rivals:
        thread.join()
    done.set()
    watcher.join()
    assert not troubles
    assert states(store) == ["active", "next", *["retired"] * 10]
    assert all(
        verifies(store, text) for text in {signed[0], signed[-1], *signed[:: max(1, len(signed) // 50)]}
    )


def test_the_file_of_a_key_has_the_members_that_are_documented_and_a_fresh_nonce(store: KeyStore) -> None:
    for purpose in ("answer", "licence"):
        store.ensure_active(purpose, Algorithm.EDDSA, NOW)
    contents = [json.loads(path.read_bytes()) for path in store.directory.glob("*.key.json")]
    for content in contents:
        assert content == {
            "kid": content["kid"],
            "algorithm": "EdDSA",
            "purpose": content["purpose"],
            "state": "active",
            "created_at": "2025-01-01T00:00:00+00:00",
            "activated_at": "2025-01-01T00:00:00+00:00",
            "retired_at": None,
            "public": {"kty": "OKP", "crv": "Ed25519", "x": content["public"]["x"]},
            "private": {"nonce": content["private"]["nonce"], "sealed": content["private"]["sealed"]},
        }
        assert len(base64.b64decode(content["private"]["sealed"])) == 32 + 16
        assert encode_base64url(decode_base64url(content["kid"])) == content["kid"]
    assert len({content["private"]["nonce"] for content in contents}) == 2


def test_a_revoked_key_is_no_key_to_verify_with_and_stays_revoked(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path, bytes(32))
    old = keys.create("answer", Algorithm.ES256, KeyState.ACTIVE, NOW).kid
    other = KeyStore(tmp_path, bytes(32))
    with pytest.raises(KeyStateError, match="rotate it away first"):
        keys.revoke(old, NOW)
    with pytest.raises(KeyStateError, match="no such key"):
        keys.revoke("nobody", NOW)
    keys.rotate("answer", NOW)
    keys.revoke(old, NOW)
    keys.revoke(old, NOW + timedelta(days=1))
    assert other.reload()
    for store in (keys, other, KeyStore(tmp_path, bytes(32))):
        assert old not in store.verification_keys("answer")
        assert old not in {key["kid"] for key in store.jwks()["keys"]}
        assert store.revoked()[old][1] == NOW


def test_a_damaged_list_of_revoked_keys_is_no_reason_to_trust_them(tmp_path: Path) -> None:
    KeyStore(tmp_path, bytes(32))
    (tmp_path / "revoked.json").write_text("[]")
    with pytest.raises(KeyStoreError, match="revoked"):
        KeyStore(tmp_path, bytes(32))
