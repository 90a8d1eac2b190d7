#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Fail-overs and fault timelines of both modes, into bench/results/failover and bench/results/timeline:
# about half an hour of a machine with two processors that does nothing else. A benchmark that fails is
# told at the end and does not keep the others from running; SIGINT or SIGTERM ends the one that runs,
# which writes what it has so far, and the script.
#
#     bench/run.sh [FAILOVERS [INJECTIONS-OF-EACH-KIND-IN-CRASH-MODE [IN-BYZANTINE-MODE]]]
set -u
failovers=${1:-200}
crash=${2:-50}
byzantine=${3:-10}
root=$(cd "$(dirname "$0")/.." && pwd)
results=bench/results # what is recorded names no folder of this machine
failed=
child=

cd "$root" || exit 1
./tacit build release >/dev/null || exit 1
mkdir -p "$results/failover" "$results/timeline" || exit 1
trap 'stopped=1; [ -z "$child" ] || kill -TERM "$child"' INT TERM
stopped=

run() { # NAME WORDS...: tacit bench WORDS --json results/NAME.json
    [ -z "$stopped" ] || return 0
    name=$1
    shift
    echo "== tacit bench $*"
    build/release/apps/tacit bench "$@" --json "$results/$name.json" &
    child=$!
    # A trap ends the first wait; the benchmark still has to write.
    wait "$child" || wait "$child" || failed="$failed $name"
    child=
}

for mode in crash byzantine; do
    for victim in leader follower; do
        for kind in kill stop; do
            run "failover/$mode-$kind-$victim" failover --mode "$mode" --kind "$kind" --victim "$victim" --count "$failovers"
        done
    done
done
run timeline/crash timeline --mode crash --count "$crash"
run timeline/byzantine timeline --mode byzantine --count "$byzantine"
for folder in failover timeline; do
    [ -n "$stopped" ] || build/release/apps/tacit bench report "$results/$folder"
done
if [ -n "$failed$stopped" ]; then
    echo "not as it should be:${failed:- interrupted}"
    exit 1
fi
