#!/bin/bash
# `./weft bench [NAME...] [--FLAG...]`: builds the benchmarks in Release and runs them one after
# another, alone on the machine as far as this script can help it. NAME picks bench_NAME; flags go
# to each program (Google Benchmark's, such as --benchmark_filter=REGEX). Exit code 1 if one fails.
set -u -o pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${WEFT_BUILD:-$root/build}
names=() flags=()
for argument in "$@"; do
  case $argument in
    -*) flags+=("$argument") ;;
    *) names+=("$argument") ;;
  esac
done
if [ ${#names[@]} = 0 ]; then
  for file in "$root"/tests/bench/bench_*.cpp; do
    name=${file##*/bench_}
    [ -e "$file" ] && names+=("${name%.cpp}")
  done
fi
[ ${#names[@]} = 0 ] && { echo "weft: there is no benchmark" >&2; exit 2; }
for name in "${names[@]}"; do
  [ -e "$root/tests/bench/bench_$name.cpp" ] || {
    echo "error: there is no benchmark '$name'; there are:" >&2
    (cd "$root/tests/bench" && printf '  %s\n' bench_*.cpp | sed 's/bench_//; s/\.cpp$//') >&2
    exit 2
  }
done

log=$build/weft-bench.log
mkdir -p "$build"
echo "weft: building the benchmarks" >&2
if ! cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DWEFT_TESTS=ON -DWEFT_BENCH=ON >"$log" 2>&1 ||
   ! cmake --build "$build" --target weft-bin "${names[@]/#/bench_}" >"$log" 2>&1; then
  grep -v '^\[[0-9]*/[0-9]*\] \(Building\|Linking\)' "$log" | tail -n 40 >&2
  echo "weft: the build failed; the whole of it: $log" >&2
  exit 2
fi
status=0
for name in "${names[@]}"; do
  echo "== $name"
  "$build/bin/bench_$name" ${flags[@]+"${flags[@]}"} || { status=1; echo "failed: $name"; }
done
exit $status
