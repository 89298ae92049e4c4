#!/usr/bin/env bash
# The tests that run the extension, with the one that was built under ASan and UBSan:
# scripts/asan_pytest.sh PYTHON BUILD_DIR [PYTEST ARGUMENTS]. Made for GCC on Linux.
set -euo pipefail

fail() { echo "asan_pytest: $*" >&2; exit 1; }

[ $# -ge 2 ] || fail "expected PYTHON and BUILD_DIR, got $# arguments"
python="$1"
build="$(cd "$2" && pwd)"
shift 2
cd "$(dirname "$0")/.."
extension=("$build"/_core.*.so)
[ -f "${extension[0]}" ] || fail "expected _core in $build: run \`make asan\`"

# A tree of its own, in which ds2fast._core is the instrumented one.
tree="$(mktemp -d)"
trap 'rm -rf "$tree"' EXIT
cp -R python/. "$tree/"
find "$tree" -name '*.so' -delete
cp "${extension[0]}" "$tree/ds2fast/"

# The environment's packages under an interpreter with no installed package: in the environment itself
# an editable install of ds2fast would stand before the tree, in the tests' subprocesses as well.
packages="$("$python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')"
"$python" -m venv --without-pip "$tree/venv"
export PYTHONPATH="$tree:$packages" PYTHONDONTWRITEBYTECODE=1

compiler="$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")"
preload=()
for library in libasan.so libubsan.so libstdc++.so; do  # libstdc++: ASan looks for its throw at start
  path="$("$compiler" -print-file-name="$library")"
  [ -f "$path" ] || fail "expected $library beside $compiler, found none"
  preload+=("$(readlink -f "$path")")
done
run() {
  # Leaks are not looked for: the interpreter keeps objects until it ends.
  env LD_PRELOAD="$(IFS=:; echo "${preload[*]}")" \
    ASAN_OPTIONS=detect_leaks=0:halt_on_error=1:abort_on_error=1 \
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 "$tree/venv/bin/python" "$@"
}

loaded="$(run -c 'import ds2fast; print(ds2fast._core.__file__)')"
[[ "$loaded" == "$tree"/* ]] || fail "expected _core of $tree, got $loaded"
tests=()
for stage in knn blocks approximate selection diversity graph transition curation invariance properties; do
  [ ! -f "tests/test_$stage.py" ] || tests+=("tests/test_$stage.py")
done
# Captured at the level of sys only: a report of ASan goes past it to the terminal.
run -m pytest -q --capture=sys -p no:cacheprovider "${tests[@]}" "$@"
