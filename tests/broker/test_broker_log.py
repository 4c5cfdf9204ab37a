"""What is kept of the log of a broker of our own."""

from broker.server.broker_log import BrokerLog

CAME = b"1: New client connected from 127.0.0.1:1 as wam-1 (p2, c1, k30, u'wam').\n"
DENIED = b"2: Denied PUBLISH from wam-1 (d0, q1, r0, m1, 'x', ... (2 bytes))\n"
OTHER = b"1: Received PUBLISH from wam-1 (d0, q1, r0, m1, 'Denied', ... (2 bytes))\n"


def test_lines_that_tell_are_kept_however_they_come(tmp_path):
    file = tmp_path / "broker.log"
    take = BrokerLog(file)
    text = CAME + OTHER + DENIED
    for place in range(len(text)):
        take(text[place : place + 1])
    assert file.read_bytes() == CAME + DENIED
    assert file.stat().st_mode & 0o777 == 0o600


def test_lines_wait_for_a_directory_and_outlive_a_file(tmp_path):
    file = tmp_path / "run" / "broker.log"
    take = BrokerLog(file)
    take(CAME)
    file.parent.mkdir()
    take(DENIED)
    assert file.read_bytes() == CAME + DENIED
    file.unlink()
    take(DENIED)
    assert file.read_bytes() == CAME + DENIED + DENIED


def test_without_a_file_nothing_is_written(tmp_path):
    BrokerLog(None)(DENIED)
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("broker.server.broker_log._MOST_BYTES", 100)
    take = BrokerLog(tmp_path / "broker.log")
    for _ in range(10):
        take(CAME)
    assert (tmp_path / "broker.log").stat().st_size == 2 * len(CAME)
