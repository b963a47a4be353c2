"""Scoring predicted clips against true ones, one frame in memory at a time."""

from napari_amodal.evaluation.clip_scores import ClipScores, HypothesisScores, score_clip
from napari_amodal.evaluation.matching import Matches, Prediction, match_clips
from napari_amodal.evaluation.spread import Scores, SetScores, Spread, mean_scores, set_scores
from napari_amodal.evaluation.whole_set import Scored, score_set

__all__ = [
    "ClipScores",
    "HypothesisScores",
    "Matches",
    "Prediction",
    "Scored",
    "Scores",
    "SetScores",
    "Spread",
    "match_clips",
    "mean_scores",
    "score_clip",
    "score_set",
    "set_scores",
]
