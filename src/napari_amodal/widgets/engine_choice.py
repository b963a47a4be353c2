"""The engines that can be chosen, and what each still lacks."""

from __future__ import annotations

from dataclasses import dataclass

from napari_amodal.errors import InputError
from napari_amodal.registry import Engine, engine_names, find_engine, stage_type


@dataclass(frozen=True)
class EngineChoice:
    """An engine as the list shows it; `engine` is None where it cannot even be loaded."""

    name: str
    engine: Engine | None
    lacks: tuple[str, ...]

    @property
    def summary(self) -> str:
        """What it is for, or what it lacks, in one line a matter."""
        if self.lacks:
            return f"{self.name} cannot run here yet: " + "; ".join(self.lacks)
        assert self.engine is not None
        return self.engine.summary


def engine_choices() -> tuple[EngineChoice, ...]:
    """All engines that are installed, `draft` first."""
    return tuple(_choice(name) for name in engine_names())


def _choice(name: str) -> EngineChoice:
    try:
        engine = find_engine(name)
        lacks = [
            lack
            for kind, stage in engine.stages.items()
            for lack in stage_type(kind, stage).missing()
        ]
    except (InputError, ImportError, AttributeError) as error:  # a third party's, half installed
        return EngineChoice(name, None, (str(error),))
    return EngineChoice(name, engine, tuple(dict.fromkeys(lacks)))
