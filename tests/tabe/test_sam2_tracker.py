"""The SAM 2 tracker, on a small network with random weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_sam2 import disc, moving_disc, write_tiny_sam2

from napari_amodal.boxes import Box
from napari_amodal.clip import clip_from_array
from napari_amodal.engine import run
from napari_amodal.errors import CallError, Cancelled, InputError
from napari_amodal.progress import Progress, Watch
from napari_amodal.registry import StageKind, find_engine, stage_type
from napari_amodal.stages import Clicks, Query, VisibleTrack
from napari_amodal.tabe.sam2_tracker import Sam2Settings, Sam2Tracker

torch = pytest.importorskip("torch", reason="the networks need napari-amodal[gpu]")
pytest.importorskip("transformers", reason="the networks need napari-amodal[gpu]")

FRAMES = 24


@pytest.fixture(autouse=True)
def one_thread():
    """Small networks are slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sam2(tmp_path_factory.mktemp("weights") / "sam2")


@pytest.fixture(scope="module")
def network(weights: Path):
    from napari_amodal.tabe.sam2_network import Sam2Network

    return Sam2Network(weights, torch.device("cpu"))


@pytest.fixture
def clip():
    return clip_from_array(moving_disc(FRAMES))


def track(network, clip, queries):
    found = {}
    for each in network.track(clip, queries):
        assert (each.object_id, each.frame) not in found, "each mask comes once"
        found[each.object_id, each.frame] = each
    return found


def as_array(found, object_id, frames=FRAMES):
    return np.stack([found[object_id, frame].mask for frame in range(frames)])


def reference(weights: Path, pixels, masks, first: int):
    """Transformers' own tracking of a clip that it holds as a whole, bool ``(T, H, W)``."""
    from torch.nn import functional
    from transformers import Sam2VideoInferenceSession, Sam2VideoModel

    from napari_amodal.tabe.sam2_session import as_picture

    model = Sam2VideoModel.from_pretrained(weights).eval()
    side, device = model.config.image_size, torch.device("cpu")
    pictures = torch.stack([as_picture(frame, side, device) for frame in pixels])
    height, width = pixels.shape[1:3]
    session = Sam2VideoInferenceSession(
        video=pictures, video_height=height, video_width=width, dtype=torch.float32
    )
    session.obj_id_to_idx(1)
    for frame, mask in sorted(masks.items()):
        given = torch.from_numpy(mask)[None, None].float()
        given = functional.interpolate(given, (side, side), mode="bilinear", antialias=True)
        session.add_mask_inputs(0, frame, (given >= 0.5).float())
        session.obj_with_new_inputs = [1]
        model(session, frame_idx=frame)
    found = {}
    for reverse in (False, True):
        for each in model.propagate_in_video_iterator(session, first, reverse=reverse):
            logits = functional.interpolate(each.pred_masks, (height, width), mode="bilinear")
            found.setdefault(each.frame_idx, logits[0, 0].numpy() > 0)
    return np.stack([found[frame] for frame in range(len(pixels))])


@pytest.mark.parametrize("queried", [(0,), (9,), (6, 20), (FRAMES - 1,)])
def test_masks_are_those_of_transformers_with_the_whole_clip_loaded(network, weights, queried):
    pixels = moving_disc(FRAMES)
    masks = {frame: disc(frame) for frame in queried}
    expected = reference(weights, pixels, masks, queried[0])
    for frame, mask in masks.items():
        expected[frame] = mask
    found = as_array(track(network, clip_from_array(pixels), {1: Query(masks)}), 1)
    np.testing.assert_array_equal(found, expected)
    assert 0.02 < found.mean() < 0.98, "random weights that say nothing would prove nothing"


def test_short_clips_scale_the_pointers_as_transformers_does(network, weights):
    """The time code of object pointers is scaled by the clip's length where that is short."""
    pixels = moving_disc(7)
    expected = reference(weights, pixels, {0: disc(0)}, 0)
    expected[0] = disc(0)
    found = as_array(track(network, clip_from_array(pixels), {1: Query({0: disc(0)})}), 1, 7)
    np.testing.assert_array_equal(found, expected)


def test_objects_do_not_influence_each_other(network, clip):
    first, second = Query({4: disc(4)}), Query({11: ~disc(11), 15: disc(15)})
    together = track(network, clip, {1: first, 7: second})
    alone = track(network, clip, {1: first}) | track(network, clip, {7: second})
    assert together.keys() == alone.keys()
    for key, found in together.items():
        np.testing.assert_array_equal(found.mask, alone[key].mask)
        assert found.confidence == alone[key].confidence


