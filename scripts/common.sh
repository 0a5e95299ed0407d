# Sourced by the other scripts: where things are, and how to speak.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Built crates, the Python environment and ONNX Runtime outlive a checkout: one place for all of them.
CACHE=${CUCKOO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cuckoo}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
# The WebAssembly build looks for Cargo.lock from the target folder upwards, and would not find it there.
export WASM_BUILD_WORKSPACE_HINT=$ROOT
BIN=$CARGO_TARGET_DIR/debug
VENV=$CACHE/venv
ORT_VERSION=1.31.1
ORT_DIR=$CACHE/onnxruntime-$ORT_VERSION
export ORT_DYLIB_PATH=${ORT_DYLIB_PATH:-$ORT_DIR/libonnxruntime.so.$ORT_VERSION}

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf '\033[1;31merror:\033[0m %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Where rustup could not fetch the WebAssembly target, the runtime is compiled by Debian's compiler (see setup).
if have rustup && [ ! -d "$(cd "$ROOT" && rustc --print sysroot 2>/dev/null)/lib/rustlib/wasm32v1-none/lib" ] &&
	rustup toolchain list 2>/dev/null | grep -q '^debian'; then
	export WASM_BUILD_TOOLCHAIN=debian
fi

# Builds everything that the scripts start. Cargo shows its own progress on a terminal; elsewhere a line a minute. Silent if nothing is to be done.
build() {
	cd "$ROOT"
	if [ -t 2 ]; then
		cargo build --locked --workspace
		return
	fi
	local log=$CACHE/build.log
	cargo build --locked --workspace >"$log" 2>&1 &
	local cargo=$! second=0
	while kill -0 "$cargo" 2>/dev/null; do
		sleep 1
		second=$((second + 1))
		[ $second = 3 ] && say "building: half an hour the first time on two cores, seconds afterwards"
		[ $((second % 60)) = 0 ] && say "  still building after $((second / 60)) min: $(grep -c Compiling "$log" || true) crates"
	done
	wait "$cargo" || { grep -E -A12 '^error' "$log" >&2 || tail -n 20 "$log" >&2; die "the build failed; all of it is in $log"; }
}
