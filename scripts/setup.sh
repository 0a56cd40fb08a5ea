#!/bin/sh
# Makes .venv ready: an interpreter, the pinned torch, then lcbench itself with its development tools.
# Ends at once where pyproject.toml and constraints.txt are those of the last set-up.
set -eu
cd "$(dirname "$0")/.."

python=.venv/bin/python
stamp=.venv/.lcbench-ready
state=$(cat pyproject.toml constraints.txt | cksum)
if [ -x "$python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$state" ]; then
    exit 0
fi

find_python() {
    for candidate in python3 python3.12 python3.11 python3.13; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "lcbench needs Python 3.11 or newer, and found none of python3.12, python3.11, python3.13, python3 that is" >&2
    return 1
}

answers() {
    "$python" -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=4)' "$1" 2>/dev/null
}

echo "lcbench: setting up .venv; this happens once and takes some minutes"
if ! "$python" -m pip --version >/dev/null 2>&1; then
    base=$(find_python)
    "$base" -m venv --clear .venv
fi

# torch comes first and by itself: asked for together with the rest, the registry's build for CUDA wins on every machine.
torch=$(grep '^torch==' constraints.txt)
cpu_index=https://download.pytorch.org/whl/cpu
if nvidia-smi >/dev/null 2>&1; then
    from="pip's index, as there is an NVIDIA GPU"
    "$python" -m pip install -c constraints.txt "$torch"
elif answers "$cpu_index/torch/"; then
    from=$cpu_index
    "$python" -m pip install --no-deps --index-url "$cpu_index" "$torch"
else
    from="pip's index, as $cpu_index does not answer"
    "$python" -m pip install -c constraints.txt "$torch"
fi
"$python" -m pip install -c constraints.txt -e '.[dev]'

echo "lcbench: torch $("$python" -c 'from importlib.metadata import version; print(version("torch"))') from $from"
echo "$state" >"$stamp"
