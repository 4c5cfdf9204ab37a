"""What `make audit` checks without a network: the lock, and the files that are installed."""

from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from scripts.audit import changed, unlocked

LOCKED = Path("scripts/locked")


@pytest.mark.parametrize("lock", sorted(each.name for each in LOCKED.glob("*.txt")))
def test_every_locked_file_has_a_hash_and_no_index_is_named(lock):
    assert list(unlocked((LOCKED / lock).read_text(), {})) == []


def test_what_a_lock_leaves_open_is_named():
    lock = "# --extra\none==1.0 ; python_version < '4' \\\n    --hash=sha256:00\ntwo==2.0\n"
    assert list(unlocked(lock, {"one": "1.1"})) == [
        "one 1.1 is installed where 1.0 is locked",
        "two 2.0 has no hash",
    ]
    (named,) = unlocked("--index-url https://example.org/simple\n" + lock.replace("two==2.0\n", ""), {})
    assert "example.org" in named


def test_a_file_that_was_changed_after_it_was_installed_is_named(tmp_path):
    (tmp_path / "one.py").write_bytes(b"")
    info = tmp_path / "one-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: one\nVersion: 1.0\n")
    empty = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    (info / "RECORD").write_text(f"one.py,sha256={empty},0\none-1.0.dist-info/RECORD,,\n")
    package = PathDistribution(info)
    assert list(changed(package)) == []
    (tmp_path / "one.py").write_bytes(b"print(1)")
    assert list(changed(package)) == ["one: one.py is not the file that was installed"]
