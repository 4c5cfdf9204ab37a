"""What happens to a feeder on the way: ties, outages, repairs, and no event that ends a run."""

from typing import get_args

import numpy as np
import pytest

from cosim.feeder.dispatch import OperatingRules
from cosim.feeder.linear import Limits
from cosim.feeder.opendss import Feeder
from cosim.feeder.operation import Operation
from cosim.feeder.settings import Event, EventKind
from cosim.feeder.under_events import FeederUnderEvents
from tests.integration.circuits import (
    DELTA,
    TIE,
)


@pytest.mark.parametrize(
    "opened",
    [
        "open line.tie 2",
        "line.tie.enabled=no",
        "new swtcontrol.s switchedobj=line.tie switchedterm=1 action=open delay=0",
    ],
)
def test_a_normally_open_tie_closes_and_carries(circuit, opened):
    feeder = Feeder(circuit(f"{TIE}{opened}\nsolve\n"))
    events = {
        1: (Event(at=1, kind="switch-closed", element="tie"),),
        2: (Event(at=2, kind="switch-open", element="sw1"),),
        3: (Event(at=3, kind="switch-open", element="tie"),),
        4: (Event(at=4, kind="switch-closed", element="tie"),),
    }
    operation = Operation(
        OperatingRules(Limits(0.9, 1.1, feeder.layout.rating_a), 900.0, np.zeros(3), events=events)
    )
    kw = feeder.layout.spot_kw
    tie_a, unserved = [], []
    for tick in range(5):
        unserved.append(operation.open(feeder, tick)[1])
        state = operation.meter(feeder, kw, kw * feeder.layout.tan_phi).run.last
        tie_a.append(abs(state.current_a[state.branches.index("line.tie.1")]))
    assert tie_a[0] == pytest.approx(0.0, abs=1e-4)
    assert tie_a[3] == pytest.approx(0.0, abs=1e-4)
    assert tie_a[1] == pytest.approx(9.5, abs=0.6)
    assert tie_a[2] == pytest.approx(tie_a[4], rel=1e-6)
    assert tie_a[2] == pytest.approx(14.3, abs=0.5)
    assert unserved == [[], [], [], ["b"], []]


EVENTFUL = TIE.replace(
    "new load.lc",
    """new transformer.r phases=3 windings=2 buses=(c d) kvs=(12.47 12.47) kvas=(9999 9999) xhl=.01
new regcontrol.r transformer=r winding=2 vreg=122 band=2 ptratio=60 delay=15
new capacitor.k bus1=d kv=12.47 kvar=300
new capcontrol.k element=line.side terminal=1 capacitor=k type=kvar
~ onsetting=100 offsetting=-300 ptratio=1 ctratio=1
new generator.g bus1=d kv=12.47 kw=100 pf=1
new load.lc""",
).replace("bus1=c kv", "bus1=d kv")


def test_whatever_happens_no_event_ends_a_run(circuit):
    feeder = Feeder(circuit(f"{EVENTFUL}open line.tie 2\nsolve\n"))
    rng = np.random.default_rng(3)
    names = dict(
        zip(
            ("line", "switch", "fault", "capacitor", "generator"),
            ("sw1", "tie", "side", "k", "g"),
            strict=True,
        )
    )
    names |= {"transformer": "r", "regulator": "r"}
    kinds = [kind for kind in get_args(EventKind) if kind not in ("load-step", "source-voltage")]
    events = {
        tick: (
            Event(
                at=tick,
                kind=kind,
                element=names.get(kind.partition("-")[0], ""),
                tap=int(rng.integers(-20, 20)),
            ),
        )
        for tick, kind in enumerate(rng.choice(kinds, 40).tolist())
    }
    limits = Limits(0.9, 1.1, feeder.layout.rating_a)
    operation = Operation(OperatingRules(limits, 900.0, np.zeros(3), controls_act=True, events=events))
    kw, kvar = feeder.layout.spot_kw, feeder.layout.spot_kw * feeder.layout.tan_phi
    balance = []
    for tick in range(40):
        happened, unserved = operation.open(feeder, tick)
        assert len(happened) == 1
        run = operation.meter(feeder, kw, kvar).run
        served = [power for power, name in zip(kw, feeder.layout.lams, strict=True) if name not in unserved]
        balance.append(run.last.source_kw - run.last.losses_kw - sum(served))
    assert set(np.round(balance, 2)) <= {0.0, -100.0}
    assert {0.0, -100.0} <= set(np.round(balance, 2))


