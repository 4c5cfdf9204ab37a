import logging

import pytest

from devices.gateway.stopping import hand_back


@pytest.mark.parametrize(("failures", "said"), [(0, 0), (1, 1), (2, 1), (3, 1)])
async def test_what_cannot_be_handed_back_is_said_at_once_and_left(failures, said, caplog):
    answers = [["pv of home: silent"]] * failures + [[]]
    asked, left = [], []

    async def release():
        asked.append(len(caplog.records))
        return answers[len(asked) - 1]

    with caplog.at_level(logging.ERROR):
        await hand_back(release, left)
    lines = [record.getMessage() for record in caplog.records]
    at_last = ["not handed back: pv of home: silent"] if failures == 3 else []
    assert lines == ["not handed back, trying again: pv of home: silent"] * said + at_last
    # The first failure was said before the second attempt.
    assert asked == [0, *[1] * (len(asked) - 1)]
    assert len(asked) == min(failures + 1, 3)
    assert left == (["pv of home: silent"] if failures >= 3 else [])
