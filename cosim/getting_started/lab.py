"""``sharegrid init``: a folder with all that a small lab's first run needs."""

from importlib.resources import files
from pathlib import Path

from cosim.scenario import ScenarioError

_FIRST = {
    "check {scenario}": "who lives where, what is to happen",
    "run {scenario} --intervals 8 --out {folder}/first": "two hours, as fast as they go",
    "run {scenario} --pace 60 --out {folder}/day": "a minute of the lab in a second",
}
_HARDWARE = {
    "device probe tcp://ADDRESS": "what is there, as an entry",
    "check {scenario} --devices": "whether it answers; nothing is written",
    "run {scenario} --pace real --out {folder}/read": "reads it",
    "run {scenario} --pace real --arm --out {folder}/armed": "commands it, once its entry says armed = true",
    "stop {folder}/armed": "in another terminal: brings every device of that run to its safe value",
}


def next_steps(scenario: Path) -> str:
    """What to do with a folder that was written, in words."""
    hardware = f"Your own meter: take the marks off [[devices]] in {scenario}"
    lines = [f"written: {scenario.parent}, a street with four customers"]
    for intro, steps in (("", _FIRST), (hardware, _HARDWARE)):
        words = {
            f"sharegrid {step.format(scenario=scenario, folder=scenario.parent)}": meaning
            for step, meaning in steps.items()
        }
        width = max(map(len, words))
        lines += [
            "",
            *([intro] if intro else []),
            *(f"  {word:<{width}}  {what}" for word, what in words.items()),
        ]
    return "\n".join(lines)


def write_lab(folder: Path) -> Path:
    """Write the folder; the path of its scenario.

    Raises
    ------
    ScenarioError
        One of its files is there already; nothing was written.
    """
    source = files("cosim.getting_started") / "lab"
    content = {Path(entry.name): entry.read_bytes() for entry in source.iterdir() if entry.is_file()}
    for name in content:
        if (folder / name).exists():
            raise ScenarioError(f"{folder / name}: is there already; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in content.items():
        (folder / name).write_bytes(text)
    return folder / "scenario.toml"
