"""The dock widget *Amodal dataset*: a folder of clips, how far each is, and its review."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from napari import Viewer
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QInputDialog,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_amodal.annotation.clip_folder import ListedClip, clips_in, counts
from napari_amodal.annotation.review import (
    ClipReview,
    ReviewStatus,
    begun,
    handed_in,
    judged,
    read_review,
    with_time,
    write_review,
)
from napari_amodal.errors import CallError, InputError
from napari_amodal.widgets.completion_model import CompletionModel, model_of

STATUS_COLORS = {
    ReviewStatus.TO_DO: "#8a93a0",
    ReviewStatus.IN_WORK: "#d99a1c",
    ReviewStatus.TO_REVIEW: "#4c8dff",
    ReviewStatus.DONE: "#2e9e5b",
}
COLUMNS = ("Clip", "Status", "Obj.", "Corr.", "Time")
#: How often time is counted, and how often it is written, in seconds.
_COUNT_EVERY, _WRITE_EVERY = 1.0, 20.0
_ALL = "all"


class ReviewDock(QWidget):
    """Lists the clips of a folder; opens one after the other; keeps notes, time and verdicts.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer: Viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._followed: CompletionModel | None = None
        self._folder: Path | None = None
        self._clips: list[ListedClip] = []
        #: The clip that is open, and the seconds spent on it that are not written yet.
        self.open_clip: ListedClip | None = None
        self._seconds = 0.0
        self._wants_session = False
        self._make()
        self._lay_out()
        self._connect()
        self._timer = QTimer(self)
        self._timer.setInterval(round(1000 * _COUNT_EVERY))
        self._timer.timeout.connect(self._count)
        self._timer.start()
        self._show()

    # -- making -----------------------------------------------------------------------------------

    def _make(self) -> None:
        self.choose = QPushButton("Open folder …")
        self.choose.setToolTip("The folder that holds the clips: clip folders or videos")
        self.person = QLineEdit(getpass.getuser())
        self.person.setToolTip("Your name, as it is written into reviews")
        self.told = QLabel()
        self.filter = QComboBox()
        self.filter.addItems([_ALL, *map(str, ReviewStatus)])
        self.search = QLineEdit()
        self.search.setPlaceholderText("name, annotator or note")
        self.search.setClearButtonEnabled(True)
        self.list = QTreeWidget()
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setHeaderLabels(COLUMNS)
        self.list.setToolTip("Double-click opens a clip")
        header = self.list.header()
        assert header is not None
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.before = QPushButton("◀ Previous")
        self.after = QPushButton("Next ▶")
        self.hand_in = QPushButton("Hand in")
        self.hand_in.setToolTip("You are through with this clip: another person is to review it")
        self.accept = QPushButton("Accept")
        self.send_back = QPushButton("Send back …")
        self.send_back.setToolTip("Give it back to its annotator, with a reason")
        self.notes = QPlainTextEdit()
        self.notes.setPlaceholderText("Notes on this clip")
        self.notes.setMaximumHeight(70)
        self.verdict = QLabel()
        self.verdict.setWordWrap(True)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        for row in (
            (self.choose, QLabel("I am"), self.person),
            (self.filter, self.search),
        ):
            line = QHBoxLayout()
            for widget in row:
                line.addWidget(widget, int(isinstance(widget, QLineEdit)))
            layout.addLayout(line)
        layout.addWidget(self.told)
        layout.addWidget(self.list, 1)
        for buttons in (
            (self.before, self.after),
            (self.hand_in, self.accept, self.send_back),
        ):
            line = QHBoxLayout()
            for button in buttons:
                line.addWidget(button)
            layout.addLayout(line)
        layout.addWidget(self.verdict)
        layout.addWidget(self.notes)
        self.setMinimumWidth(330)

    def _connect(self) -> None:
        self.choose.clicked.connect(self._on_choose)
        self.filter.currentTextChanged.connect(self._show)
        self.search.textChanged.connect(self._show)
        self.person.editingFinished.connect(self._show_open)
        self.list.itemDoubleClicked.connect(lambda item, _: self.open(item.text(0)))
        self.before.clicked.connect(lambda: self.step(-1))
        self.after.clicked.connect(lambda: self.step(1))
        self.hand_in.clicked.connect(self._on_hand_in)
        self.accept.clicked.connect(lambda: self._judge(accepted=True))
        self.send_back.clicked.connect(self._on_send_back)
        self._note_timer = QTimer(self)
        self._note_timer.setSingleShot(True)
        self._note_timer.setInterval(1500)
        self._note_timer.timeout.connect(self.save)
        self.notes.textChanged.connect(self._on_notes)

    # -- the folder -------------------------------------------------------------------------------

    def _on_choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "The folder that holds the clips")
        if folder:
            self.open_folder(Path(folder))

    def open_folder(self, folder: Path) -> None:
        """List the clips of a folder."""
        self.save()
        try:
            clips = clips_in(folder)
        except InputError as error:
            show_error(str(error))
            return
        self._folder, self._clips, self.open_clip = folder, clips, None
        self._show()

    def refresh(self) -> None:
        """Read the reviews again: other people may have written theirs."""
        if self._folder is not None:
            try:
                self._clips = clips_in(self._folder)
            except InputError as error:
                show_error(str(error))
            name = None if self.open_clip is None else self.open_clip.name
            self.open_clip = next((clip for clip in self._clips if clip.name == name), None)
            self._show()

    @property
    def shown(self) -> list[ListedClip]:
        """The clips that the filter lets through, in their order."""
        status, words = self.filter.currentText(), self.search.text().lower()
        return [
            clip
            for clip in self._clips
            if status in (_ALL, str(clip.review.status))
            and words in f"{clip.name} {clip.review.annotator} {clip.review.notes}".lower()
        ]

    def step(self, by: int) -> None:
        """Open the next clip of those that are shown, or the one before."""
        shown = self.shown
        if not shown:
            return
        names = [clip.name for clip in shown]
        if self.open_clip is None:
            at = 0 if by > 0 else len(names) - 1
        elif self.open_clip.name in names:
            at = names.index(self.open_clip.name) + by
        else:  # filtered out meanwhile: go on from where it was
            later = [n for n, name in enumerate(names) if name > self.open_clip.name]
            at = (later[0] if by > 0 else later[0] - 1) if later else len(names) - (by < 0)
        if 0 <= at < len(names):
            self.open(names[at])
        else:
            show_info("That was the last clip here" if by > 0 else "That was the first clip here")

    def open(self, name: str) -> None:
        """Open a clip of the folder in the viewer, in place of the one that is open."""
        clip = next((clip for clip in self._clips if clip.name == name), None)
        if clip is None or self._folder is None:
            return
        model = self._model()
        if model is not None and model.is_busy:
            show_info("A job is running: cancel it, or wait for its end")
            return
        if model is not None:
            model.hear_now()
        self.save()
        if model is not None:
            model.annotation.close()  # its session is saved
        self._viewer.layers.clear()
        self._viewer.open(str(clip.path), plugin="napari-amodal")
        self.open_clip, self._seconds, self._wants_session = clip, 0.0, True
        self._follow()
        self._on_session()
        self._show()

    def _model(self) -> CompletionModel | None:
        return model_of(self._viewer)

    def _follow(self) -> None:
        """Hear of the work in the panel."""
        model = self._model()
        if model is not None and model is not self._followed:
            model.annotation.history_changed.connect(self._on_work)
            model.session.changed.connect(self._on_session)
            self._followed = model

    def _on_session(self) -> None:
        """Go on with what was done on this clip: here nobody has to be asked."""
        model = self._model()
        if model is None or not self._wants_session or not model.session.is_for_open_clip:
            return
        self._wants_session = False
        history = model.annotation.history
        if history is not None and len(history.steps) == 1:
            model.session.accept()

    # -- the review -------------------------------------------------------------------------------

    def _change(self, how: Callable[[ClipReview], ClipReview]) -> None:
        """Change the review of the open clip as it is on the disk now."""
        clip = self.open_clip
        if clip is None or self._folder is None:
            return
        try:
            review = how(read_review(self._folder, clip.name))
            write_review(self._folder, clip.name, review)
        except (InputError, CallError) as error:
            show_error(str(error))
            return
        changed = ListedClip(clip.name, clip.path, review)
        self._clips = [changed if each.name == clip.name else each for each in self._clips]
        self.open_clip = changed
        self._show()

    def save(self) -> None:
        """Write time, notes and counts of the open clip."""
        self._note_timer.stop()
        clip = self.open_clip
        if clip is None:
            return
        notes, seconds, model = self.notes.toPlainText(), self._seconds, self._model()
        self._seconds = 0.0
        objects = {} if model is None else dict(model.annotation.objects)

        def saved(review: ClipReview) -> ClipReview:
            after = replace(review, notes=notes)
            if seconds >= 1:
                after = with_time(after, self._me, seconds)
            if objects:
                corrected = sum(len(found.corrected) for found in objects.values())
                after = replace(after, objects=len(objects), frames_corrected=corrected)
            return after

        if saved(clip.review) != clip.review:
            self._change(saved)

    @property
    def _me(self) -> str:
        return self.person.text().strip() or getpass.getuser()

    def _on_work(self) -> None:
        """The annotator has done something: the clip is in work."""
        model, clip = self._model(), self.open_clip
        if model is None or clip is None or model.annotation.history is None:
            return
        is_work = len(model.annotation.history.steps) > 1
        if is_work and clip.review.status is ReviewStatus.TO_DO:
            self._change(lambda review: begun(review, self._me))

    def _on_hand_in(self) -> None:
        self.save()

        def handed(review: ClipReview) -> ClipReview:
            return handed_in(review if review.annotator else begun(review, self._me))

        self._change(handed)

    def _on_send_back(self) -> None:
        reason, agreed = QInputDialog.getMultiLineText(
            self, "Send back", "What is to be done better? The annotator reads this:"
        )
        if agreed:
            self._judge(accepted=False, reason=reason)

    def _judge(self, *, accepted: bool, reason: str = "") -> None:
        self.save()
        self._change(lambda review: judged(review, self._me, accepted=accepted, reason=reason))

    def _on_notes(self) -> None:
        if self.open_clip is not None and self.notes.toPlainText() != self.open_clip.review.notes:
            self._note_timer.start()

    def _count(self) -> None:
        """Count the time while the window is the active one."""
        self._follow()
        if self.open_clip is None or not _is_active():
            return
        self._seconds += _COUNT_EVERY
        if self._seconds >= _WRITE_EVERY:
            self.save()

    # -- what is shown ----------------------------------------------------------------------------

    def _show(self) -> None:
        self.list.clear()
        for clip in self.shown:
            self.list.addTopLevelItem(self._row(clip))
        if self._folder is None:
            self.told.setText("No folder is open")
        else:
            found = counts(self._clips)
            told = ", ".join(f"{number} {status}" for status, number in found.items() if number)
            self.told.setText(f"{self._folder.name}: {told}")
            self.told.setToolTip(str(self._folder))
        self._show_open()

    def _row(self, clip: ListedClip) -> QTreeWidgetItem:
        review = clip.review
        cells = (
            clip.name,
            "broken" if clip.fault else str(review.status),
            str(review.objects or ""),
            str(review.frames_corrected or ""),
            _time_told(review.total_seconds),
        )
        item = QTreeWidgetItem(cells)
        item.setForeground(1, QColor("#d6453d" if clip.fault else STATUS_COLORS[review.status]))
        for column in (2, 3, 4):
            item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight)
        item.setToolTip(0, clip.fault or _tip(clip))
        if self.open_clip is not None and clip.name == self.open_clip.name:
            font = item.font(0)
            font.setBold(True)
            item.setFont(0, font)
            self.list.setCurrentItem(item)
        return item

    def _show_open(self) -> None:
        clip = self.open_clip
        review = ClipReview() if clip is None else clip.review
        is_open = clip is not None and not clip.fault
        for button in (self.before, self.after):
            button.setEnabled(bool(self.shown))
        self.hand_in.setEnabled(
            is_open and review.status in (ReviewStatus.TO_DO, ReviewStatus.IN_WORK)
        )
        waits = is_open and review.status is ReviewStatus.TO_REVIEW
        own = review.annotator == self._me
        for button in (self.accept, self.send_back):
            button.setEnabled(waits and not own)
        self.accept.setToolTip(
            "You annotated this clip: another person has to review it"
            if waits and own
            else "The masks are right: the clip is done"
        )
        last = review.verdicts[-1] if review.verdicts else None
        self.verdict.setVisible(last is not None)
        if last is not None:
            said = "accepted it" if last.accepted else f"sent it back: {last.reason}"
            self.verdict.setText(f"{last.by} {said}")
        self.notes.setEnabled(is_open)
        if self.notes.toPlainText() != review.notes and not self._note_timer.isActive():
            self.notes.setPlainText(review.notes)


def _is_active() -> bool:
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    return bool(app.applicationState() == Qt.ApplicationState.ApplicationActive)


def _time_told(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 1:
        return ""
    return f"{minutes // 60}:{minutes % 60:02d} h" if minutes >= 60 else f"{max(minutes, 1)} min"


def _tip(clip: ListedClip) -> str:
    lines = [str(clip.path)]
    if clip.review.annotator:
        lines.append(f"annotated by {clip.review.annotator}")
    if clip.review.notes:
        lines.append(clip.review.notes)
    return "\n".join(lines)
