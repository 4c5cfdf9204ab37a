"""Which extra of the package brings a library."""

EXTRA_OF = {
    "aiomqtt": "broker",
    "pymodbus": "devices",
    "ocpp": "sources",
    "cryptography": "security",
    "opendssdirect": "cosim",
    "influxdb_client": "influx",
    "helics": "helics",
    "pythonfmu": "fmi",
    "numba": "horizon",
    "matplotlib": "pictures",
    "distributed": "studies",
    "dask": "studies",
    "starlette": "view",
    "uvicorn": "view",
    "cvxpy": "reference",
    "clarabel": "reference",
}
"""Extras by the libraries that they alone bring, the first library of each the one to look for."""


def remedy(library: str) -> str:
    """What to do where a library is missing."""
    package = library.partition(".")[0]
    extra = EXTRA_OF.get(package, "cosim")
    return f"{package} is not installed: pip install 'sharegrid[{extra}]'"
