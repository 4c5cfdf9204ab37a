"""The file of a record: what is whole is read, whatever became of the rest."""

import os

import pytest

from cosim.traffic.entries import Entry, EntryKind, TrafficError, packed, unpacked
from cosim.traffic.file import FIRST_LINE, TrafficReader, TrafficWriter

PLENTY = 2**30


def entries(count, size=100):
    return [
        Entry(1.5 * at, EntryKind.MESSAGE, f"run/topic-{at}", bytes([at % 256]) * size) for at in range(count)
    ]


def written(path, blocks, most_bytes=PLENTY):
    with TrafficWriter(path, most_bytes) as writer:
        for block in blocks:
            for entry in block:
                writer.add(entry)
            writer.write()
    return path


def test_entries_are_read_as_they_were_written(tmp_path):
    some = [*entries(3), Entry(9.0, EntryKind.GAP, "", b"lost"), Entry(9.1, EntryKind.RETAINED, "ü", b"")]
    reader = TrafficReader(written(tmp_path / "r", [some]))
    assert list(reader) == some == list(reader)
    assert reader.damage == ""


def test_blocks_are_written_by_themselves_and_compressed(tmp_path):
    path = tmp_path / "r"
    with TrafficWriter(path, PLENTY) as writer:
        for entry in entries(30, size=2**17):
            writer.add(entry)
        # A process that is killed now leaves this.
        assert len(list(TrafficReader(path))) == 24
    assert len(list(TrafficReader(path))) == 30
    assert path.stat().st_size < 2**17


def test_of_a_record_that_is_cut_off_what_is_whole_is_read_and_goes_on(tmp_path):
    path = written(tmp_path / "r", [entries(5), entries(4)])
    first = written(tmp_path / "first", [entries(5)]).stat().st_size
    whole = path.read_bytes()
    for end in (len(whole) - 1, first + 20, first + 3):
        path.write_bytes(whole[:end])
        reader = TrafficReader(path)
        assert list(reader) == entries(5)
        assert "cut off" in reader.damage
    written(path, [entries(2)])
    assert list(reader) == [*entries(5), *entries(2)]
    assert reader.damage == ""


@pytest.mark.parametrize("place", [0, 5, 9, 14, 40])
def test_a_damaged_block_ends_the_record_in_one_line(tmp_path, place):
    path = written(tmp_path / "r", [entries(5), entries(4)])
    first = written(tmp_path / "first", [entries(5)]).stat().st_size
    content = bytearray(path.read_bytes())
    content[first + place] ^= 0xFF
    path.write_bytes(content)
    reader = TrafficReader(path)
    assert list(reader) == entries(5)
    assert f"at byte {first:,}" in reader.damage


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no record of bus traffic"),
        (b"PAR1" * 100, "no record of bus traffic"),
        (FIRST_LINE.replace(b"1", b"7") + b"whatever", "is a record of another form"),
    ],
)
def test_what_is_no_record_of_this_form_is_refused(tmp_path, content, says):
    path = tmp_path / "r"
    path.write_bytes(content)
    with pytest.raises(TrafficError, match=says):
        list(TrafficReader(path))


def test_a_record_that_is_not_there_is_named_with_the_remedy(tmp_path):
    with pytest.raises(TrafficError, match=r"No such file.*--record"):
        list(TrafficReader(tmp_path / "none"))


def test_a_record_never_grows_beyond_its_bound(tmp_path):
    noise = [Entry(0.0, EntryKind.MESSAGE, "t", os.urandom(1000)) for _ in range(100)]
    path = tmp_path / "r"
    with TrafficWriter(path, 60_000) as writer:
        for start in range(0, 100, 10):
            for entry in noise[start : start + 10]:
                writer.add(entry)
            writer.write()
        assert writer.is_full
    assert path.stat().st_size <= 60_000
    assert list(TrafficReader(path)) == noise[:50]


def test_a_block_that_holds_something_else_is_no_entry():
    block = packed(entries(1)[0])
    for broken in (block[:-1], block[:5], b"\xff" * 40):
        with pytest.raises(ValueError):
            list(unpacked(broken))
