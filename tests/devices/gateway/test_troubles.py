"""What is said of devices that fail again and again."""

from devices.gateway.troubles import Troubles


def test_a_trouble_is_told_when_it_begins_counted_between_and_told_when_it_is_over():
    now = 0.0
    troubles = Troubles(lambda: now)
    pv, battery = "pv of h0", "battery of h1"
    assert troubles.take({pv: "", battery: "silent"}) == ["set-point not kept: silent"]
    for now in range(1, 100):
        # What is not due is not tended, and no better for it.
        assert troubles.take({pv: "", battery: f"silent {now}"} if now % 2 else {pv: ""}) == []
    assert troubles.still() == ["set-point still not kept: battery of h1, 51 failed attempts in 99 s"]
    assert troubles.still() == []
    assert troubles.take({battery: ""}) == [
        "set-point kept again: battery of h1, after 51 failed attempts in 99 s"
    ]
    assert troubles.take({battery: ""}) == troubles.still() == []
    assert troubles.take({battery: "silent"}) == ["set-point not kept: silent"]
