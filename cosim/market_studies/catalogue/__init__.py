"""All studies by name."""

from cosim.market_studies.catalogue.behaviour import BEHAVIOUR
from cosim.market_studies.catalogue.closed_loop import CLOSED_LOOP
from cosim.market_studies.catalogue.congestion import CONGESTION
from cosim.market_studies.catalogue.convergence import CONVERGENCE
from cosim.market_studies.catalogue.discrimination import DISCRIMINATION
from cosim.market_studies.catalogue.followup import FOLLOWUP
from cosim.market_studies.catalogue.prices import PRICES
from cosim.market_studies.catalogue.propositions import PROPOSITIONS
from cosim.market_studies.catalogue.scale import SCALE
from cosim.market_studies.catalogue.structures import STRUCTURES
from cosim.market_studies.declaration import Study

STUDIES: dict[str, Study] = {
    each.name: each
    for each in (
        CONVERGENCE,
        PRICES,
        STRUCTURES,
        SCALE,
        DISCRIMINATION,
        CONGESTION,
        BEHAVIOUR,
        CLOSED_LOOP,
        PROPOSITIONS,
        FOLLOWUP,
    )
}
