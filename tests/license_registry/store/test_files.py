"""The store of files: conformance, disks that are full or broken, and an S3 server that is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from foundation.settings import Settings
from license_registry.store.objects import FileStore, ObjectStore, StoreUnavailable, open_store
from tests.conftest import free_port
from tests.license_registry.store.conformance import KEY, StoreConformance


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(Settings(home=tmp_path))


class TestFiles(StoreConformance):
    pass


def test_no_other_file_stays_beside_the_objects(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.put(KEY, b"licence")
    store.put(KEY, b"licence")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / KEY]


def test_a_folder_that_cannot_be_used_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = FileStore(tmp_path / "file")
    for use in (store.get, store.delete, lambda key: store.put(key, b"x")):
        with pytest.raises(StoreUnavailable):
            use(KEY)


LIMITED = """
import resource, sys
from pathlib import Path
from license_registry.store.objects import FileStore, StoreFull

root = Path(sys.argv[1])
store = FileStore(root)
_soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
try:
    store.put("a/b", b"x" * 1001)
except StoreFull:
    print("full", sorted(p.name for p in root.rglob("*")))
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
store.put("a/b", b"x" * 1001)
print("stored", len(store.get("a/b")))
"""


def test_no_part_of_a_file_stays_where_space_ran_out(tmp_path: Path) -> None:
    # The limit on the size of files needs no root, and fails in the middle of a write as a full disk does.
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["full ['a']", "stored 1001"]


def test_an_s3_server_that_is_not_there_is_unavailable_at_the_start(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path,
        object_store="s3",
        s3_endpoint=f"127.0.0.1:{free_port()}",
        s3_access_key=SecretStr("a"),
        s3_secret_key=SecretStr("b"),
        s3_secure=False,
    )
    with pytest.raises(StoreUnavailable):
        open_store(settings)
