"""The dialog *Network weights*: what the engines need, whether it is there, and getting it."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path

from napari.utils.notifications import notification_manager, show_error
from qtpy.QtCore import Qt, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_amodal.errors import Cancelled, InputError
from napari_amodal.progress import Watch
from napari_amodal.tabe.weight_import import import_weight
from napari_amodal.weights.catalogue import CATALOGUE, HubSource, Weight, find_weight, size_told
from napari_amodal.weights.fetch import check_fetchable, fetch
from napari_amodal.weights.store import Holding, check, folders, holding, holdings, why_not
from napari_amodal.widgets.background_job import BackgroundJob
from napari_amodal.widgets.query_watch import LINK_COLOR

#: The job's progress is looked at so often, in milliseconds.
_EVERY = 100


class WeightsDialog(QWidget):
    """A list of all weights, with buttons to fetch, import and check the chosen one.

    One job at a time runs in a worker thread; the window stays free.

    Signals
    -------
    changed
        A job has ended: other weights may be there.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Network weights")
        self._job: BackgroundJob[str] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_EVERY)
        self._timer.timeout.connect(self._look)
        self._make()
        self._lay_out()
        self.refresh()
        self.list.setCurrentItem(self.list.topLevelItem(0))

    # -- making -----------------------------------------------------------------------------------

    def _make(self) -> None:
        self.list = QTreeWidget()
        self.list.setRootIsDecorated(False)
        self.list.setHeaderLabels(["Weights", "State", "Size", "Licence"])
        self.list.currentItemChanged.connect(self._update)
        self.details = QLabel()
        self.details.setWordWrap(True)
        self.details.setOpenExternalLinks(True)
        self.details.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.fetch_button = QPushButton("Fetch …")
        self.fetch_button.setToolTip("Download from the Hugging Face Hub, after asking")
        self.fetch_button.clicked.connect(self._on_fetch)
        self.import_button = QPushButton("Import")
        menu = QMenu(self.import_button)
        menu.addAction("Folder …", self._on_import_folder)
        menu.addAction("Checkpoint files …", self._on_import_files)
        self.import_button.setMenu(menu)
        self.import_button.setToolTip("Take files that you have; they stay as they are")
        self.check_button = QPushButton("Check")
        self.check_button.setToolTip("Read the files and compare them with their hashes")
        self.check_button.clicked.connect(self._on_check)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.clicked.connect(self._on_cancel)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.status = QLabel()
        self.status.setWordWrap(True)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for button in (
            self.fetch_button,
            self.import_button,
            self.check_button,
            self.cancel_button,
        ):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.details)
        layout.addLayout(buttons)
        layout.addWidget(self.progress)
        layout.addWidget(self.status)

    # -- showing ----------------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        return self._job is not None

    @property
    def chosen(self) -> Weight:
        """The weight that is chosen in the list."""
        item = self.list.currentItem()
        return find_weight(item.text(0)) if item is not None else next(iter(CATALOGUE.values()))

    def choose(self, name: str) -> None:
        """Choose a weight by name."""
        (item,) = self.list.findItems(name, Qt.MatchFlag.MatchExactly, 0)
        self.list.setCurrentItem(item)

    def refresh(self) -> None:
        """Look at the disk again."""
        for index, held in enumerate(holdings()):
            item = self.list.topLevelItem(index)
            if item is None:
                item = QTreeWidgetItem()
                self.list.addTopLevelItem(item)
            for column, text in enumerate(_row(held)):
                item.setText(column, text)
            item.setToolTip(0, held.weight.title)
        for column in range(self.list.columnCount()):
            self.list.resizeColumnToContents(column)
        self._update()

    def _update(self) -> None:
        held = holding(self.chosen.name)
        self.details.setText(_details(held))
        from_hub = isinstance(held.weight.source, HubSource)
        self.fetch_button.setEnabled(not self.is_busy and from_hub and held.path is None)
        self.import_button.setEnabled(not self.is_busy and held.path is None)
        self.check_button.setEnabled(not self.is_busy and held.path is not None)
        self.cancel_button.setEnabled(self.is_busy)
        self.progress.setVisible(self.is_busy)

    # -- doing ------------------------------------------------------------------------------------

    def _on_fetch(self) -> None:
        weight = self.chosen
        try:
            check_fetchable(weight)
        except InputError as error:
            show_error(str(error))
            return
        yes = QMessageBox.StandardButton.Yes
        asked = QMessageBox.question(self, "Fetch weights", _question(weight))
        if asked == yes:
            self._start(
                lambda watch: str(fetch(weight, watch)), f"{weight.name} was fetched and checked"
            )

    def _on_import_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, f"Folder with {self.chosen.name}")
        if folder:
            self._import([Path(folder)])

    def _on_import_files(self) -> None:
        files, _ = QFileDialog.getOpenFileNames(
            self, f"Files of {self.chosen.name}", "", "Checkpoints (*.pth *.pt *.safetensors)"
        )
        if files:
            self._import([Path(file) for file in files])

    def _import(self, sources: list[Path]) -> None:
        name = self.chosen.name
        self._start(lambda watch: str(import_weight(name, sources, watch)), f"{name} was imported")

    def _on_check(self) -> None:
        held = holding(self.chosen.name)

        def work(watch: Watch) -> str:
            watch.enter(f"{held.weight.name}: reading", 0, 1)
            done = 0

            def counted(count: int) -> None:
                nonlocal done
                done += count
                watch.step(done, held.size)

            wrong = check(held, counted)
            if wrong:
                raise InputError(f"{held.weight.name} in {held.folder}: {'; '.join(wrong)}")
            return ""

        self._start(work, f"{held.weight.name} is as it was stored")

    def _start(self, work: Callable[[Watch], str], done: str) -> None:
        self._done = done
        self._job = BackgroundJob(lambda job: work(Watch(job.report, job.is_cancelled)))
        self._job.start()
        self.status.setText("")
        self._timer.start()
        self._update()

    def _on_cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self.status.setText("Stopping …")

    def _look(self) -> None:
        """Show how far the job is, or how it ended."""
        job = self._job
        if job is None:
            return
        ended = not job.is_alive
        if job.progress is not None:
            self.progress.setValue(round(1000 * job.progress.fraction))
            if not job.is_cancelled():
                self.status.setText(f"{job.progress.stage} ({job.progress.fraction:.0%})")
        if ended:
            self._timer.stop()
            self._job = None
            self._tell_end(job)
            self.refresh()
            self.changed.emit()

    def _tell_end(self, job: BackgroundJob[str]) -> None:
        if job.error is None:
            self.status.setText(self._done)
        elif isinstance(job.error, Cancelled):
            self.status.setText("Stopped; what was fetched is kept for the next time")
        elif isinstance(job.error, InputError):
            self.status.setText(str(job.error))
            show_error(str(job.error))
        else:
            self.status.setText(f"{type(job.error).__name__}: {job.error}")
            notification_manager.receive_error(type(job.error), job.error, job.error.__traceback__)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802 (Qt)
        """A job ends with the window."""
        self._on_cancel()
        self._timer.stop()
        super().closeEvent(event)


