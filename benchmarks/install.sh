#!/bin/sh
# Makes benchmarks/.venv: quickstudy beside the libraries it is compared with.
#
# None of them installs as it is on a Python of today, so each is taken without the versions it
# pins: learn2learn's C files are made anew by Cython, and easyfsl and torchmeta need a torchvision
# whose operators are only declared (see peers.py).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=$here/.venv
bin=$venv/bin
[ -e "$venv/.ready" ] && exit 0
python=${PYTHON:-python3}
"$python" -m venv "$venv"
pip="$bin/pip --disable-pip-version-check --quiet"
$pip install torch==2.13.0
$pip install --constraint "$here/../constraints.txt" "$here/.."
$pip uninstall --yes quickstudy # the source is taken from ../src
$pip install optree graphviz ordered-set pandas requests tqdm cython setuptools wheel
$pip install --no-deps higher==0.2.1 torchopt==0.7.3 easyfsl==1.5.0 parallel-metalearn==0.5.6 \
  torchmeta==1.8.0 torchvision==0.28.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
$pip download --no-deps --no-binary :all: --no-build-isolation --dest "$work" learn2learn==0.2.0
tar -xzf "$work"/learn2learn-*.tar.gz -C "$work"
"$bin/cython" -3 "$work"/learn2learn-*/learn2learn/data/*.pyx
$pip install --no-deps --no-build-isolation "$work"/learn2learn-*/
"$bin/python" -c 'import torch; assert torch.__version__.startswith("2.13.0")'
touch "$venv/.ready"
