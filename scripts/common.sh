# Sourced by the other scripts: where things are, and how to speak.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Built crates, the Python environment and ONNX Runtime outlive a checkout: one place for all of them.
CACHE=${CUCKOO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cuckoo}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
BIN=$CARGO_TARGET_DIR/debug
VENV=$CACHE/venv
ORT_VERSION=1.31.1
ORT_DIR=$CACHE/onnxruntime-$ORT_VERSION
export ORT_DYLIB_PATH=${ORT_DYLIB_PATH:-$ORT_DIR/libonnxruntime.so.$ORT_VERSION}

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf '\033[1;31merror:\033[0m %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
