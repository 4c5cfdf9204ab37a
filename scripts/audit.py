"""Checks that what is installed is what the lock says, unchanged, and that nothing is known against it.

    python -m scripts.audit [LOCK]

First, without a network: every locked file has a hash, each installed package has the locked version, and
every file of it the hash that it was installed with. Then `pip-audit` asks the advisory service about each
version. Where that cannot be reached, nothing is known of vulnerabilities: this is said, with exit status 3.
"""

import base64
import hashlib
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

LOCK = Path(__file__).resolve().parent / "locked" / "dev.txt"
_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
UNREACHED = 3


def normal(name: str) -> str:
    """Name of a package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def unlocked(lock: str, installed: dict[str, str]) -> Iterator[str]:
    """What a lock leaves open, and what is installed in another version than it says."""
    entries = list(_ENTRY.finditer(lock))
    for entry, after in zip(entries, [*entries[1:], None], strict=True):
        name, version = normal(entry[1]), entry[2]
        if "--hash=sha256:" not in lock[entry.end() : after.start() if after else len(lock)]:
            yield f"{name} {version} has no hash"
        if installed.get(name, version) != version:
            yield f"{name} {installed[name]} is installed where {version} is locked"
    yield from (f"the lock names an index or a file: {line}" for line in re.findall(r"^.*://.*$", lock, re.M))


def changed(package: Distribution) -> Iterator[str]:
    """Files of an installed package that are not those that were installed."""
    for file in package.files or ():
        if file.hash is None:
            continue
        path = Path(str(package.locate_file(file)))
        found = hashlib.new(file.hash.mode, path.read_bytes()).digest() if path.is_file() else b""
        if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != file.hash.value:
            yield f"{package.name}: {file} is not the file that was installed"


def advisories(lock: Path) -> int:
    """Ask the advisory service about all that is locked; 3 where it was not reached."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, "pip-audit"]).returncode:
            print("audit: pip-audit cannot be installed")
            return UNREACHED
        words = ["--strict", "--require-hashes", "--disable-pip", "--requirement", str(lock)]
        done = subprocess.run([f"{folder}/bin/pip-audit", *words], capture_output=True, text=True)
    print(done.stdout + done.stderr)
    if done.returncode and "ulnerabilit" not in done.stdout + done.stderr:
        print("audit: the advisory service was not reached: nothing is known of vulnerabilities")
        return UNREACHED
    return done.returncode


def main(lock: Path) -> int:
    """Audit what a lock says; the exit status."""
    packages = list(distributions())
    wrong = list(unlocked(lock.read_text(), {normal(each.name): each.version for each in packages}))
    wrong += [line for each in packages for line in changed(each)]
    print("\n".join(wrong) or f"audit: {len(packages)} packages are as locked, file by file")
    return 1 if wrong else advisories(lock)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else LOCK))
