#!/bin/sh
# Make the completer's weights again, from nothing: ./make_completer.sh SHARED OUT   (one card)
# SHARED holds videos/ and silhouettes.npz. Each line of runs goes on from the one before.
set -eu
shared=$1 out=$2
here=$(cd "$(dirname "$0")" && pwd)
run() {  # NAME SECONDS RATE [more]
    name=$1 seconds=$2 rate=$3
    shift 3
    python "$here/completer_train.py" "$out/data.npz" "$out/$name" --seconds "$seconds" \
        --rate "$rate" "$@" 2>&1 | tee "$out/$name.log"
}
mkdir -p "$out"
PYTHONPATH="$here/../src" python "$here/completer_data.py" "$shared" "$out/data.npz" --quality 68
run completer1 280 1.5e-3 --reuse 2
# The next one, not run yet: run completer2 300 1.2e-3 --reuse 2 --resume "$out/completer1"
python "$here/completer_export.py" --live "$out/completer1/weights.pt" \
    "$here/../src/napari_amodal/draft/weights/completer.onnx"