def test_a_generator_fails_and_returns_with_the_power_that_it_had(circuit):
    feeder = FeederUnderEvents(Feeder(circuit(EVENTFUL)))
    kw = feeder.layout.spot_kw
    powers = []
    for kind in ("generator-outage", "generator-repair"):
        told = feeder.apply(Event(at=0, kind=kind, element="g"))
        assert told == f"generator g is {'out' if kind.endswith('outage') else 'in service'}"
        state = feeder.solve(kw, 0 * kw)
        powers.append(state.source_kw - state.losses_kw)
    assert np.subtract(powers, kw.sum()) == pytest.approx([0.0, -100.0], abs=0.1)


def test_a_feeder_whose_own_loads_no_longer_hold_after_an_event_is_still_there(circuit):
    weak = TIE.replace("length=2 units=km\nnew line.side", "length=60 units=km\nnew line.side")
    feeder = FeederUnderEvents(Feeder(circuit(weak.replace("kw=300", "kw=2000"))))
    told = feeder.apply(Event(at=0, kind="switch-open", element="tie"))
    assert told == "line tie is out"
    kw = 0.05 * feeder.layout.spot_kw
    assert feeder.solve(kw, 0 * kw).source_kw > kw.sum()


def test_the_same_voltages_are_judged_after_an_event_that_takes_their_ground_away(circuit):
    feeder = FeederUnderEvents(
        Feeder(
            circuit(
                f"{DELTA} conns=(delta delta)\n"
                "new reactor.ground bus1=m phases=3 kv=0.48 kvar=30\n"
                "new line.lv bus1=b bus2=z r1=1 x1=1\n"
                "new load.m bus1=m phases=3 conn=delta kv=0.48 kw=90 kvar=30"
            )
        )
    )
    at = [place for place, name in enumerate(feeder.layout.nodes) if name.startswith("m.")]
    assert [feeder.layout.nodes[place] for place in at] == ["m.1", "m.2", "m.3", "m.1-2", "m.2-3", "m.1-3"]
    feeder.apply(Event(at=0, kind="line-outage", element="lv"))
    kw = feeder.layout.spot_kw
    assert not np.isnan(feeder.solve(kw, 0 * kw).v_pu[at]).any()


def test_an_outage_of_one_phase_leaves_those_on_it_alone(circuit):
    feeder = FeederUnderEvents(
        Feeder(
            circuit(
                "new line.tap bus1=b.1 bus2=t.1 phases=1 r1=.3 x1=.4 length=1\n"
                "new load.t bus1=t.1 phases=1 kv=7.2 kw=50 kvar=9\nnew load.b bus1=b kv=12.47 kw=90 kvar=9"
            ),
            by_phase=True,
        )
    )
    assert feeder.layout.lams == ("a.1", "a.2", "a.3", "t.1", "b.1", "b.2", "b.3")
    assert feeder.apply(Event(at=0, kind="line-outage", element="tap")).endswith("feeds 1 LAMs: t.1")
    kw = feeder.layout.spot_kw
    state = feeder.solve(kw, 0 * kw)
    assert state.source_kw - state.losses_kw == pytest.approx(990.0, abs=1e-6)
    assert feeder.apply(Event(at=0, kind="line-repair", element="tap")).endswith("1 LAMs are fed again: t.1")
