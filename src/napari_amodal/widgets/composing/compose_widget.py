"""The dock widget *Compose a clip*."""

from __future__ import annotations

from pathlib import Path

from napari import Viewer
from napari.utils.notifications import show_error
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QLineEdit,
    QListWidget,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_amodal.compose.description import read_description
from napari_amodal.errors import InputError
from napari_amodal.formats.tabe51 import is_tabe51
from napari_amodal.widgets.composing.compose_model import ComposeModel
from napari_amodal.widgets.composing.composition_view import View
from napari_amodal.widgets.composing.numbers_row import NumbersRow
from napari_amodal.widgets.composing.part_form import PartForm

_TITLES = {
    View.SOURCE: ("Source", "The chosen part's own frames, with its masks to paint in"),
    View.OVERLAP: ("Overlap", "All parts in their places; drag the chosen occluder"),
    View.PREVIEW: ("Preview", "The composed clip and its masks"),
}


class ComposeWidget(QWidget):
    """Lay occluders over an object, and write the clip with its exact amodal masks.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.model = ComposeModel(viewer, self)
        self._make_files()
        self._make_parts()
        self._make_masks()
        self._make_end()
        self._lay_out()
        self._connect()
        self._update()

    # -- making -----------------------------------------------------------------------------------

    def _make_files(self) -> None:
        self.open_button = QPushButton("Open …")
        self.open_button.setToolTip("Open a clip of a description file (docs/compose.md)")
        self.save_button = QPushButton("Save …")
        self.save_button.setToolTip(
            "Save as a description file (JSON), the masks beside it; a file that is there gets one "
            "clip more"
        )
        self.name = QLineEdit()
        self.name.setPlaceholderText("name of the composed clip")

    def _make_parts(self) -> None:
        self.parts = QListWidget()
        self._listed: list[str] = []
        self.parts.setMaximumHeight(96)
        self.add_video = QPushButton("Add a video …")
        self.add_folder = QPushButton("Add a folder …")
        self.add_folder.setToolTip("A folder of frames, or a clip folder, which brings its masks")
        self.remove_button = QPushButton("Remove")
        self.views = QButtonGroup(self)
        self.view_buttons = {view: QPushButton(title) for view, (title, _) in _TITLES.items()}
        for at, (view, button) in enumerate(self.view_buttons.items()):
            button.setCheckable(True)
            button.setToolTip(_TITLES[view][1])
            self.views.addButton(button, at)
        self.form = PartForm()
        self.numbers = NumbersRow()

    def _make_masks(self) -> None:
        self.masks = QLabel()
        self.masks.setWordWrap(True)
        self.tracker = QComboBox()
        self.tracker.addItems(list(self.model.trackers()))
        self.track_button = QPushButton("Track")
        self.track_button.setToolTip("Find it on all taken frames, from those that you painted")
        self.masks_button = QPushButton("Open masks …")
        self.masks_button.setToolTip("A TIFF stack of its masks, one page a frame")

    def _make_end(self) -> None:
        self.write_button = QPushButton("Write the clip …")
        self.cancel_button = QPushButton("Cancel")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.status = QLabel()
        self.status.setWordWrap(True)

    def _lay_out(self) -> None:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setSpacing(6)
        layout.addLayout(_row(self.name, self.open_button, self.save_button))
        layout.addWidget(self.parts)
        layout.addLayout(_row(self.add_video, self.add_folder, self.remove_button))
        layout.addLayout(_row(*self.view_buttons.values()))
        layout.addWidget(self.masks)
        layout.addLayout(_row(self.tracker, self.track_button, self.masks_button))
        layout.addWidget(self.form)
        layout.addWidget(self.numbers)
        layout.addLayout(_row(self.write_button, self.cancel_button))
        layout.addWidget(self.progress)
        layout.addWidget(self.status)
        layout.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(inside)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(area)
        self.setMinimumWidth(370)

    def _connect(self) -> None:
        model = self.model
        self.open_button.clicked.connect(self._on_open)
        self.save_button.clicked.connect(self._on_save)
        self.name.editingFinished.connect(lambda: model.rename(self.name.text()))
        self.parts.currentRowChanged.connect(self._on_row)
        self.add_video.clicked.connect(self._on_video)
        self.add_folder.clicked.connect(self._on_folder)
        self.remove_button.clicked.connect(model.remove)
        self.views.idClicked.connect(lambda at: model.show(list(View)[at]))
        self.track_button.clicked.connect(lambda: model.track(self.tracker.currentText()))
        self.masks_button.clicked.connect(self._on_masks)
        self.form.key_set.connect(model.set)
        self.form.plate_chosen.connect(model.set_plate)
        self.numbers.numbers_set.connect(lambda key, values: model.set_numbers(key, *values))
        self.numbers.frame_chosen.connect(model.shown.go_to)
        self.numbers.add.clicked.connect(model.add_keys)
        self.numbers.take_away.clicked.connect(model.remove_keys)
        self.write_button.clicked.connect(self._on_write)
        self.cancel_button.clicked.connect(model.cancel)
        model.changed.connect(self._update)
        model.progressed.connect(self._show_progress)
        model.stepped.connect(self._show_numbers)

    # -- what the person does ---------------------------------------------------------------------

    def _on_video(self) -> None:
        file, _ = QFileDialog.getOpenFileName(self, "A video, or a TIFF stack")
        if file:
            self.model.add(Path(file))

    def _on_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "A folder of frames, or a clip folder")
        if folder:
            self.model.add(Path(folder))

    def _on_row(self, row: int) -> None:
        if 0 <= row < len(self.model.parts):
            self.model.choose(self.model.parts[row])

    def _on_masks(self) -> None:
        file, _ = QFileDialog.getOpenFileName(
            self, "Masks, one page a frame", "", "TIFF stacks (*.tif *.tiff)"
        )
        if file:
            self.model.open_masks(Path(file))

    def _on_open(self) -> None:
        file, _ = QFileDialog.getOpenFileName(
            self, "Open a description", "", "Descriptions (*.toml *.json)"
        )
        if not file:
            return
        try:
            found = {one.name: one for one in read_description(Path(file))}
        except InputError as error:
            show_error(str(error))
            return
        name = next(iter(found))
        if len(found) > 1:
            name, taken = QInputDialog.getItem(
                self, "Which clip?", f"{Path(file).name} describes", list(found), 0, False
            )
            if not taken:
                return
        self.model.open(Path(file), found[name])

    def _on_save(self) -> None:
        start = self.model.file.with_suffix(".json") if self.model.file else Path("set.json")
        file, _ = QFileDialog.getSaveFileName(
            self,
            "Save the description",
            str(start),
            "Descriptions (*.json)",
            options=QFileDialog.Option.DontConfirmOverwrite,  # others' clips in it stay
        )
        if not file:
            return
        path = Path(file).with_suffix(".json")
        if self.model.replaces_in(path) and not self._agreed(
            f"{path.name} has a clip named {self.model.name!r}. Replace it with this one?"
        ):
            return
        self.model.save(path)

    def _on_write(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Write the clip folder into …")
        if not folder:
            return
        target = Path(folder) / self.model.name
        there = is_tabe51(target)
        if there and not self._agreed(f"{target} is there. Replace it with this clip?"):
            return
        self.model.write(Path(folder), overwrite=there)

    def _agreed(self, question: str) -> bool:
        answer = QMessageBox.question(self, "Replace?", question)
        return bool(answer == QMessageBox.StandardButton.Yes)

    # -- what is shown ----------------------------------------------------------------------------

    def _update(self) -> None:
        model = self.model
        if not self.name.hasFocus():
            self.name.setText(model.name)
        self._list_parts()
        chosen, busy = model.chosen, model.is_busy
        self.add_video.setText("Add an occluder …" if model.parts else "Add the object …")
        for button in (self.add_video, self.add_folder, self.open_button):
            button.setDisabled(busy)
        self.remove_button.setEnabled(chosen is not None and not busy)
        for widget in (self.masks, self.tracker, self.track_button, self.masks_button, self.form):
            widget.setVisible(chosen is not None)
            widget.setDisabled(busy)
        self.views.setExclusive(False)  # none is pressed before there is a part
        for view, choice in self.view_buttons.items():
            choice.setEnabled(bool(model.parts) and not busy)
            choice.setChecked(model.shown.view is view)
        self.views.setExclusive(True)
        if chosen is not None:
            self.masks.setText(model.told(chosen))
            self.form.show_part(chosen, is_occluder=model.is_occluder)
        self.save_button.setEnabled(bool(model.parts) and bool(model.name) and not busy)
        self.write_button.setEnabled(not model.write_hindrance)
        self.write_button.setToolTip(model.write_hindrance or "Frames, masks and levels (TABE-51)")
        self.cancel_button.setEnabled(busy)
        self.progress.setVisible(busy)
        self.progress.setRange(0, 0)
        self.status.setText(model.status or model.next_step)
        self._show_numbers()

    def _list_parts(self) -> None:
        names = [
            f"{'occluder' if at else 'object'}: {part.name}"
            for at, part in enumerate(self.model.parts)
        ]
        with QSignalBlocker(self.parts):
            if names != self._listed:
                self._listed = names
                self.parts.clear()
                self.parts.addItems(names)
            if self.model.chosen in self.model.parts:
                self.parts.setCurrentRow(self.model.parts.index(self.model.chosen))

    def _show_progress(self) -> None:
        job = self.model.job
        if job is None or job.progress is None or job.is_cancelled():
            return
        progress = job.progress
        self.progress.setRange(0, 1000)
        self.progress.setValue(round(1000 * progress.fraction))
        left = progress.seconds_left
        told = f", {round(left)} s left" if left is not None and progress.fraction < 1 else ""
        self.status.setText(f"{progress.title}: {progress.fraction:.0%}{told}")

    def _show_numbers(self) -> None:
        """At the frame of the composed clip that is shown; the source has other frames."""
        model = self.model
        placed = model.is_occluder and model.shown.view is not View.SOURCE
        self.numbers.setVisible(placed)
        if placed and model.chosen is not None:
            self.numbers.show_numbers(model.chosen, model.shown.frame)
            self.numbers.setDisabled(model.is_busy)


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row
