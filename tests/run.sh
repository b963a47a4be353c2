#!/usr/bin/env bash
# Install what the tests need on Debian or Ubuntu, then run all of them: style, types, the light base
# install, the manifest, and the suite with a real napari window on a virtual screen.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
    python3-venv xvfb xauth
    libegl1 libgl1 libgl1-mesa-dri libopengl0 libdbus-1-3 libfontconfig1 libglib2.0-0 libxkbcommon-x11-0
    libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0
    libxcb-shape0 libxcb-sync1 libxcb-xfixes0 libxcb-xinerama0 libxcb-xkb1
)
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends \
    "${packages[@]}" >/dev/null

python3 -m venv .tox/start
.tox/start/bin/pip install --quiet --disable-pip-version-check "tox>=4.20"
# Two environments at a time, the long ones first; what one prints comes when it is over.
exec .tox/start/bin/tox run-parallel --parallel 2 --parallel-no-spinner "$@"