def _row(held: Holding) -> tuple[str, str, str, str]:
    weight = held.weight
    size = size_told(held.size) if held.path else f"about {size_told(weight.size)}"
    return weight.name, held.presence.value, size, weight.licence.name


def _details(held: Holding) -> str:
    weight, licence = held.weight, held.weight.licence
    remark = f" ({licence.remark})" if licence.remark else ""
    lines = (
        weight.title,
        f"Needed by {', '.join(weight.stages)}",
        f"Licence: {_link(licence.url, licence.name)}{html.escape(remark)}",
        f"Source: {_link(weight.source.page, weight.source.page)}",
        f"In {held.path}" if held.path else _capital(why_not(held)),
    )
    return "<br>".join(line if "<a " in line else html.escape(line) for line in lines)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _link(url: str, text: str) -> str:
    return f'<a href="{html.escape(url)}" style="color: {LINK_COLOR}">{html.escape(text)}</a>'


def _question(weight: Weight) -> str:
    remark = f" ({weight.licence.remark})" if weight.licence.remark else ""
    return (
        f"Fetch {weight.name} (about {size_told(weight.size)}) from {weight.source.page} to "
        f"{folders()[0]}?\n\nIts licence is {weight.licence.name}{remark}: {weight.licence.url}\n"
        "By fetching it you accept these terms."
    )
