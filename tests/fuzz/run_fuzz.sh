#!/bin/bash
# `./weft fuzz [TARGET...] [--seconds N]`: builds the libFuzzer targets with clang, with the address
# and undefined-behaviour sanitizers, and lets each look for N seconds (default 60) from the seeds of
# tests/fuzz/corpus on. What it learns stays in the build folder; what it finds is named, kept there
# as crash-*, and makes the exit code 1. `--minimise` instead writes a smaller corpus of what has
# been learnt so far to the build folder, to choose further seeds from.
set -u -o pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${WEFT_FUZZ_BUILD:-${WEFT_BUILD:-$root/build}-fuzz}
seconds=60 minimise=no targets=()
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=${2:-}; shift ;;
    --seconds=*) seconds=${1#*=} ;;
    --minimise) minimise=yes ;;
    -*) echo "error: fuzz has no flag '$1'" >&2; exit 2 ;;
    *) targets+=("$1") ;;
  esac
  shift
done
case $seconds in ''|*[!0-9]*) echo "error: --seconds takes a number" >&2; exit 2 ;; esac
known=()
for file in "$root"/tests/fuzz/fuzz_*.cpp; do name=${file##*/fuzz_}; known+=("${name%.cpp}"); done
[ ${#targets[@]} = 0 ] && targets=("${known[@]}")
for target in "${targets[@]}"; do
  [ -e "$root/tests/fuzz/fuzz_$target.cpp" ] || {
    echo "error: there is no fuzz target '$target'; there are: ${known[*]}" >&2; exit 2; }
done
clang=
for candidate in clang++-16 clang++; do command -v "$candidate" >/dev/null && { clang=$candidate; break; }; done
[ -z "$clang" ] && { echo "error: the fuzzers need clang (package clang-16, libclang-rt-16-dev)" >&2; exit 2; }

log=$build/weft-fuzz.log
mkdir -p "$build"
echo "weft: building the fuzzers" >&2
if ! cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$clang" \
     -DWEFT_FUZZ=ON -DWEFT_BENCH=OFF >"$log" 2>&1 ||
   ! cmake --build "$build" --target "${targets[@]/#/fuzz_}" >"$log" 2>&1; then
  grep -v '^\[[0-9]*/[0-9]*\] \(Building\|Linking\)' "$log" | tail -n 40 >&2
  echo "weft: the build failed; the whole of it: $log" >&2
  exit 2
fi
status=0
for target in "${targets[@]}"; do
  learnt=$build/corpus/$target
  mkdir -p "$learnt"
  if [ $minimise = yes ]; then
    rm -rf "$learnt.small"; mkdir -p "$learnt.small"
    "$build/bin/fuzz_$target" -merge=1 "$learnt.small" "$root/tests/fuzz/corpus/$target" "$learnt" >"$build/$target.log" 2>&1
    printf '%-12s %s inputs in %s\n' "$target" "$(ls "$learnt.small" | wc -l)" "$learnt.small"
    continue
  fi
  seeds=$root/tests/fuzz/corpus/$target
  [ -d "$seeds" ] || seeds=
  if "$build/bin/fuzz_$target" -max_total_time="$seconds" -timeout=10 -max_len=4096 -use_value_profile=1 \
       -artifact_prefix="$build/crash-$target-" -print_final_stats=1 "$learnt" ${seeds:+"$seeds"} \
       >"$build/$target.log" 2>&1; then
    runs=$(awk '/number_of_executed_units/ {print $2}' "$build/$target.log")
    cover=$(grep -o 'cov: [0-9]*' "$build/$target.log" | tail -1)
    printf '%-12s %s s, %s inputs, %s: nothing found\n' "$target" "$seconds" "$runs" "$cover"
  else
    status=1
    printf '%-12s FOUND something; see %s\n' "$target" "$build/$target.log"
    grep -m 3 -E 'ERROR|check failed|crash-' "$build/$target.log"
  fi
done
exit $status
