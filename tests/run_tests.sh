#!/bin/bash
# `./weft test`: builds everything and runs all tests of the project.
#
#   (none)     everything, in Release
#   --quick    without the tests labelled `slow`
#   --matrix   then, each in a build folder of its own, on the short variants:
#                clang       unit tests and run digests, which must be those of the Release build
#                debug       the same, g++ without optimisation
#                asan        unit tests under AddressSanitizer and UndefinedBehaviourSanitizer
#                tsan        kernel and run tests under ThreadSanitizer
#   --list     lists the tests
#   --jobs=N   so many at once (default: one per core)
#
# With WEFT_WERROR in the environment warnings of g++ are errors; with WEFT_MATRIX_SHORT the matrix
# leaves out what takes longest (CI does).
#
# Ends with a plain line "N passed, N failed" over all of them; exit code 0 only if none failed and
# every variant built.
set -u -o pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${WEFT_BUILD:-$root/build}
jobs=$(nproc)
quick=no matrix=no list=no
for argument in "$@"; do
  case $argument in
    --quick) quick=yes ;;
    --matrix) matrix=yes ;;
    --list) list=yes ;;
    --jobs=*) jobs=${argument#--jobs=} ;;
    *) echo "error: $0 has no flag '$argument'" >&2; exit 2 ;;
  esac
done

passed=0 failed=0
failures=()
strict=-DWEFT_WERROR=OFF
[ -n "${WEFT_WERROR:-}" ] && strict=-DWEFT_WERROR=ON

# variant NAME FOLDER CTEST-FLAGS -- CMAKE-FLAGS: configure, build (`targets`, or all), test; adds to
# the counts
targets=()
variant() {
  local name=$1 folder=$2 ctest_flags=() line
  shift 2
  while [ "$1" != -- ]; do ctest_flags+=("$1"); shift; done
  shift
  local begin=$SECONDS log=$folder/weft-tests.log
  echo "== $name"
  mkdir -p "$folder"
  if ! cmake -S "$root" -B "$folder" -G Ninja -DWEFT_TESTS=ON "$@" >"$log" 2>&1 ||
     ! cmake --build "$folder" -j "$jobs" ${targets[@]+--target "${targets[@]}"} >"$log" 2>&1; then
    grep -v '^\[[0-9]*/[0-9]*\] \(Building\|Linking\)' "$log" | tail -n 60
    echo "$name does not build (the whole output: $log)"
    failed=$((failed + 1))
    failures+=("$name: build")
    return
  fi
  echo "   built in $((SECONDS - begin)) s"
  if [ "$list" = yes ]; then
    ctest --test-dir "$folder" -N "${ctest_flags[@]}"
    return
  fi
  begin=$SECONDS
  local results=$folder/weft-ctest.txt
  ctest --test-dir "$folder" -j "$jobs" --output-on-failure "${ctest_flags[@]}" 2>&1 |
    tee "$results" | grep -v '^ *Start \|^Internal ctest'
  local status=${PIPESTATUS[0]}
  local ok bad
  ok=$(grep -c '^ *[0-9]*/[0-9]* Test .* Passed ' "$results")
  bad=$(grep -c '^ *[0-9]*/[0-9]* Test .*\*\*\*\(Failed\|Timeout\|Exception\|Not Run\|Bad\)' "$results")
  # A run that ended badly counts as a failure even if no single test is to blame.
  if [ "$status" != 0 ] && [ "$bad" = 0 ]; then bad=1; failures+=("$name: ctest ended with $status"); fi
  if [ "$ok" = 0 ] && [ "$bad" = 0 ]; then bad=1; failures+=("$name: no test ran"); fi
  passed=$((passed + ok))
  failed=$((failed + bad))
  while IFS= read -r line; do failures+=("$name: $line"); done < <(
    sed -n 's/^ *[0-9]*\/[0-9]* Test *#[0-9]*: \([^ ]*\) .*\*\*\*\(Failed\|Timeout\|Exception\|Not Run\|Bad\).*/\1/p' "$results")
  sed -n 's/^ *[0-9]*\/[0-9]* Test *#[0-9]*: \([^ ]*\) .*\*\*\*Skipped.*/   skipped: \1/p' "$results"
  echo "   tested in $((SECONDS - begin)) s"
}

if [ "$quick" = yes ]; then
  variant release "$build" -LE slow -- -DCMAKE_BUILD_TYPE=Release "$strict"
else
  variant release "$build" -- -DCMAKE_BUILD_TYPE=Release "$strict"
fi

if [ "$matrix" = yes ]; then
  # What the Release build computed, for the others to compare with (tests/determinism).
  export WEFT_REFERENCE_DIGESTS=$build/digests.json
  if [ -e "$root/scenarios/run/run.cpp" ] && [ "$list" = no ]; then
    python3 "$root/tests/determinism/determinism.py" --weft "$build/bin/weft" --write "$WEFT_REFERENCE_DIGESTS" || {
      failed=$((failed + 1))
      failures+=("release: reference digests")
    }
  fi
  short='^(unit|digests)[.]'
  # The parts that read bytes of others, and the kernel: what sanitizers are for first.
  careful=(test_base test_sim test_datapath test_control test_pcap test_loader test_import)
  # WEFT_MATRIX_VARIANTS="clang asan": only these.
  wanted() { case " ${WEFT_MATRIX_VARIANTS:-clang debug asan tsan} " in *" $1 "*) true ;; *) false ;; esac; }
  wanted clang && variant clang "$root/build-clang" -R "$short" -- -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CXX_COMPILER=clang++-16 -DWEFT_BENCH=OFF
  if [ -n "${WEFT_MATRIX_SHORT:-}" ]; then
    targets=(weft-bin)
    wanted debug && variant debug "$root/build-debug" -R '^digests[.]' -- -DCMAKE_BUILD_TYPE=Debug -DWEFT_BENCH=OFF
    targets=("${careful[@]}")
    wanted asan && variant asan "$root/build-asan" -R '^unit[.](base|sim|datapath|control|pcap|loader|import)$' -- \
      -DCMAKE_BUILD_TYPE=Release -DWEFT_SANITIZE=address,undefined -DWEFT_BENCH=OFF
    targets=(test_sim weft-bin)
    wanted tsan && variant tsan "$root/build-tsan" -R '^unit[.]sim$|^threads[.](two-vms|three-tier|control-in-band)' -- \
      -DCMAKE_BUILD_TYPE=Release -DWEFT_SANITIZE=thread -DWEFT_BENCH=OFF
  else
    wanted debug && variant debug "$root/build-debug" -R "$short" -- -DCMAKE_BUILD_TYPE=Debug -DWEFT_BENCH=OFF
    wanted asan && variant asan "$root/build-asan" -R '^unit[.]' -- -DCMAKE_BUILD_TYPE=Release \
      -DWEFT_SANITIZE=address,undefined -DWEFT_BENCH=OFF
    targets=(test_sim test_run weft-bin)
    wanted tsan && variant tsan "$root/build-tsan" -R '^unit[.](sim|run)$|^threads[.]' -- -DCMAKE_BUILD_TYPE=Release \
      -DWEFT_SANITIZE=thread -DWEFT_BENCH=OFF
  fi
fi
[ "$list" = yes ] && exit 0

for failure in ${failures[@]+"${failures[@]}"}; do echo "failed: $failure"; done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
