from cosim.from_python import run as run
from cosim.from_python import run_async as run_async
from cosim.market_studies.running import study as study
from cosim.market_studies.sweep import sweep as sweep
from cosim.progress import Progress as Progress
from cosim.results.comparison import compare as compare
from cosim.results.reader import Run as Run
from cosim.results.reader import load as load
from cosim.scenario import Scenario as Scenario
from cosim.scenario import load_scenario as load_scenario
from market.analysis.certificate import certify as certify
from market.analysis.reference import references as references
from market.files.case_file import read_case as read_case
from market.model.case import Case as Case
from market.model.case import Grid as Grid
from market.model.case import Network as Network
from market.model.case import Resources as Resources
from market.model.case import Tariff as Tariff
from market.solver.clearing import Outcome as Outcome
from market.solver.clearing import clear as clear
from sharegrid.errors import ShadowedPackage as ShadowedPackage
from sharegrid.errors import SharegridError as SharegridError

PACKAGES: tuple[str, ...]

def check_not_shadowed() -> None: ...
