"""What the composing panel does, without how it looks: the parts, the jobs, the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_amodal.clip import safe_name
from napari_amodal.compose.compose_job import ComposeJob, write_composed
from napari_amodal.compose.description import Described, read_description, write_description
from napari_amodal.compose.layers import Composition, compose
from napari_amodal.compose.sources import open_masks, tracked_masks, write_masks
from napari_amodal.errors import InputError
from napari_amodal.masks import Mask
from napari_amodal.progress import Watch
from napari_amodal.registry import StageKind, find_engine, stage_names
from napari_amodal.widgets.composing.composition_view import CompositionView, View
from napari_amodal.widgets.composing.one_job import Job, OneJob
from napari_amodal.widgets.composing.part import Part, as_values, open_part
from napari_amodal.widgets.composing.part_layers import told_levels


class ComposeModel(OneJob):
    """The state behind the panel.

    Signals
    -------
    changed
        A part, a view, a job or the status is another.
    stepped
        Another frame is shown, or the numbers at it are others.
    """

    stepped = Signal()

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.name = ""
        #: The object first, then the occluders.
        self.parts: list[Part] = []
        self.chosen: Part | None = None
        #: The description file that was opened or saved last.
        self.file: Path | None = None
        self.is_saved = False
        self.shown = CompositionView(viewer, self)
        self.shown.changed.connect(self.changed)
        self.shown.stepped.connect(self.stepped)

    # -- the parts --------------------------------------------------------------------------------

    @property
    def is_occluder(self) -> bool:
        """Whether the chosen part is laid over the object."""
        return self.chosen is not None and self.chosen is not self.parts[0]

    def add(self, source: Path) -> None:
        """Open a video or folder as the object, or as an occluder once there is an object."""
        values = {"source": str(source.absolute())}

        def take(part: Part) -> None:
            self.parts.append(part)
            self.name = self.name or safe_name(part.name)
            self.chosen = part
            self._touched()
            self.say("")
            self.show(View.SOURCE)

        self.start(f"Opening {source.name} …", lambda job: open_part(values, Path(), job), take)

    def choose(self, part: Part) -> None:
        if part is not self.chosen:
            self.chosen = part
            self._show_again()

    def remove(self) -> None:
        """Leave out the chosen part; the next one is the object if that was it."""
        if self.chosen is None or self.is_busy:
            return
        self.parts.remove(self.chosen)
        self.chosen = self.parts[0] if self.parts else None
        self._touched()
        self._show_again()

    def set(self, key: str, value: Any, default: Any) -> None:
        """Set a key of the chosen part."""
        assert self.chosen is not None
        self.chosen.set(key, value, default)
        self._touched()
        if self.shown.view is View.OVERLAP:
            self.show(View.OVERLAP)
        self.changed.emit()

    def set_plate(self, plate: Path | None) -> None:
        assert self.chosen is not None
        self.chosen.plate = plate
        self._touched()
        self.changed.emit()

    def rename(self, name: str) -> None:
        if safe_name(name) != self.name:
            self.name = safe_name(name)
            self._touched()
            self.changed.emit()

    def told(self, part: Part) -> str:
        """What is there of a part, in a line."""
        try:
            taken = set(part.taken())
        except InputError as error:
            return str(error)
        rate = f", {part.clip.fps:g} a second" if part.clip.fps else ""
        masked = len(taken & part.filled)
        return (
            f"{part.source.name}: {len(part.clip)} frames{rate}; {len(taken)} are taken, masks on "
            f"{masked} of them"
        )

    @property
    def next_step(self) -> str:
        """What a person is to do next."""
        if not self.parts:
            return "Add the object: a clip of it with nothing before it"
        for part in self.parts:
            if not part.filled:
                return f"Paint {part.name} on a frame of its source, and press Track"
        if len(self.parts) == 1:
            return "Add an occluder: a clip of what is to pass before the object"
        return ""

    # -- the numbers that change in time ----------------------------------------------------------

    def set_numbers(self, key: str, *values: float) -> None:
        """Set numbers of the chosen occluder at this frame, or all along without keyframes."""
        self._with_chosen(lambda part: part.set_numbers(key, self.shown.frame, *values))

    def move(self, down: float, right: float) -> None:
        """Move the chosen occluder by pixels of the composed clip."""
        assert self.chosen is not None
        y, x = self.chosen.course("position").at(self.shown.frame)
        self.set_numbers("position", float(y) + down, float(x) + right)

    def add_keys(self) -> None:
        self._with_chosen(lambda part: part.add_keys(self.shown.frame))

    def remove_keys(self) -> None:
        self._with_chosen(lambda part: part.remove_keys(self.shown.frame))

    def _with_chosen(self, change: Callable[[Part], None]) -> None:
        assert self.chosen is not None
        change(self.chosen)
        self._touched()
        self.shown.place_anew()
        self.stepped.emit()

    # -- masks ------------------------------------------------------------------------------------

    def trackers(self) -> tuple[str, ...]:
        """Names of the trackers, the draft engine's first."""
        first = find_engine("draft").tracker
        return tuple(sorted(stage_names(StageKind.TRACKER), key=lambda name: (name != first, name)))

    def track(self, tracker: str) -> None:
        """Find the chosen part on the frames that are taken, from those that are painted."""
        part = self.chosen
        if part is None:
            return
        draft = find_engine("draft")
        engine = f"{tracker}+{draft.reasoner}+{draft.completer}"

        def work(job: Job) -> Mapping[int, Mask]:
            painted = part.painted()
            if not painted:
                raise InputError(
                    f"nothing is painted of {part.name} on the frames that are taken: show its "
                    "source, and paint it where all of it is seen"
                )
            return tracked_masks(
                part.clip,
                painted,
                engine,
                part.timing,
                on_progress=job.report,
                is_cancelled=job.is_cancelled,
            )

        def take(found: Mapping[int, Mask]) -> None:
            part.take_tracked(found)
            self._masks_came(
                f"{part.name} was tracked: look at its masks, and paint where they err"
            )

        self.start(f"Tracking {part.name} …", work, take)

    def open_masks(self, path: Path) -> None:
        """Take the chosen part's masks from a TIFF stack or a folder of images."""
        part = self.chosen
        if part is None:
            return

        def work(job: Job) -> None:
            masks = open_masks(path, part.clip, None)
            for frame in masks:
                job.check()
                part.volume[frame] = masks[frame]
            part.look_at(masks)

        def take(_: Any) -> None:
            part.masks_file, part.label, part.is_unsaved = path, None, False
            part.tracked.clear()
            self._masks_came(f"{part.name} has the masks of {path.name}")

        self.start(f"Reading {path.name} …", work, take)

    def _masks_came(self, told: str) -> None:
        self._touched()
        self.shown.refresh()
        self.say(told)

    # -- views ------------------------------------------------------------------------------------

    def show(self, view: View) -> None:
        """Show other layers of the composition, instead of those that are shown."""
        if self.chosen is None:
            return
        try:
            if view is View.SOURCE:
                self.shown.show_source(self.chosen, self._touched)
            elif view is View.OVERLAP:
                self.shown.show_overlap(self.parts, self.chosen, self.move)
            else:
                self._preview()
        except InputError as error:
            show_error(str(error))
            self.say(str(error))

    def _show_again(self) -> None:
        """After another part was chosen, or one left out; a preview is the person's to renew."""
        if self.chosen is None:
            self.shown.clear()
        elif self.shown.view in (View.SOURCE, View.OVERLAP):
            self.show(self.shown.view)
        self.changed.emit()

    def _preview(self) -> None:
        def take(found: Composition) -> None:
            self.shown.show_preview(found)
            self.say(f"{len(found.clip)} frames: {told_levels(found)}")

        self.start(
            "Composing …", lambda job: self._composed(Watch(job.report, job.is_cancelled)), take
        )

    def _composed(self, watch: Watch, share: float = 1.0) -> Composition:
        """The composition as it is now, in a worker."""
        target, *occluders = list(self.parts)
        watch.enter("Composing", 0.0, share)
        return compose(self.name, target.footage(), [part.occluder() for part in occluders], watch)

    # -- files ------------------------------------------------------------------------------------

    def _described(self, file: Path) -> Described:
        """The composition as a description in `file` has it."""
        base = file.absolute().parent
        target, *occluders = (as_values(part, base) for part in self.parts)
        return Described(self.name, {"object": target, "occluder": occluders}, base)

    def open(self, file: Path, described: Described) -> None:
        """Open a clip of a description instead of what is there."""
        tables = [described.what["object"], *described.what["occluder"]]

        def take(parts: list[Part]) -> None:
            self.parts, self.chosen, self.name = parts, parts[0], described.name
            self.file, self.is_saved = file, not any(part.is_unsaved for part in parts)
            self.say(f"{described.name} of {file.name}")
            self.show(View.OVERLAP)

        self.start(
            f"Opening {described.name} …",
            lambda job: [open_part(table, described.base, job) for table in tables],
            take,
        )

    def replaces_in(self, file: Path) -> bool:
        """Whether saving to a file replaces a clip of it that is not the one that was opened."""
        if not file.exists() or (self.file is not None and file == self.file):
            return False
        try:
            return self.name in {one.name for one in read_description(file)}
        except InputError:  # saving says it
            return False

    def save(self, file: Path) -> None:
        """Write the masks that are not on the disk beside a description, and the description."""
        unsaved = [(at, part) for at, part in enumerate(self.parts) if part.is_unsaved]

        def work(job: Job) -> None:
            watch = Watch(job.report, job.is_cancelled)
            for done, (at, part) in enumerate(unsaved):
                share = 1 / len(unsaved)
                watch.enter(f"Writing the masks of {part.name}", done * share, share)
                what = f"occluder{at}" if at else "object"
                path = file.absolute().parent / "masks" / f"{self.name}-{what}.tif"
                write_masks(path, part.clip, part.masks, watch)
                part.masks_file, part.label, part.is_unsaved = path, None, False
            write_description(file, self._described(file))

        def take(_: Any) -> None:
            self.file = file
            self.is_saved = not any(part.is_unsaved for part in self.parts)
            self.say(f"Saved to {file}")

        self.start("Saving …", work, take)

    @property
    def write_hindrance(self) -> str:
        """Why the clip cannot be written now; empty where it can."""
        if self.is_busy:
            return "Wait for the job to end"
        if not self.parts:
            return "Add the object first"
        if not self.is_saved or any(part.is_unsaved for part in self.parts):
            return "Save first: the clip names the description and the masks that it was made of"
        return ""

    def write(self, out: Path, *, overwrite: bool) -> None:
        """Compose the clip and write its folder, ``out/NAME``."""
        assert self.file is not None
        target = ComposeJob(self._described(self.file), out, overwrite)

        def work(job: Job) -> str:
            watch = Watch(job.report, job.is_cancelled)
            found = self._composed(watch, 0.5)
            watch.enter("Writing", 0.5, 0.5)
            write_composed(target, found, watch)
            return f"{target.target}: {len(found.clip)} frames, {told_levels(found)}"

        self.start("Composing …", work, self.say)

    def _touched(self) -> None:
        """Something is other than it was saved, and than it is shown composed."""
        self.is_saved = False
        if self.shown.view is View.PREVIEW:
            self.say("The preview is older than this: press Preview again")
