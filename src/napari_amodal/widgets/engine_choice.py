"""The engines that can be chosen, and what each still lacks."""

from __future__ import annotations

from dataclasses import dataclass

from napari_amodal.clip import Clip
from napari_amodal.engine import Overrides, lacks
from napari_amodal.errors import InputError
from napari_amodal.readiness import Lack
from napari_amodal.registry import Engine, engine_names, find_engine


@dataclass(frozen=True)
class EngineChoice:
    """An engine as the list shows it; `engine` is None where it cannot even be loaded."""

    name: str
    engine: Engine | None
    lacks: tuple[Lack, ...]

    @property
    def summary(self) -> str:
        """What it is for, or what it lacks, a line a matter; weights by their names only."""
        if not self.lacks:
            assert self.engine is not None
            return self.engine.summary
        lines = [lack.told for lack in self.lacks if not lack.weight]
        if self.weights:
            lines.append("the weights " + ", ".join(self.weights))
        return "\n".join((f"{self.name} cannot run here yet. It lacks:", *lines))

    @property
    def commands(self) -> str:
        """What it lacks, each thing with the command that gets it."""
        return "\n".join(lack.told for lack in self.lacks)

    @property
    def weights(self) -> tuple[str, ...]:
        """Names of the weights that it lacks."""
        return tuple(lack.weight for lack in self.lacks if lack.weight)


def engine_choices(clip: Clip | None = None) -> tuple[EngineChoice, ...]:
    """All engines that are installed, `draft` first, for a clip or for any."""
    return tuple(engine_choice(name, clip) for name in engine_names())


def engine_choice(
    name: str, clip: Clip | None = None, settings: Overrides | None = None
) -> EngineChoice:
    """One engine with settings that differ from its own."""
    try:
        engine = find_engine(name)
        return EngineChoice(name, engine, lacks(engine, settings, clip))
    except (InputError, ImportError, AttributeError) as error:  # a third party's, half installed
        return EngineChoice(name, None, (Lack(str(error)),))
