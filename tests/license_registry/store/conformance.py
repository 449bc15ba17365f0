"""What every object store keeps, whatever holds it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from license_registry.store.objects import ObjectExists, ObjectMissing, ObjectStore

KEY = "licences/1.2.156.3005.2.TYPE.ISSUER.2025.001.X.sdjwt"
TRAVERSALS = [
    "../outside",
    "a/../../outside",
    "/absolute",
    "a//b",
    "a/",
    "",
    ".",
    "a/./b",
    ".hidden",
    "a\0b",
    "a b",
    "a\\b",
]


class StoreConformance:
    """Inherit, and give a fixture `store` that is empty."""

    def test_what_is_put_is_got(self, store: ObjectStore) -> None:
        for size in (0, 1, 70_000):
            data = bytes(range(256)) * 274
            store.put(f"sizes/{size}", data[:size])
            assert store.get(f"sizes/{size}") == data[:size]
        store.put(KEY, b"\0\xff")
        assert store.get(KEY) == b"\0\xff"

    def test_several_are_put_as_one_is(self, store: ObjectStore) -> None:
        several = [(f"licences/{number}", b"%d" % number) for number in range(40)]
        store.put("licences/7", b"7")
        store.put_many(several)
        assert [store.get(key) for key, _ in several] == [data for _, data in several]
        with pytest.raises(ObjectExists):
            store.put_many([("other/1", b"1"), ("licences/8", b"forgery")])
        assert store.get("licences/8") == b"8"
        for key in TRAVERSALS:
            with pytest.raises(ValueError, match="not a key"):
                store.put_many([(key, b"x")])

    def test_what_was_never_put_is_missing(self, store: ObjectStore) -> None:
        with pytest.raises(ObjectMissing):
            store.get("licences/none")

    def test_the_same_bytes_again_change_nothing(self, store: ObjectStore) -> None:
        store.put(KEY, b"licence")
        store.put(KEY, b"licence")
        assert store.get(KEY) == b"licence"

    def test_other_bytes_do_not_replace_what_is_there(self, store: ObjectStore) -> None:
        store.put(KEY, b"licence")
        with pytest.raises(ObjectExists):
            store.put(KEY, b"forgery")
        assert store.get(KEY) == b"licence"

    def test_of_several_puts_at_once_one_counts(self, store: ObjectStore) -> None:
        def attempt(number: int) -> bytes | None:
            try:
                store.put(KEY, b"%d" % number)
            except ObjectExists:
                return None
            return b"%d" % number

        with ThreadPoolExecutor(8) as pool:
            (winner,) = filter(None, pool.map(attempt, range(8)))
        assert store.get(KEY) == winner

    def test_what_is_deleted_is_missing_and_may_be_deleted_again(self, store: ObjectStore) -> None:
        store.put(KEY, b"licence")
        store.delete(KEY)
        store.delete(KEY)
        with pytest.raises(ObjectMissing):
            store.get(KEY)
        store.put(KEY, b"another")
        assert store.get(KEY) == b"another"

    @pytest.mark.parametrize("key", TRAVERSALS)
    def test_a_name_that_leaves_the_store_is_refused(self, store: ObjectStore, key: str) -> None:
        for use in (store.get, store.delete, lambda name: store.put(name, b"x")):
            with pytest.raises(ValueError, match="not a key"):
                use(key)
