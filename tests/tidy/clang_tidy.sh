#!/bin/bash
# clang_tidy.sh            the C++ files that differ from the last commit but one, and what is not
#                          committed yet
# clang_tidy.sh --all      every source file
# clang_tidy.sh FILE...    these
# The checks are in .clang-tidy. Needs the compile commands of a configured build folder.
set -u -o pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${WEFT_BUILD:-$root/build}
cd "$root" || exit 2
tidy=$(command -v clang-tidy-16 || command -v clang-tidy) || { echo "clang-tidy is missing"; exit 2; }
[ -e "$build/compile_commands.json" ] || { echo "configure first: ./weft test --list"; exit 2; }
case ${1:-} in
  --all) list=$(git ls-files -- '*.cpp') ;;
  "") list=$({ git diff --name-only --diff-filter=d HEAD~1 2>/dev/null || git ls-files
               git ls-files --others --exclude-standard; } | grep '\.cpp$' | sort -u) ;;
  *) list=$(printf '%s\n' "$@") ;;
esac
# Only what this configuration compiles.
known=$(sed -n "s|^ *\"file\": \"$root/\(.*\)\",*|\1|p" "$build/compile_commands.json" | sort -u)
files=$(comm -12 <(sort -u <<<"$list") <(echo "$known"))
[ -z "$files" ] && { echo "0 files"; exit 0; }
echo "$(wc -l <<<"$files") files"
# GCC's flags that clang does not know are not warnings of ours.
xargs -d '\n' -n 1 -P "$(nproc)" "$tidy" -p "$build" --quiet --warnings-as-errors='*' \
  --extra-arg=-Wno-unknown-warning-option <<<"$files" 2> >(grep -v 'warnings generated' >&2)
