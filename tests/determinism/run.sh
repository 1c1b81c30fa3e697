#!/bin/bash
# run.sh PYTHON WEFT [FLAGS] FILE: determinism.py, against a reference if there is one.
if [ -n "${WEFT_REFERENCE_DIGESTS:-}" ] && [ "$3" != --once ]; then
  set -- "$1" "$2" --compare "$WEFT_REFERENCE_DIGESTS" "${@:3}"
fi
exec "$1" "$(dirname "$0")/determinism.py" --weft "$2" "${@:3}"
