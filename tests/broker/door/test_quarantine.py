import base64
import json

from broker.door.quarantine import Quarantine


def test_a_message_is_kept_with_its_bytes(tmp_path):
    quarantine = Quarantine(tmp_path / "quarantine.jsonl")
    quarantine.keep("wam", 3, "a/b", b"\x00odd", RuntimeError("no"))
    (kept,) = quarantine.kept
    assert (kept.service, kept.tick, kept.topic, kept.error) == ("wam", 3, "a/b", "RuntimeError: no")
    (line,) = (tmp_path / "quarantine.jsonl").read_text().splitlines()
    assert base64.b64decode(json.loads(line)["payload"]) == kept.payload == b"\x00odd"


def test_what_is_kept_is_bounded_in_memory_and_on_disk(tmp_path):
    quarantine = Quarantine(tmp_path / "quarantine.jsonl")
    for at in range(300):
        quarantine.keep("wam", at, "a/b", b"x" * 100_000, RuntimeError("no"))
    assert len(quarantine.kept) == 100
    assert all(len(kept.payload) == 65_536 for kept in quarantine.kept)
    assert (tmp_path / "quarantine.jsonl").stat().st_size < 9 * 2**20


def test_a_file_that_cannot_be_written_does_no_harm(tmp_path, caplog):
    quarantine = Quarantine(tmp_path / "nowhere" / "quarantine.jsonl")
    quarantine.keep("wam", 0, "a/b", b"x", RuntimeError("no"))
    assert len(quarantine.kept) == 1
    assert "cannot be written" in caplog.text


def test_of_a_full_disk_one_line_is_logged_and_of_a_fault_where_it_struck(caplog):
    quarantine = Quarantine()
    quarantine.keep("wam", 0, "a/b", b"x", OSError(28, "No space left on device"))
    assert caplog.records[0].getMessage().endswith("a/b is set aside: [Errno 28] No space left on device")
    assert caplog.records[0].exc_info is None
    quarantine.keep("wam", 0, "a/b", b"x", RuntimeError("no"))
    assert caplog.records[1].exc_info