def test_each_frame_is_encoded_once_a_pass_for_all_objects(network, clip):
    seen = []
    encoder = network._model.vision_encoder
    hook = encoder.register_forward_pre_hook(lambda *_: seen.append(1))
    try:
        track(network, clip, {number: Query({0: disc(0)}) for number in range(3)})
    finally:
        hook.remove()
    assert len(seen) == FRAMES


def test_a_correction_changes_the_frames_around_it(network, clip):
    before = as_array(track(network, clip, {1: Query({2: disc(2)})}), 1)
    corrected = Query({2: disc(2), 12: np.zeros_like(disc(0))})
    after = as_array(track(network, clip, {1: corrected}), 1)
    assert not after[12].any(), "the annotator's own mask, an empty one too, is kept"
    assert (after[13] != before[13]).any()
    assert (after[5] != before[5]).any(), "earlier frames know of it as well"


def test_remembering_few_queries_bounds_what_is_attended_to(weights, clip):
    from napari_amodal.tabe.sam2_network import Sam2Network

    seen = []
    network = Sam2Network(weights, torch.device("cpu"), remembered=2)
    attention = network._model.memory_attention
    hook = attention.register_forward_pre_hook(
        lambda _module, _args, given: seen.append(given["memory"].shape[0]), with_kwargs=True
    )
    try:
        track(network, clip, {1: Query({frame: disc(frame) for frame in range(0, 20, 2)})})
    finally:
        hook.remove()
    tokens, slots = 8 * 8, network._model.config.num_maskmem
    assert max(seen) <= (2 + slots - 1) * tokens + 2 * (16 + 10)


def test_memory_does_not_grow_with_the_clip(network):
    from napari_amodal.tabe.sam2_session import ObjectSession

    sizes: list[tuple[int, int]] = []
    frames: list[int] = []
    whole = ObjectSession.forget

    def counting(self, *args):
        whole(self, *args)
        tensors = _tensors(self.__dict__, set())
        sizes.append((len(self.tracked), sum(tensor.nbytes() for tensor in tensors)))
        frames.append(len(self.frames_tracked_per_obj[0]))

    long = clip_from_array(moving_disc(60))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ObjectSession, "forget", counting)
        list(network.track(long, {1: Query({25: disc(25)})}))
    reach = 15
    assert len(sizes) == 59
    assert max(count for count, _ in sizes) <= 2 * reach
    assert max(frames) == 0
    steady = [size for _, size in sizes[16:34]]
    # With the 15 frames behind and the 15 after the query held, nothing is added any more.
    assert max(size for _, size in sizes) <= 1.02 * max(steady)


def _tensors(value, seen):
    """All tensors that an object holds, each storage once."""
    if isinstance(value, torch.Tensor):
        storage = value.untyped_storage()
        if storage.data_ptr() in seen:
            return []
        seen.add(storage.data_ptr())
        return [storage]
    if isinstance(value, dict):
        return [tensor for each in value.values() for tensor in _tensors(each, seen)]
    if isinstance(value, (list, tuple)):
        return [tensor for each in value for tensor in _tensors(each, seen)]
    return _tensors(vars(value), seen) if hasattr(value, "__dict__") else []


def test_clicks_and_boxes_tell_the_object(network, clip):
    by_points = Query({}, clicks={3: Clicks(inside=((20.0, 15.0),), outside=((2.0, 60.0),))})
    by_box = Query({}, clicks={3: Clicks(box=Box(11, 6, 30, 25))})
    found = track(network, clip, {1: by_points, 2: by_box})
    assert {frame for _, frame in found} == set(range(FRAMES))
    assert (as_array(found, 1) != as_array(found, 2)).any()
    assert all(0 <= each.confidence <= 1 for each in found.values())


