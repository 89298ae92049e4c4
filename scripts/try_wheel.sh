#!/usr/bin/env bash
# Try the one wheel in a folder: scripts/try_wheel.sh DIST [PYTHON]
# What it holds is checked, then it is installed into an empty environment and used from an empty
# folder, so that nothing of the source tree can stand in for what the wheel lacks.
set -euo pipefail

fail() { echo "try_wheel: $*" >&2; exit 1; }

[ $# -ge 1 ] || fail "expected a folder with a wheel, got no argument"
python="$("${2:-python3}" -c "import sys; print(sys.executable)")"
scripts="$(cd "$(dirname "$0")" && pwd)"
wheels=("$1"/*.whl)
[ ${#wheels[@]} -eq 1 ] && [ -f "${wheels[0]}" ] || fail "expected one wheel in $1, got: ${wheels[*]}"
wheel="$(cd "$1" && pwd)/$(basename "${wheels[0]}")"

room="$(mktemp -d)"
trap 'rm -rf "$room"' EXIT

"$python" -m zipfile -e "$wheel" "$room/unpacked"
cd "$room/unpacked"
for part in ds2fast/__init__.py ds2fast/py.typed ds2fast/_core.pyi \
  ds2fast/report/page.html.jinja ds2fast/report/style.css ds2fast/report/filter.js; do
  [ -f "$part" ] || fail "expected $part in the wheel"
done
[ "$(find . -name '_core.*.so' | wc -l)" -eq 1 ] || fail "expected one _core in the wheel"
[ -n "$(find . -path '*.dist-info/*' -name LICENSE)" ] || fail "expected LICENSE in the wheel"
strangers="$(find . -type f ! -path './ds2fast-*.dist-info/*' ! -path './ds2fast.libs/*' \
  ! -path './ds2fast/*.py' ! -path './ds2fast_cli/*.py' ! -path './ds2fast/py.typed' \
  ! -path './ds2fast/_core.pyi' ! -path './ds2fast/_core.*.so' \
  ! -path './ds2fast/report/page.html.jinja' ! -path './ds2fast/report/style.css' \
  ! -path './ds2fast/report/filter.js')"
[ -z "$strangers" ] || fail "files that do not belong in the wheel: $strangers"
# Folders of the machine that built it have no place in the extension.
for folder in "$(dirname "$scripts")" "$HOME/" "${TMPDIR:-/tmp}/"; do
  ! grep -aqF "$folder" ds2fast/_core.*.so || fail "$folder, a folder of this machine, in _core"
done

"$python" -m venv "$room/venv"
bin="$room/venv/bin"
"$bin/python" -m pip install --quiet --disable-pip-version-check "$wheel"
cp "$scripts/try_selection.py" "$room/"
mkdir "$room/empty"
cd "$room/empty"
unset PYTHONPATH
"$bin/ds2fast" --version
"$bin/ds2fast" doctor
"$bin/python" -W error "$room/try_selection.py"
"$bin/python" -m pip install --quiet --disable-pip-version-check "$wheel[report]"
PYTHONPATH="$room" "$bin/python" -W error -c "
import sys, ds2fast, try_selection
rows, scores = try_selection.make_pool()
selection = ds2fast.select(scores=scores, embeddings=rows, n=50, progress=False)
selection.report(sys.argv[1])
" "$room/report.html"
[ -s "$room/report.html" ] || fail "expected a report"
[ -z "$(ls -A)" ] || fail "files left in the working directory: $(ls -A)"
echo "$(basename "$wheel"): fine"
