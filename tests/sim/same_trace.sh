#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A seed means the same run in every process: the same seeds in two processes, the second with another
# environment size and (where the kernel allows it) another address layout, must give the same traces.
set -eu
sim=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
options="$* --seeds 60 --jobs 1 --keep-going --verbose"
# shellcheck disable=SC2086 # words
"$sim" $options 2>&1 | grep '^seed ' >"$work/first" || true
TACIT_PADDING=$(printf '%01000d' 0)
export TACIT_PADDING
launcher=""
if setarch "$(uname -m)" -R true 2>/dev/null; then
    launcher="setarch $(uname -m) -R"
fi
# shellcheck disable=SC2086
$launcher "$sim" $options 2>&1 | grep '^seed ' >"$work/second" || true
if [ "$(wc -l <"$work/first")" -ne 60 ]; then
    echo "the first process did not finish its 60 runs" >&2
    exit 1
fi
diff "$work/first" "$work/second"
