"""The dock widget *Amodal completion*."""

from __future__ import annotations

from pathlib import Path

from napari import Viewer
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import Qt
from qtpy.QtGui import QEnterEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_amodal.annotation.session import Session
from napari_amodal.progress import Progress
from napari_amodal.widgets.completion_model import CompletionModel
from napari_amodal.widgets.completion_run import RunRequest
from napari_amodal.widgets.correction_box import CorrectionBox
from napari_amodal.widgets.engine_picker import EnginePicker
from napari_amodal.widgets.export_job import export_folders, exported_layers
from napari_amodal.widgets.layer_clip import clip_of
from napari_amodal.widgets.layer_combo import LayerCombo
from napari_amodal.widgets.object_list import ObjectList
from napari_amodal.widgets.occlusion_view import OcclusionView
from napari_amodal.widgets.section import Section
from napari_amodal.widgets.session_bar import SessionOffer
from napari_amodal.widgets.surroundings import Surroundings


class CompletionWidget(QWidget):
    """Choose frames and a query, run an engine, correct the masks, export them.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # napari hands out a proxy, whose layers are other proxies at each look; we tell layers
        # apart by identity.
        viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.model = CompletionModel(viewer, self)
        self._watch = self.model.query_link.search
        self.around = Surroundings(self.model, self)
        self._make_inputs(viewer)
        self._make_run_controls()
        self._make_results()
        self._lay_out()
        self._connect()
        self._on_frames(self.frames.chosen)
        self._on_query(self.query.chosen)
        self._update()

    # -- making -----------------------------------------------------------------------------------

    def _make_inputs(self, viewer: Viewer) -> None:
        self.frames = LayerCombo(viewer.layers, _is_image, "open a clip first")
        self.frames.setToolTip("The frames to work on: an Image layer with a time axis")
        self.query = LayerCombo(viewer.layers, self.model.may_be_query, "press New")
        self.query.setToolTip(
            "The Labels layer in which each object is painted on one frame, each with a label "
            "value of its own"
        )
        self.new_query = QPushButton("New")
        self.new_query.setToolTip("Add an empty layer over the frames and take up the brush")
        self.painted = QLabel()
        self.painted.setWordWrap(True)
        self.painted.setToolTip("Click a frame's number to go there")
        self.every_frame = QCheckBox("Use every painted frame")
        self.every_frame.setToolTip(
            "Go by all the frames on which an object is painted. Without this, an object that is "
            "painted on more than one frame is refused, as one of them may be a slip."
        )
        self.engines = EnginePicker(self)
        for combo in (self.frames, self.query, self.engines.list):
            combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def _make_run_controls(self) -> None:
        self.run_button = QPushButton("Run")
        self.cancel_button = QPushButton("Cancel")
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.stage = QLabel()
        self.stage.setWordWrap(True)

    def _make_results(self) -> None:
        self.results_title = QLabel()
        self.occlusion = OcclusionView()
        self.keep_edits = QCheckBox("Keep my corrections when I run again")
        self.keep_edits.setChecked(True)
        self.keep_edits.setToolTip(
            "Frames that you corrected stay as they are, and the run goes by them. Without this, "
            "the next run replaces them."
        )
        self.objects = ObjectList(self.model.annotation)
        self.corrections = CorrectionBox(self.model)
        self.offer = SessionOffer(self.model.session)
        self.saved = QLabel()
        self.saved.setStyleSheet("color: gray")
        self.saved.setWordWrap(True)
        self.export_button = QPushButton("Export …")

    def _lay_out(self) -> None:
        query_row = QHBoxLayout()
        query_row.addWidget(self.query, 1)
        query_row.addWidget(self.new_query)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Frames", self.frames)
        form.addRow("Query", query_row)
        form.addRow(self.around.prompts)
        form.addRow(self.painted)
        form.addRow(self.every_frame)
        form.addRow("Engine", self.engines.list)
        form.addRow(self.engines.note)
        form.addRow(self.engines.weights_button)
        run_row = QHBoxLayout()
        run_row.addWidget(self.run_button, 2)
        run_row.addWidget(self.cancel_button, 1)
        self.clip_section = Section("Clip and engine")
        self.clip_section.rows.addLayout(form)
        self.clip_section.rows.addWidget(self.engines.settings_button)
        self.clip_section.rows.addWidget(self.engines.settings_box)
        self.clip_section.rows.addWidget(self.keep_edits)
        self.objects_section = Section("Objects")
        self.objects_section.rows.addWidget(self.objects)
        self.correct_section = Section("Correct")
        for widget in (self.results_title, self.occlusion, self.corrections):
            self.correct_section.rows.addWidget(widget)
        self.tools_section = Section("Hypotheses and shape tools", is_open=False)
        self.tools_section.rows.addWidget(self.around.tools_box)
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(6)
        layout.addWidget(self.offer)
        layout.addWidget(self.clip_section)
        layout.addLayout(run_row)
        for below in (self.progress, self.stage, self.objects_section, self.correct_section):
            layout.addWidget(below)
        layout.addWidget(self.tools_section)
        layout.addWidget(self.export_button)
        layout.addWidget(self.saved)
        layout.addStretch(1)
        scrolled = QScrollArea()  # small screens
        scrolled.setWidget(inside)
        scrolled.setWidgetResizable(True)
        scrolled.setFrameShape(QFrame.Shape.NoFrame)
        scrolled.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outside = QVBoxLayout(self)
        outside.setContentsMargins(0, 0, 0, 0)
        outside.addWidget(scrolled)
        bar = scrolled.verticalScrollBar()
        assert bar is not None
        self.setMinimumWidth(340 + bar.sizeHint().width())  # napari's title for the dock fits

    def _connect(self) -> None:
        self.frames.layer_chosen.connect(self._on_frames)
        self.query.layer_chosen.connect(self._on_query)
        self.new_query.clicked.connect(self.model.make_query)
        self.engines.changed.connect(self._update)
        self.run_button.clicked.connect(lambda: self._on_run())
        self.cancel_button.clicked.connect(self._on_cancel)
        self.export_button.clicked.connect(self._on_export)
        self.painted.linkActivated.connect(self._on_frame_link)
        self._watch.changed.connect(self._update)
        self.objects.run_wanted.connect(self._on_run)
        self.corrections.update_wanted.connect(self._on_update)
        self.model.session.loaded.connect(self._on_session)
        self.offer.clip_wanted.connect(self._on_clip_wanted)
        self.model.annotation.current_changed.connect(self._on_current)
        self.model.changed.connect(self._update)
        self.model.progressed.connect(self._show_progress)
        self.model.masks_changed.connect(self._show_occlusion)

    # -- what the annotator does ------------------------------------------------------------------

    def _on_frames(self, layer: Layer | None) -> None:
        self.model.choose_stack(layer if isinstance(layer, Image) else None)
        self.query.refresh()
        stack = self.model.stack
        self.engines.follow(None if stack is None or self.model.stack_fault else clip_of(stack))

    def _on_query(self, layer: Layer | None) -> None:
        self.model.choose_query(layer if isinstance(layer, Labels) else None)
        if self.model.has_given_visible:  # that all frames are painted is no slip
            self.every_frame.setChecked(True)

    def _request(self, only: int | None = None) -> RunRequest | None:
        engine = self.engines.choice.engine
        if engine is None:
            return None
        return RunRequest(
            engine,
            self.engines.settings,
            every_frame=self.every_frame.isChecked(),
            keep_edits=self.keep_edits.isChecked(),
            only=only,
        )

    def _on_run(self, only: int | None = None) -> None:
        request = self._request(only)
        if request is not None and not self._run_hindrance:
            self.progress.setValue(0)
            self.model.start_run(request)

    def _on_update(self) -> None:
        request = self._request()
        if request is not None and not self.engines.choice.lacks:
            self.progress.setValue(0)
            self.model.start_update(request)

    def _on_clip_wanted(self, folder: Path) -> None:
        viewer = self.model.viewer
        if isinstance(viewer, Viewer):
            viewer.open(str(folder), plugin="napari-amodal")

    def _on_session(self, session: Session) -> None:
        self.engines.restore(session.state.engine, session.state.settings)

    def _on_current(self) -> None:
        """Let the brush paint the current object's query."""
        current, query = self.model.annotation.current, self.model.query
        if query is not None and current is not None:
            query.selected_label = current

    def _on_cancel(self) -> None:
        self.model.cancel()

    def _on_frame_link(self, frame: str) -> None:
        self.model.go_to(int(frame))

    def _on_export(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Export the clip folder into …")
        if not folder:
            return
        there = [
            path for path in export_folders(self.model.annotation, Path(folder)) if path.exists()
        ]
        if there and not self._may_replace(there):
            return
        self.model.start_export(Path(folder), overwrite=bool(there))

    def _may_replace(self, there: list[Path]) -> bool:
        names = "\n".join(str(path) for path in there)
        answer = QMessageBox.question(
            self,
            "Replace?",
            f"There already:\n{names}\n\nReplace with the masks as they are now?",
        )
        return bool(answer == QMessageBox.StandardButton.Yes)

    def enterEvent(self, event: QEnterEvent | None) -> None:  # noqa: N802 (Qt)
        """Weights may have come by the command line meanwhile."""
        if not self.model.is_busy:
            self.engines.look_again()
        super().enterEvent(event)

    # -- what is shown ----------------------------------------------------------------------------

    @property
    def _run_hindrance(self) -> str:
        """Why Run is not to be pressed now; empty where it is."""
        if self.model.is_busy:
            return "A job is running"
        if self.model.stack is None:
            return "Open a clip first: drop a video or a folder here, or File > Open Sample"
        if self.model.stack_fault:
            return self.model.stack_fault
        has_truth = any(found.anchors for found in self.model.annotation.objects.values())
        if self.model.query is None and not has_truth:
            return "Click the object (Ctrl+K), or press New and paint it on one frame"
        choice = self.engines.choice
        return f"{choice.name} lacks something, see above" if choice.lacks else ""

    def _update(self) -> None:
        model = self.model
        if self.frames.chosen is not model.stack and model.stack is not None:
            self.frames.choose(model.stack)
        if self.query.chosen is not model.query and model.query is not None:
            self.query.choose(model.query)
        self.painted.setText(self._watch.text)
        self.painted.setVisible(bool(self._watch.text))
        self.frames.setDisabled(model.is_busy or self.frames.chosen is None)
        for widget in (self.engines.list, self.engines.settings_box, self.every_frame):
            widget.setDisabled(model.is_busy)
        self._update_buttons()
        self._show_occlusion()

    def _update_buttons(self) -> None:
        model = self.model
        hindrance = self._run_hindrance
        self.run_button.setEnabled(not hindrance)
        has_run = any(not found.is_given for found in model.layers.layers)
        self.run_button.setText("Run again" if has_run else "Run")
        self.run_button.setToolTip(hindrance or "Find the object in all frames (Ctrl+Return)")
        self.cancel_button.setEnabled(model.run is not None and not model.is_cancelling)
        self.cancel_button.setToolTip("Stop; the masks found so far stay (Ctrl+.)")
        self.new_query.setEnabled(model.stack is not None)
        hindrance = model.export_hindrance
        self.export_button.setEnabled(not hindrance)
        self.export_button.setToolTip(
            hindrance
            or f"Write frames, {exported_layers(model.layers)} and annos.json as a TABE-51 folder "
            "(Ctrl+Shift+E)"
        )
        self.progress.setVisible(model.is_busy)
        self.progress.setRange(0, 1000 if model.run is not None else 0)
        if model.is_cancelling:
            self.stage.setText("Cancelling …")
        elif model.run is None:
            self.stage.setText(model.status or self._run_hindrance)
        self.stage.setVisible(bool(self.stage.text()))
        self.saved.setText(model.session.told)
        self.saved.setToolTip(str(model.session.folder or ""))
        self.saved.setVisible(bool(model.session.told))

    def _show_progress(self, progress: Progress) -> None:
        if self.model.is_cancelling:
            return
        self.progress.setValue(round(1000 * progress.fraction))
        text = f"{progress.title}: {100 * progress.fraction:.0f} %"
        if progress.seconds_left is not None and progress.fraction < 1:
            text += f", {_duration(progress.seconds_left)} left"
        self.stage.setText(text)
        self.stage.setVisible(True)

    def _show_occlusion(self) -> None:
        occlusions = self.model.occlusions()
        self.results_title.setText(f"Occlusion in frame {self.model.frame}")
        self.objects_section.setVisible(self.model.annotation.is_open)
        self.correct_section.setVisible(bool(self.model.annotation.objects))
        self.tools_section.setVisible(bool(self.model.annotation.objects))
        for widget in (
            self.results_title,
            self.occlusion,
            self.keep_edits,
            self.export_button,
        ):
            widget.setVisible(bool(occlusions))
        self.occlusion.show_levels(occlusions)


def _is_image(layer: Layer) -> bool:
    return isinstance(layer, Image)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes else f"{rest} s"
