#!/usr/bin/env bash
# Show that the package runs on x86-64 processors without AVX: scripts/without_avx.sh PYTHON.
# PYTHON has ds2fast installed; `cmake --preset portable` was built. Needs qemu-user and objdump.
set -euo pipefail

fail() { echo "without_avx: $*" >&2; exit 1; }

[ $# -eq 1 ] || fail "expected PYTHON, got $# arguments"
python="$1"
cd "$(dirname "$0")/.."
build=build/portable
command -v qemu-x86_64 > /dev/null || fail "expected qemu-x86_64, found none: apt install qemu-user"
command -v objdump > /dev/null || fail "expected objdump, found none: apt install binutils"
[ -f $build/libds2fast_kernels.a ] || fail "expected a build in $build: run \`make without-avx\`"

# Instructions that begin with v, or name a wide register or a mask, are AVX's.
count_avx() {
  objdump -d --no-show-raw-insn --no-addresses "$@" \
    | awk -F '\t' '$2 ~ /^v|%[yz]mm|%k[0-7]/ { n++ } END { print n + 0 }'
}
objects="$(mktemp -d)"
trap 'rm -rf "$objects"' EXIT
(cd "$objects" && ar x "$OLDPWD/$build/libds2fast_kernels.a")
units=("$objects"/kernels_avx*.o)
for object in "$objects"/*.o; do
  [[ " ${units[*]} " != *" $object "* ]] || continue
  [ "$(count_avx "$object")" -eq 0 ] || fail "AVX instructions in $(basename "$object")"
done
in_units="$(count_avx "${units[@]}")"
[ "$in_units" -gt 0 ] || fail "no AVX instruction in the AVX units: is this search blind?"
in_core="$(count_avx $build/_core.*.so)"
[ "$in_core" -eq "$in_units" ] \
  || fail "$in_core AVX instructions in _core, $in_units in the units for AVX"
# A weak symbol there would be code that the linker may choose for everyone; DW.ref.* are pointers.
weak="$(nm "${units[@]}" | awk '$2 ~ /^[WVwvu]$/ && $3 !~ /^DW\.ref\./')"
[ -z "$weak" ] || fail "code in the AVX units that others may be given: $weak"
echo "all $in_core AVX instructions of _core stand in the units for AVX"

# Nehalem has SSE4.2, which NumPy asks for, and no AVX. NumPy's OpenBLAS must look at that processor
# and not at a setting for the real one.
unset OPENBLAS_CORETYPE DS2FAST_SIMD
run() { qemu-x86_64 -cpu Nehalem "$@"; }
for test in parallel_for simd knn transition curation selection; do
  report="$(run $build/tests/cpp/test_$test)" || fail "$test under qemu: $report"
  echo "$test: ${report##*$'\n'}"
done
cmp <(run $build/tests/cpp/print_digest) <($build/tests/cpp/print_digest) \
  || fail "expected the results of this machine, got others"
run "$python" scripts/try_selection.py baseline
