#!/bin/sh
# Make the tracker's weights again: ./make_tracker.sh SHARED OUT [FROM]
# SHARED holds videos/ and silhouettes.npz; one card, PyTorch with Triton, OpenCV, SciPy.
# FROM is a checkpoint to go on from (weights.pt of an earlier run); without it, all begins from nothing.
# Shipping them: python tracker_export.py OUT/run2/weights.pt ../src/napari_amodal/draft/weights
set -eu
shared=$1 out=$2 from=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
run() {  # NAME SECONDS RATE PHASES [more]
    name=$1 seconds=$2 rate=$3 phases=$4
    shift 4
    mkdir -p "$out/$name"
    python "$here/tracker_train.py" --videos "$shared/videos" \
        --silhouettes "$shared/silhouettes.npz" --out "$out/$name" --seconds "$seconds" \
        --rate "$rate" --phases "$phases" "$@" > "$out/$name.log" 2>&1
}
if [ -z "$from" ]; then
    run run1 255 1e-3 0.5:48x3x192,0.5:24x6x224
    from=$out/run1/weights.pt
fi
run run2 570 8e-4 0.4:48x3x192,0.6:24x6x256 --resume "$from" --cutouts "$here/cutouts.npz"
