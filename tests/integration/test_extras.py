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

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, BUILD = PYPROJECT["project"], PYPROJECT["build-system"]
# What other extras bring libraries for: the embedded broker's own process, files of certificates, and devices
# behind HTTP or OCPP.
NOT_ON_A_PI = {"broker.server.amqtt_process", "devices.sources.http_feed"}
ROOMS_NOT_ON_A_PI = ("broker.security", "devices.sources.ocpp")
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


def is_on_a_pi(module: str) -> bool:
    """Whether the extra of devices is enough for a module."""
    return module not in NOT_ON_A_PI and not module.startswith(ROOMS_NOT_ON_A_PI)


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


def pinned(path: Path) -> dict[str, tuple[str, list[str]]]:
    """Version and hashes by name in a file of ours, which holds nothing else: no address of an index."""
    text = path.read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found = [
        re.fullmatch(r"([a-z0-9-]+)==([a-z0-9.+!]+)( ; [^-]+?)?((?: +--hash=\S+)*)", line) for line in lines
    ]
    assert None not in found
    return {one[1]: (one[2], one[4].split()) for one in found if one is not None}


def test_everything_is_pinned_within_what_is_asked_for() -> None:
    versions = {name: version for name, (version, _) in pinned(ROOT / "constraints.txt").items()}
    assert brought_by("dev") - {"pip", "setuptools", "wheel"} <= versions.keys()
    for text in itertools.chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        requirement = Requirement(text)
        if requirement.name != "sharegrid":
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), text


@pytest.mark.parametrize(
    ("lock", "extras"), [("dev", ("dev",)), ("cosim", ("cosim",)), ("devices", ("devices",))]
)
def test_every_file_of_what_is_installed_has_a_hash(lock: str, extras: tuple[str, ...]) -> None:
    versions = {name: version for name, (version, _) in pinned(ROOT / "constraints.txt").items()}
    locked = pinned(ROOT / "scripts" / "locked" / f"{lock}.txt")
    backend = {canonicalize_name(Requirement(text).name) for text in BUILD["requires"]}
    needed = backend | brought_by(lock)
    assert needed - {"pip", "setuptools", "wheel"} <= locked.keys()
    for name, (version, hashes) in locked.items():
        assert version == versions[name]
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes)
        assert hashes, name
    # A compiled package has a file for each Python and processor, so that a Raspberry Pi finds its own.
    assert len(locked["numpy"][1]) > 30


def test_devices_extra_alone(tmp_path: Path) -> None:
    folder = tmp_path / "pi"
    venv.create(folder, with_pip=False, symlinks=True)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    brought = brought_by("devices")
    assert {"pymodbus", "aiomqtt", "paho-mqtt", "msgspec", "numpy"} <= brought
    for name in brought:
        install(name, site)
    for package in ("broker", "devices", "market", "cosim", "sharegrid"):
        copytree(ROOT / package, site / package)
    modules = sorted(
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in ("broker", "devices", "sharegrid")
        for file in (ROOT / package).rglob("*.py")
    )
    code = f"""
import importlib, importlib.util
for name in {[name for name in modules if is_on_a_pi(name)]!r}:
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
