"""Classes of a user's own, named in a scenario by import path: found, checked and made."""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from cosim.scenario import Extension, ScenarioError
from sharegrid.text import in_one_line


def make(extension: Extension, key: str, method: str) -> Any:
    """New instance of an extension's class, made with its parameters as keyword arguments.

    Parameters
    ----------
    extension
        Section of the scenario that names the class.
    key
        Dotted key of that section, for errors.
    method
        What the class must be able to do.

    Raises
    ------
    ScenarioError
        One line: the module or class is missing, cannot be made, or has no such method.
    """
    module, name = _module(extension, key)
    kind = getattr(module, name, None)
    if not isinstance(kind, type):
        raise ScenarioError(f"{key}.use: {module.__name__} has no class {name}; correct the name")
    if not callable(getattr(kind, method, None)):
        raise ScenarioError(f"{key}.use: {extension.use} has no method {method}(); see docs/extending.md")
    try:
        return kind(**extension.parameters)
    except Exception as error:
        raise ScenarioError(
            f"{key}.parameters: {extension.use} cannot be made ({in_one_line(error)}); correct them"
        ) from error


def source_hash(extension: Extension, key: str) -> str:
    """Hash of the source of an extension's module, wherever it lies; empty where none is named."""
    if not extension.use:
        return ""
    module, _ = _module(extension, key)
    return hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest() if module.__file__ else ""


def _module(extension: Extension, key: str) -> tuple[ModuleType, str]:
    """Module and class name that an extension names; its folder stays on the import path."""
    path, _, name = extension.use.partition(":")
    # At the end, so that a user's file never hides a library that is imported later.
    if extension.folder not in sys.path:
        sys.path.append(extension.folder)
    try:
        return importlib.import_module(path), name
    except ModuleNotFoundError as error:
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):
            raise ScenarioError(f"{key}.use: {path} needs {error.name}; install it") from error
        raise ScenarioError(
            f"{key}.use: no module {path} in {extension.folder} or installed; correct it or {key}.folder"
        ) from error
    except Exception as error:
        raise ScenarioError(f"{key}.use: {path} fails as it is imported ({in_one_line(error)})") from error
