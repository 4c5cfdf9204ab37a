"""Every command and every Python line of the documents runs, or its source says why it cannot."""

import contextlib
import io
import re
import shutil
import subprocess
import tomllib

import pytest
from click.testing import CliRunner

from cosim.cli import main
from tests.integration.documents.blocks import (
    PAGES,
    ROOT,
    SHELL,
    blocks_of,
    commands_of,
    dialogues_of,
    is_printed,
    name_of,
)
from tests.integration.documents.place import COMMAND, Place, free_port, furnish, interrupt_a_run

TRIED = [
    page
    for page in PAGES
    if any(block.language in (*SHELL, "console", "python") for block in blocks_of(page))
]


@pytest.fixture(scope="module")
def furnished(tmp_path_factory, addresses):
    folder = tmp_path_factory.mktemp("documents") / "given"
    folder.mkdir()
    furnish(folder, addresses[":METER"])
    return folder


@pytest.fixture(scope="module")
def addresses():
    """What answers here, by the address that the documents give it."""
    port = free_port()
    device = [*COMMAND, "device", "inverter", "--tcp", "127.0.0.1:0", "--power", "3"]
    with (
        subprocess.Popen(["mosquitto", "-p", str(port)], stderr=subprocess.DEVNULL) as mosquitto,
        subprocess.Popen(device, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as inverter,
    ):
        broker = f"mqtt://127.0.0.1:{port}"
        found = re.search(r"at (\S+:\d+)$", inverter.stdout.readline())
        yield {
            "mqtt://broker:1883": broker,
            "mqtt://lab": broker,
            "192.168.1.20:1502/71": f"{found[1]}/1",
            "192.168.1.20": found[1],
            ":METER": f":{free_port()}",
            "127.0.0.1:23404": f"127.0.0.1:{free_port()}",
        }
        mosquitto.terminate()
        inverter.terminate()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", TRIED, ids=name_of)
def test_commands_of_a_page_run(page, furnished, addresses, tmp_path, monkeypatch):
    folder = tmp_path / "place"
    shutil.copytree(furnished, folder)
    monkeypatch.chdir(folder)
    if name_of(page) == "docs/recovery.md":
        interrupt_a_run(folder)
    place, names = Place(folder), {"__name__": "__main__"}
    try:
        for block in blocks_of(page):
            if block.prints:
                assert is_printed(block.text, place.printed), f"{block.where}\n{place.printed}"
            if block.not_run or block.language not in (*SHELL, "console", "python"):
                continue
            text = block.tried(addresses)
            try:
                if block.language == "python":
                    with contextlib.redirect_stdout(io.StringIO()):
                        exec(compile(text, block.where, "exec"), names)
                elif block.language == "console":
                    for line, says in dialogues_of(text):
                        said = place.said(line)
                        assert is_printed(says, said), f"{line}\n{said}"
                else:
                    for line in commands_of(text):
                        place.run(line)
            except BaseException as error:
                error.add_note(f"at {block.where}")
                raise
    finally:
        place.end()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_reasons_for_not_running_are_reasons(page):
    for block in blocks_of(page):
        assert not (block.not_run and block.other_words), block.where
        assert not block.not_run or len(block.not_run.split()) > 2, (
            f"{block.where}: {block.not_run} is no reason"
        )
        if block.language == "toml":
            tomllib.loads(block.text)


def test_prosumers_of_examples_with_devices_are_live(furnished):
    live = []
    for words in (["check"], ["check", str(furnished / "lab" / "scenario.toml")]):
        said = CliRunner().invoke(main, words).stdout
        live += re.search(r"^live +\d+: (.*?)(?: and \d+ more)?$", said, re.MULTILINE)[1].split(", ")
    named = {}
    for block in (block for page in PAGES for block in blocks_of(page) if block.language == "toml"):
        told = tomllib.loads(block.text)
        named |= {each["prosumer"]: block.where for each in told.get("devices", ())}
        named |= {who: block.where for fault in told.get("faults", ()) for who in fault["prosumers"]}
    assert named
    assert {who: where for who, where in named.items() if who not in live} == {}


def test_lines_of_a_run_that_troubleshooting_explains_are_said_somewhere():
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    lines = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(lines) > 2
    source = "\n".join(file.read_text() for file in (ROOT / "cosim").rglob("*.py"))
    assert [line for line in lines if f'"{line}"' not in source] == []