def test_points_reach_the_network_as_transformers_processor_gives_them(network):
    """``(x, y)`` on the resized frame, a box as two points before the others."""
    from napari_amodal.tabe.sam2_session import CurrentFrame, ObjectSession

    session = ObjectSession(CurrentFrame(network._model), 5, 48, 64)
    clicks = Clicks(inside=((24.0, 16.0),), outside=((12.0, 32.0),), box=Box(6, 8, 13, 41))
    session.prompt(2, clicks)
    given = session.point_inputs_per_obj[0][2]
    scale_y, scale_x = 128 / 48, 128 / 64
    expected = [(8, 6), (40, 12), (16, 24), (32, 12)]
    np.testing.assert_allclose(
        given["point_coords"].numpy(),
        [[[(x * scale_x, y * scale_y) for x, y in expected]]],
        rtol=1e-6,
    )
    assert given["point_labels"].tolist() == [[[2, 3, 1, 0]]]


def test_clicks_need_something_inside():
    with pytest.raises(ValueError, match="a point inside"):
        Clicks(outside=((1.0, 1.0),))


def test_a_mask_goes_before_clicks_on_its_frame(network, clip):
    both = Query({3: disc(3)}, clicks={3: Clicks(inside=((1.0, 1.0),))})
    found = track(network, clip, {1: both})
    np.testing.assert_array_equal(found[1, 3].mask, disc(3))


def run_tracker(weights, clip, queries, watch=None) -> dict[int, VisibleTrack]:
    settings = Sam2Settings(weights=str(weights), device="cpu")
    return dict(Sam2Tracker(settings).track(clip, queries, watch or Watch()))


def test_the_stage_gives_tracks_and_reports_each_mask(weights, clip):
    reports: list[Progress] = []
    tracks = run_tracker(
        weights, clip, {5: Query({8: disc(8)}), 2: Query({0: disc(0)})}, Watch(reports.append)
    )
    assert [report.done for report in reports] == list(range(1, 2 * FRAMES + 1))
    assert {report.total for report in reports} == {2 * FRAMES}
    for report in reports:
        shown = report.mask
        np.testing.assert_array_equal(shown.mask, tracks[shown.object_id].masks[shown.frame])
    assert tracks[5].masks.shape == (FRAMES, 48, 64)
    assert tracks[5].confidence.dtype == np.float32
    assert tracks[5].confidence[8] == 1 and tracks[2].confidence[0] == 1
    assert ((tracks[5].confidence > 0) & (tracks[5].confidence <= 1)).all()
    np.testing.assert_array_equal(tracks[5].masks[8], disc(8))


def test_the_same_run_gives_the_same_masks(weights, clip):
    first, second = (run_tracker(weights, clip, {1: Query({6: disc(6)})})[1] for _ in range(2))
    assert first.masks == second.masks
    np.testing.assert_array_equal(first.confidence, second.confidence)


def test_a_cancel_stops_within_a_frame(weights, clip):
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 40

    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        run_tracker(weights, clip, {1: Query({0: disc(0)})}, Watch(seen.append, cancelled))
    assert asked == 41
    # A frame of this network asks ten times: many times a frame.
    assert len(seen) < 8


def test_it_is_found_by_name_without_importing_torch():
    assert stage_type(StageKind.TRACKER, "sam2") is Sam2Tracker
    code = (
        "import sys; from napari_amodal.registry import StageKind, stage_type; "
        "print(stage_type(StageKind.TRACKER, 'sam2').missing(), 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "() False\n"


def test_a_run_with_the_draft_stages(weights, clip):
    settings = {"sam2": {"weights": str(weights), "device": "cpu"}}
    engine = find_engine("sam2+outline+shape")
    completion = run(clip, {1: Query({4: disc(4)})}, engine, settings=settings)
    found = completion.objects[1]
    expected = run_tracker(weights, clip, {1: Query({4: disc(4)})})[1]
    assert found.track.masks == expected.masks
    assert completion.settings["sam2"]["size"] == "large"


def test_weights_that_are_not_there_are_named(clip, tmp_path):
    with pytest.raises(CallError, match=r"are not there: .*nowhere"):
        run_tracker(tmp_path / "nowhere", clip, {1: Query({0: disc(0)})})
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="cannot be loaded as SAM 2"):
        run_tracker(tmp_path / "empty", clip, {1: Query({0: disc(0)})})


def test_weights_of_a_folder_that_lacks_some_are_refused(weights, clip, tmp_path):
    from safetensors.torch import load_file, save_file

    (tmp_path / "config.json").write_bytes((weights / "config.json").read_bytes())
    tensors = load_file(weights / "model.safetensors")
    del tensors["no_object_pointer"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="lacks no_object_pointer"):
        run_tracker(tmp_path, clip, {1: Query({0: disc(0)})})
