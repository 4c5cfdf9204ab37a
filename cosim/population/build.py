"""The prosumers of a scenario: from the user's table if there is one, synthetic otherwise."""

from cosim.population.members import LamSites, Population, draw_population
from cosim.scenario import Scenario


def build_population(scenario: Scenario, lams: LamSites) -> Population:
    """Prosumers of a scenario on a feeder.

    Parameters
    ----------
    scenario
        Decides everything, with its seed.
    lams
        Attachment points on the feeder.

    Returns
    -------
    Population
        The same bits for the same arguments.

    Raises
    ------
    ScenarioError
        Too few prosumers for the feeder's LAMs, or a table that cannot be used.
    """
    if scenario.tables.prosumers:
        # Reading tables needs pandas, which synthetic prosumers do without.
        from cosim.population.tables import read_prosumers

        return read_prosumers(scenario, lams)
    per_lam = None if scenario.live.everyone else scenario.live.per_lam
    return draw_population(scenario.population, scenario.run.seed, per_lam, lams)
