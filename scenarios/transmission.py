"""A transmission system as a HELICS federate: a stiff source whose voltage follows the power drawn.

    python transmission.py HOST:PORT [INTERVALS] [SECONDS]

It subscribes to the head power of the federate `feeder` and publishes `transmission/v_pu`.
"""

import sys

import helics as h

SHORT_CIRCUIT_MW, R_SHARE, V_PU = 60.0, 0.3, 1.0


def terminal_pu(p_mw, q_mvar):
    """Voltage behind the reactance, by its linear drop [pu]."""
    return V_PU - (R_SHARE * p_mw + (1.0 - R_SHARE**2) ** 0.5 * q_mvar) / SHORT_CIRCUIT_MW


def main(address, intervals=96, interval_s=900.0):
    """Answer each interval of the feeder with the voltage at its head."""
    info = h.helicsCreateFederateInfo()
    h.helicsFederateInfoSetCoreTypeFromString(info, "zmq")
    h.helicsFederateInfoSetCoreInitString(info, f"--broker_address=tcp://{address}")
    h.helicsFederateInfoSetFlagOption(info, h.HELICS_FLAG_UNINTERRUPTIBLE, True)
    federate = h.helicsCreateValueFederate("transmission", info)
    voltage = h.helicsFederateRegisterGlobalTypePublication(federate, "transmission/v_pu", "double", "pu")
    p_mw = h.helicsFederateRegisterSubscription(federate, "feeder/head_kw", "MW")
    q_mvar = h.helicsFederateRegisterSubscription(federate, "feeder/head_kvar", "MVAR")
    h.helicsFederateEnterInitializingMode(federate)
    h.helicsPublicationPublishDouble(voltage, V_PU)
    h.helicsFederateEnterExecutingMode(federate)
    for interval in range(1, intervals):
        h.helicsFederateRequestTime(federate, interval * interval_s)
        drawn = h.helicsInputGetDouble(p_mw), h.helicsInputGetDouble(q_mvar)
        pu = terminal_pu(*drawn)
        h.helicsPublicationPublishDouble(voltage, pu)
        print(
            f"interval {interval}: {drawn[0]:.3f} MW, {drawn[1]:.3f} Mvar drawn before, {pu:.5f} pu",
            flush=True,
        )
    h.helicsFederateDisconnect(federate)


if __name__ == "__main__":
    main(sys.argv[1], *(int(each) for each in sys.argv[2:3]), *(float(each) for each in sys.argv[3:4]))
