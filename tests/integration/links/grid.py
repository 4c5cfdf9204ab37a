"""A federate of the tests: sets the source's voltage and a load, and writes down all that a run tells.

python grid.py ADDRESS INTERVALS VANISHES_AT: before that interval it is gone without a word; 0 for never.
"""

import json
import os
import sys

import helics as h

INTERVAL_S = 900.0
TOLD = ("head_kw", "head_kvar", "losses_kw", "v_pu/street.1", "price/homes", "wam_price/farm", "bought_kwh")


def main(address, intervals, vanishes_at):
    info = h.helicsCreateFederateInfo()
    h.helicsFederateInfoSetCoreTypeFromString(info, "zmq")
    h.helicsFederateInfoSetCoreInitString(info, f"--broker_address=tcp://{address}")
    h.helicsFederateInfoSetFlagOption(info, h.HELICS_FLAG_UNINTERRUPTIBLE, True)
    federate = h.helicsCreateValueFederate("grid", info)
    h.helicsFederateSetIntegerProperty(
        federate, h.HELICS_PROPERTY_INT_CONSOLE_LOG_LEVEL, h.HELICS_LOG_LEVEL_NO_PRINT
    )
    voltage = h.helicsFederateRegisterGlobalTypePublication(federate, "grid/v_pu", "double", "pu")
    # HELICS turns MW into the kW that are taken.
    load = h.helicsFederateRegisterGlobalTypePublication(federate, "grid/load", "double", "MW")
    price = h.helicsFederateRegisterGlobalTypePublication(federate, "grid/price", "double", "$/MWh")
    told = {key: h.helicsFederateRegisterSubscription(federate, f"feeder/{key}", "") for key in TOLD}
    h.helicsFederateEnterInitializingMode(federate)
    h.helicsPublicationPublishDouble(voltage, 1.0)
    h.helicsFederateEnterExecutingMode(federate)
    for interval in range(1, intervals):
        h.helicsFederateRequestTime(federate, interval * INTERVAL_S)
        heard = {key: h.helicsInputGetDouble(value) for key, value in told.items()}
        sys.stdout.write(json.dumps(heard) + "\n")
        sys.stdout.flush()
        if interval == vanishes_at:
            os._exit(0)
        h.helicsPublicationPublishDouble(voltage, 1.0 - 1e-3 * heard["head_kw"])
        h.helicsPublicationPublishDouble(price, 250.0 + 10.0 * interval)
        # The second is none that a source can have: it is refused.
        h.helicsPublicationPublishDouble(load, 0.001 * interval if interval != 2 else float("nan"))
    h.helicsFederateDisconnect(federate)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
