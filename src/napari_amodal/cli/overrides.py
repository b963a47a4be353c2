"""Settings changed on the command line: ``--set STAGE.SETTING=VALUE``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from napari_amodal.engine import Overrides
from napari_amodal.errors import CallError
from napari_amodal.registry import Engine, stage_type

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parse_overrides(engine: Engine, texts: Sequence[str]) -> Overrides:
    """The settings that ``STAGE.SETTING=VALUE`` texts change, typed as the stage declares them.

    Raises
    ------
    CallError
        A text is not of that form, or names a stage or setting that the engine does not have, or
        the value is not of the setting's type.
    """
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        stage, dot, setting = key.strip().partition(".")
        if not (equals and dot and stage and setting):
            raise CallError(f"--set {text}: write it as STAGE.SETTING=VALUE")
        hint = _settings_of(engine, stage, text).get(setting)
        if hint is None:
            known = ", ".join(sorted(_settings_of(engine, stage, text))) or "none"
            raise CallError(f"--set {text}: {stage!r} has no setting {setting!r}; it has: {known}")
        found.setdefault(stage, {})[setting] = _typed(hint, value.strip(), text)
    return found


def on_device(engine: Engine, device: str | None) -> list[str]:
    """``--device`` as changes of every stage that chooses one.

    Raises
    ------
    CallError
        The engine has no such stage.
    """
    if device is None:
        return []
    stages = [
        name for name in engine.stages.values() if "device" in _settings_of(engine, name, "device")
    ]
    if not stages:
        raise CallError(f"--device {device}: the engine {engine.name!r} runs on the CPU only")
    return [f"{stage}.device={device}" for stage in stages]


def _settings_of(engine: Engine, stage: str, text: str) -> dict[str, Any]:
    """Names and types of the settings of one of the engine's stages."""
    for kind, name in engine.stages.items():
        if name == stage:
            declared = stage_type(kind, name).settings_type
            hints = get_type_hints(declared)
            return {field.name: hints[field.name] for field in fields(declared)}
    known = ", ".join(dict.fromkeys(engine.stages.values()))
    raise CallError(f"--set {text}: the engine {engine.name!r} has the stages {known}")


def _typed(hint: Any, value: str, text: str) -> Any:
    for option in _options(hint):
        try:
            return _convert(option, value)
        except ValueError:
            continue
    raise CallError(f"--set {text}: {value!r} is not {_described(hint)}")


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _convert(hint: Any, value: str) -> Any:
    """`value` as `hint`; ValueError where it is none."""
    if hint is NoneType:
        if value.lower() == "none":
            return None
        raise ValueError(value)
    if hint is bool:
        if value.lower() in _TRUTH:
            return _TRUTH[value.lower()]
        raise ValueError(value)
    if get_origin(hint) is Literal:
        for choice in get_args(hint):
            if str(choice) == value:
                return choice
        raise ValueError(value)
    if hint in (int, float, str) or (isinstance(hint, type) and issubclass(hint, Enum)):
        return hint(value)
    raise ValueError(value)


def _described(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "one of " + ", ".join(str(choice.value) for choice in hint)
    names = {int: "a whole number", float: "a number", bool: "true or false", NoneType: "none"}
    return " or ".join(names.get(option, str(option)) for option in _options(hint))
