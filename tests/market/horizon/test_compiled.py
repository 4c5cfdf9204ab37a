"""Compiled functions that are kept for later processes."""

from market.horizon.compiled import DIGEST, SOURCES, digest_of
from market.horizon.replies import reply


def test_what_is_kept_is_found_again_only_while_all_sources_are_the_same(tmp_path):
    copies = [tmp_path / source.name for source in SOURCES]
    for source, copy in zip(SOURCES, copies, strict=True):
        copy.write_bytes(source.read_bytes())
    assert digest_of(copies) == DIGEST
    assert DIGEST in reply.py_func.__qualname__
    called = tmp_path / "power.py"
    called.write_text(called.read_text() + "# changed\n")
    assert digest_of(copies) != DIGEST
