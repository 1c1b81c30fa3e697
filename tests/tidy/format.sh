#!/bin/bash
# format.sh [--check]: formats the C++ sources with clang-format 14 (others break lines elsewhere),
# or says which would change.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 2
format=$(command -v clang-format-14 || command -v clang-format) || { echo "clang-format is missing"; exit 2; }
mode=(-i)
[ "${1:-}" = --check ] && mode=(--dry-run --Werror)
git ls-files -z --cached --others --exclude-standard -- '*.cpp' '*.h' |
  xargs -0 -n 40 -P "$(nproc)" "$format" "${mode[@]}"
