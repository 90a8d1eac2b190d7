#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests of the RDMA provider in the virtual machine of vm.sh.
#
#   run.sh [suite | long | own | switches | crash | byzantine | costs | spares]... [-- CASE]
#                                                default: suite own crash byzantine
#
# suite, long: the conformance cases; own: this provider's; switches: 2,000 moves of the permission under
# full load; crash, byzantine: `tacit demo` of that mode, whole clusters of the ordinary programs; costs: what
# a batch costs at the device, both modes; spares: members that are replaced, both modes.
#
# TACIT_BINARY_DIR says which build (default: build/release of this tree), TACIT_RDMA_ROUNDS how often
# things race in "own" (default 100) and "switches" (2000), TACIT_RDMA_LIMIT_S the time for one part (default
# 600), TACIT_RDMA_PATIENCE how much longer than usual clusters wait (default 100 without KVM, 10 with it).
# Status 77, with the reason: not possible here.
set -euo pipefail

here=$(dirname "$(realpath -- "$0")")
binaries=${TACIT_BINARY_DIR:-$(dirname "$(dirname "$here")")/build/release}
limit=${TACIT_RDMA_LIMIT_S:-600}

parts=()
while [[ $# -gt 0 && $1 != -- ]]; do
    case $1 in
    suite | long | own | switches | crash | byzantine | costs | spares) parts+=("$1") ;;
    *)
        sed -n '4,17s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done
[[ $# -eq 0 ]] || shift
((${#parts[@]} > 0)) || parts=(suite own crash byzantine)

"$here/vm.sh" -n # says itself what is missing
program=$binaries/tests/rdma/conformance_verbs
if [[ ! -x $program ]]; then
    echo "run.sh: skipped: no $program; it is built where libibverbs-dev and librdmacm-dev are installed" \
        "(cmake option TACIT_VERBS)" >&2
    exit 77
fi

# The cases of the fabric: nodes of the test's own.
run_cases() { # PART [CASE]
    local part=$1 rounds=100 arguments=()
    shift
    case $part in
    long | own) arguments=("--$part") ;;
    switches) arguments=(--own nothing_lands_after_revoked) rounds=2000 ;;
    esac
    "$here/vm.sh" "${options[@]}" -e "TACIT_RDMA_ROUNDS=${TACIT_RDMA_ROUNDS:-$rounds}" \
        -- "$program" "${arguments[@]}" "$@"
}

# The options that take the programs along, and what a cluster needs; `patience`: how much longer it waits.
cluster=() patience=100
prepare_cluster() { # PROGRAM...
    local name
    cluster=(-m 3072 -c 4)
    if [[ -w /dev/kvm ]] && grep -qwE 'vmx|svm' /proc/cpuinfo; then patience=10; fi
    patience=${TACIT_RDMA_PATIENCE:-$patience}
    for name in "$@"; do
        if [[ ! -x $binaries/apps/$name ]]; then
            echo "run.sh: there is no $binaries/apps/$name" >&2
            return 1
        fi
        cluster+=(-f "$binaries/apps/$name")
    done
}

# What it counts is the fast path; on an emulated machine that others use, too, a batch may take 0.1 s.
run_costs() {
    prepare_cluster tacit-replica tacit-memnode || return
    "$here/vm.sh" "${options[@]}" "${cluster[@]}" -e "TACIT_BINARY_DIR=$binaries" \
        -e "TACIT_RDMA_PATIENCE=$((4 * patience))" -e TACIT_RDMA_ADDRESS=10.0.0.1 \
        -- "$binaries/tests/rdma/costs_verbs" "$@"
}

run_spares() {
    prepare_cluster tacit-replica tacit-memnode || return
    "$here/vm.sh" "${options[@]}" "${cluster[@]}" -e "TACIT_BINARY_DIR=$binaries" \
        -e "TACIT_RDMA_PATIENCE=$patience" -e TACIT_RDMA_ADDRESS=10.0.0.1 \
        -- "$binaries/tests/rdma/spare_verbs" "$@"
}

# A cluster of the programs that everybody runs. The demo ends with 0 only if the leader that was killed with
# SIGKILL had a successor, came back, nothing that a client was told is lost or wrong, and all of it is
# linearizable.
run_demo() { # MODE
    prepare_cluster tacit tacit-replica tacit-memnode tacit-gateway tacit-attacker || return
    "$here/vm.sh" "${options[@]}" "${cluster[@]}" -- "$binaries/apps/tacit" demo --mode "$1" \
        --fabric verbs --patience "$patience" --seconds 4
}

options=(-s "$limit")
[[ -z ${TACIT_TEST_VERBOSE-} ]] || options+=(-e "TACIT_TEST_VERBOSE=$TACIT_TEST_VERBOSE")
failed=0
for part in "${parts[@]}"; do
    status=0
    case $part in
    crash | byzantine) run_demo "$part" || status=$? ;;
    costs) run_costs "$@" || status=$? ;;
    spares) run_spares "$@" || status=$? ;;
    *) run_cases "$part" "$@" || status=$? ;;
    esac
    if ((status == 77)); then
        exit 77
    elif ((status != 0)); then
        echo "run.sh: part \"$part\" failed (status $status)" >&2
        failed=1
    fi
done
exit "$failed"
