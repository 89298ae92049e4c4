#!/usr/bin/env bash
# Build the kernels for arm64, run their tests under qemu and compare the results of the stages with
# this machine's, built in build/dev: scripts/arm64_tests.sh. Needs Debian's g++-aarch64-linux-gnu
# and qemu-user.
set -euo pipefail

fail() { echo "arm64_tests: $*" >&2; exit 1; }

cd "$(dirname "$0")/.."
command -v aarch64-linux-gnu-g++ > /dev/null \
  || fail "expected aarch64-linux-gnu-g++, found none: apt install g++-aarch64-linux-gnu"
command -v qemu-aarch64 > /dev/null || fail "expected qemu-aarch64, found none: apt install qemu-user"
here=build/dev/tests/cpp/print_digest
[ -x "$here" ] || fail "expected $here: run \`make build-cpp\`"

cmake --preset arm64
cmake --build --preset arm64
ctest --preset arm64

results="$(mktemp -d)"
trap 'rm -rf "$results"' EXIT
"$here" > "$results/here"
for level in baseline neondot neoni8mm; do
  DS2FAST_SIMD=$level qemu-aarch64 -L /usr/aarch64-linux-gnu build/arm64/tests/cpp/print_digest \
    > "$results/arm64"
  cmp "$results/arm64" "$results/here" || fail "$level: expected the results of this machine, got others"
done
echo "arm64: tests passed; at every level neighbours, agreement and votes are byte for byte those of $(uname -m)"
