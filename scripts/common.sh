# Sourced by the other scripts: where things are, and how to speak.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Built crates, the Python environment and ONNX Runtime outlive a checkout: one place for all of them.
CACHE=$(realpath -m "${CUCKOO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cuckoo}")
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-$CACHE/target}")
export CARGO_TARGET_DIR
# The WebAssembly build looks for Cargo.lock from the target folder upwards, and would not find it there.
export WASM_BUILD_WORKSPACE_HINT=$ROOT
BIN=$CARGO_TARGET_DIR/debug
VENV=$CACHE/venv
ORT_VERSION=1.31.1
ORT_DIR=$CACHE/onnxruntime-$ORT_VERSION
export ORT_DYLIB_PATH=${ORT_DYLIB_PATH:-$ORT_DIR/libonnxruntime.so.$ORT_VERSION}
# The packages of npm that the checks of the coordinator's API run, and the Chromium or Chrome that they open its page in.
export CUCKOO_CLIENTS=$CACHE/clients
export CUCKOO_BROWSER=${CUCKOO_BROWSER:-chromium}

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf '\033[1;31merror:\033[0m %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# build [OPTION...]: builds everything that the scripts start, or what cargo's options say. Cargo shows its own progress on a terminal; elsewhere a line a
# minute. Silent if nothing is to be done.
build() {
	local here=$PWD
	cd "$ROOT"
	if [ -t 2 ]; then
		cargo build --locked --workspace "$@"
		cd "$here"
		return
	fi
	local log=$CACHE/build.log
	cargo build --locked --workspace "$@" >"$log" 2>&1 &
	local cargo=$! began=$SECONDS said=0 now
	while kill -0 "$cargo" 2>/dev/null; do
		sleep 1
		now=$((SECONDS - began))
		if [ "$said" = 0 ] && [ "$now" -ge 3 ]; then
			said=1
			say "building: half an hour the first time on two cores, seconds afterwards"
		elif [ $((now / 60)) -ge "$said" ] && [ "$now" -ge 60 ]; then
			said=$((now / 60 + 1))
			say "  still building after $((now / 60)) min: $(grep -c Compiling "$log" || true) crates"
		fi
	done
	wait "$cargo" || { grep -E -A12 '^error' "$log" >&2 || tail -n 20 "$log" >&2; die "the build failed; all of it is in $log"; }
	cd "$here"
}

# fetch_onnx_runtime VERSION: ONNX Runtime's C library into $CACHE/onnxruntime-VERSION, out of its Python wheel: the one source that is the same everywhere.
fetch_onnx_runtime() {
	local dir=$CACHE/onnxruntime-$1 wheel
	[ -e "$dir/libonnxruntime.so.$1" ] && return 0
	say "fetching ONNX Runtime $1"
	wheel=$(mktemp -d)
	"$VENV/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$wheel" "onnxruntime==$1" ||
		die "cannot fetch onnxruntime $1 from PyPI; or set ORT_DYLIB_PATH to a libonnxruntime.so of 1.24 or later"
	python3 - "$wheel"/*.whl "$wheel" <<-'PY'
		import pathlib, sys, zipfile
		with zipfile.ZipFile(sys.argv[1]) as wheel:
		    for name in wheel.namelist():
		        file = pathlib.PurePath(name)
		        if file.match("onnxruntime/capi/libonnxruntime*.so*"):
		            (pathlib.Path(sys.argv[2]) / file.name).write_bytes(wheel.read(name))
	PY
	mkdir -p "$dir"
	mv "$wheel"/libonnxruntime* "$dir/"
	rm -rf "$wheel"
	[ -e "$dir/libonnxruntime.so.$1" ] || die "the onnxruntime wheel holds no libonnxruntime.so.$1"
}

# The toolchain of rust-toolchain.toml, installed where it can be. Named outright, because where rustup can fetch nothing that file's target would stop
# every command.
TOOLCHAIN=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$ROOT/rust-toolchain.toml")

# Where rustup could not fetch the WebAssembly target, the runtime is compiled by Debian's compiler; see setup.
debian_target() {
	export RUSTUP_TOOLCHAIN=$TOOLCHAIN
	[ -d "$(rustc --print sysroot)/lib/rustlib/wasm32v1-none/lib" ] || export WASM_BUILD_TOOLCHAIN=debian
}
