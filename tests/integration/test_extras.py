"""What the extras bring: all of it pinned, and devices run with theirs alone, as on a Raspberry Pi."""

import itertools
import re
import signal
import subprocess
import sys
import tomllib
import venv
from importlib import metadata
from pathlib import Path
from shutil import copy2, copytree

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# The embedded broker's own process; amqtt comes with the extra of whole runs.
NOT_ON_A_PI = {"broker.server.amqtt_process"}
HEAVY = (
    "amqtt",
    "clarabel",
    "cvxpy",
    "demandlib",
    "opendssdirect",
    "pandas",
    "plotly",
    "pvlib",
    "pyarrow",
    "scipy",
)


def brought_by(extra: str) -> set[str]:
    """Distributions that ``sharegrid[extra]`` brings, by the metadata of what is installed here."""
    own = PROJECT["optional-dependencies"]
    waiting = [Requirement(text) for text in PROJECT["dependencies"]] + [Requirement(f"sharegrid[{extra}]")]
    met: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name == "sharegrid":
            waiting += [Requirement(text) for one in requirement.extras for text in own[one]]
            continue
        for one in {"", *requirement.extras} - {known for other, known in met if other == name}:
            met.add((name, one))
            for wanted in map(Requirement, metadata.requires(name) or []):
                if wanted.marker is None or wanted.marker.evaluate({"extra": one}):
                    waiting.append(wanted)
    return {name for name, _ in met}


def install(name: str, site: Path) -> None:
    """Copy an installed distribution: the same files as from an index, without a network."""
    for file in metadata.files(name) or []:
        source = Path(str(file.locate()))
        if ".." not in file.parts and source.is_file():
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            copy2(source, target)


def test_everything_is_pinned_within_what_is_asked_for() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = [re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+!]+)", line) for line in lines if line[0] != "#"]
    assert None not in found
    pinned = {canonicalize_name(one[1]): one[2] for one in found if one is not None}
    assert brought_by("dev") - {"pip", "setuptools", "wheel"} <= pinned.keys()
    for text in itertools.chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        requirement = Requirement(text)
        if requirement.name != "sharegrid":
            assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), text


def test_devices_extra_alone(tmp_path: Path) -> None:
    folder = tmp_path / "pi"
    venv.create(folder, with_pip=False, symlinks=True)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    brought = brought_by("devices")
    assert {"pymodbus", "aiomqtt", "paho-mqtt", "msgspec", "numpy"} <= brought
    for name in brought:
        install(name, site)
    for package in ("broker", "devices", "market", "cosim"):
        copytree(ROOT / package, site / package)
    modules = sorted(
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in ("broker", "devices")
        for file in (ROOT / package).rglob("*.py")
    )
    code = f"""
import importlib, importlib.util
for name in {[name for name in modules if name not in NOT_ON_A_PI]!r}:
    importlib.import_module(name)
print([name for name in {HEAVY!r} if importlib.util.find_spec(name)])
"""
    done = subprocess.run(
        [folder / "bin" / "python", "-I", "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stderr == ""
    assert done.stdout == "[]\n"
    speaks = "from cosim.cli import main; main()"
    asked = [folder / "bin" / "python", "-I", "-W", "error", "-c", speaks, "device", "meter"]
    with subprocess.Popen([*asked, "--tcp", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as pi:
        assert pi.stdout is not None
        assert pi.stdout.readline().startswith("meter meter (sdm630): unit 1 at 127.0.0.1:")
        pi.send_signal(signal.SIGTERM)
    assert pi.returncode == 0
