#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests of the RDMA provider in the virtual machine of vm.sh.
#
#   run.sh [suite | long | own]... [-- CASE]     default: suite own
#
# TACIT_BINARY_DIR says which build (default: build/release of this tree), TACIT_RDMA_ROUNDS how often
# things race in "own" (default 100), TACIT_RDMA_LIMIT_S the time for one part (default 600). Status 77, with
# the reason: not possible here.
set -euo pipefail

here=$(dirname "$(realpath -- "$0")")
binaries=${TACIT_BINARY_DIR:-$(dirname "$(dirname "$here")")/build/release}
limit=${TACIT_RDMA_LIMIT_S:-600}

parts=()
while [[ $# -gt 0 && $1 != -- ]]; do
    case $1 in
    suite | long | own) parts+=("$1") ;;
    *)
        sed -n '4,10s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done
[[ $# -eq 0 ]] || shift
((${#parts[@]} > 0)) || parts=(suite own)

"$here/vm.sh" -n # says itself what is missing
program=$binaries/tests/rdma/conformance_verbs
if [[ ! -x $program ]]; then
    echo "run.sh: skipped: no $program; it is built where libibverbs-dev and librdmacm-dev are installed" \
        "(cmake option TACIT_VERBS)" >&2
    exit 77
fi

options=(-s "$limit" -e "TACIT_RDMA_ROUNDS=${TACIT_RDMA_ROUNDS:-100}")
[[ -z ${TACIT_TEST_VERBOSE-} ]] || options+=(-e "TACIT_TEST_VERBOSE=$TACIT_TEST_VERBOSE")
failed=0
for part in "${parts[@]}"; do
    arguments=()
    [[ $part == suite ]] || arguments+=("--$part")
    status=0
    "$here/vm.sh" "${options[@]}" -- "$program" "${arguments[@]}" "$@" || status=$?
    if ((status == 77)); then
        exit 77
    elif ((status != 0)); then
        echo "run.sh: part \"$part\" failed (status $status)" >&2
        failed=1
    fi
done
exit "$failed"
