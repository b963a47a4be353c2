"""What stands around the panel: the timeline, the keys, the tools, the pointing."""

from __future__ import annotations

from napari import Viewer
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QWidget

from napari_amodal.widgets.completion_model import CompletionModel
from napari_amodal.widgets.disagreement_layer import DisagreementLayer
from napari_amodal.widgets.frame_facts import FrameFacts
from napari_amodal.widgets.keys import Keys
from napari_amodal.widgets.mask_tools import MaskTools
from napari_amodal.widgets.prompt_box import PromptBox
from napari_amodal.widgets.prompting import Prompting
from napari_amodal.widgets.timeline import Timeline
from napari_amodal.widgets.tools_box import ToolsBox

TIMELINE = "Amodal timeline"


class Surroundings(QObject):
    """Made once a panel; the panel shows the boxes, the window the timeline.

    Attributes
    ----------
    prompting, prompts : Prompting, PromptBox
    tools, tools_box : MaskTools, ToolsBox
    facts, timeline : FrameFacts, Timeline
    keys : Keys
    """

    def __init__(self, model: CompletionModel, panel: QWidget) -> None:
        super().__init__(panel)
        self._model = model
        self.prompting = Prompting(model, self)
        self.prompts = PromptBox(model, self.prompting)
        self.tools = MaskTools(model, self)
        self.disagreement = DisagreementLayer(model, self.tools, self)
        self.tools_box = ToolsBox(model, self.tools, self.disagreement)
        self.facts = FrameFacts(model.annotation, model.levels, self)
        self.timeline = Timeline(model, self.facts)
        self.timeline.range_selected.connect(self.tools_box.select)
        self.keys = Keys(model.viewer, panel)
        self._tell_keys()
        self._dock: object | None = None
        QTimer.singleShot(0, self._show_timeline)

    def _tell_keys(self) -> None:
        box = self.tools_box
        for button, command in (
            (self.prompts.point, "click_object"),
            (box.fill, "fill_holes"),
            (box.smooth, "smooth"),
            (box.specks, "drop_specks"),
            (box.interpolate, "interpolate"),
            (box.copy, "copy_to_frames"),
            (box.divided, "show_disagreement"),
        ):
            self.keys.tell(button, command)
        tip = self.tools_box.choice.toolTip()
        self.tools_box.choice.setToolTip(f"{tip} (Ctrl+H, Ctrl+Shift+H)")

    def _show_timeline(self) -> None:
        """Put the timeline under the canvas."""
        viewer = self._model.viewer
        window = getattr(viewer, "window", None) if isinstance(viewer, Viewer) else None
        if window is None or self._dock is not None:
            return
        self._dock = window.add_dock_widget(
            self.timeline, name=TIMELINE, area="bottom", add_vertical_stretch=False, tabify=False
        )
