#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What requests cost, against what was recorded: operations of the fabric, and instructions of the
# project's own code (core/, crypto/), counted by callgrind. Counts, never times.
#
#   costs.sh PROGRAM RECORD           compares; each cost may rise by the tolerance of its line
#   costs.sh --renew PROGRAM RECORD   records what is so now (release build)
#
# Instructions depend on the compiler: with another one than the recorded they may rise by a quarter.
# Without valgrind only the fabric's operations are compared, and the test says so.
set -eu

renew=''
if [ "${1-}" = --renew ]; then renew=yes; shift; fi
if [ $# != 2 ]; then echo "usage: $0 [--renew] PROGRAM RECORD" >&2; exit 2; fi
program=$1 record=$2
few=200 many=712 # requests: two windows of Byzantine mode more
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Instructions below the turns of replicas and clients, in source files of core/ and crypto/.
instructions() { # MODE IN_FLIGHT REQUESTS
    valgrind --tool=callgrind --callgrind-out-file="$work/out" --toggle-collect=sim_direct_turn_replica \
        --toggle-collect=sim_direct_turn_client "$program" "$1" "$2" "$3" >/dev/null 2>"$work/valgrind" ||
        { tail -n 5 "$work/valgrind" >&2; return 1; }
    # A file is named once, wherever it comes first: (number) name, and by its number from then on. What
    # is inlined from a header counts for the file of its function (fl). What follows calls= is the called
    # function's.
    awk '
        /^(fl|fi|fe|cfi|cfl)=/ {
            id = $0; sub(/^[a-z]+=/, "", id); name = id; sub(/ .*/, "", id)
            if (name != id) { sub(/^[^ ]* /, "", name); ours[id] = name ~ /\/(core|crypto)\/[^ ]*\.[ch]$/ }
            if (/^fl=/) here = ours[id]
            next
        }
        /^calls=/ { skip = 1; next }
        /^[-+*0-9]/ { if (skip) skip = 0; else if (here) sum += $2 }
        END { printf "%d\n", sum }' "$work/out"
}

measure() { # writes "NAME VALUE" lines
    for mode in crash byzantine; do
        for in_flight in 1 16; do
            "$program" "$mode" "$in_flight" "$((many - few))" |
                sed -n "s/^\(turns\|writes\|write_bytes\|reads\|client_writes\|decided_slow\) /$mode.$in_flight.\1 /p"
            command -v valgrind >/dev/null || continue
            low=$(instructions "$mode" "$in_flight" "$few")
            high=$(instructions "$mode" "$in_flight" "$many")
            echo "$mode.$in_flight.instructions $(((high - low) / (many - few)))"
        done
    done
}

compiler=$(strings "$program" 2>/dev/null | sed -n 's/^GCC: //p' | head -n 1)
[ -n "$compiler" ] || compiler=unknown
measure >"$work/now"
if [ -n "$renew" ]; then
    command -v valgrind >/dev/null || { echo 'costs: valgrind is needed to record instructions' >&2; exit 1; }
    {
        echo '# SPDX-License-Identifier: Apache-2.0'
        echo '# What one 64-byte request costs a calm group of three, with 1 and with 16 in flight: MODE.IN_FLIGHT.WHAT,'
        echo '# the cost, and by how many per cent it may rise. Recorded by:'
        echo '#     ./tacit build release && tests/costs/costs.sh --renew build/release/tests/costs/costs tests/costs/costs.txt'
        echo "compiler $compiler"
        awk '{ print $1, $2, $1 ~ /instructions|turns/ ? 5 : 2 }' "$work/now"
    } >"$work/record"
    cp "$work/record" "$record"
    cat "$record"
    exit 0
fi

same=no
[ "$(sed -n 's/^compiler //p' "$record")" != "$compiler" ] || same=yes
command -v valgrind >/dev/null || echo 'costs: no valgrind, so instructions are not counted'
awk -v same="$same" '
    FNR == NR { now[$1] = $2; next }
    /^#/ || $1 == "compiler" { next }
    !($1 in now) { if ($1 !~ /instructions$/) { print "missing: " $1; bad = 1 } next }
    {
        allowed = $3
        if ($1 ~ /instructions$/ && same == "no") allowed = 25
        most = $2 * (1 + allowed / 100) + 0.01
        verdict = now[$1] > most ? "MORE than allowed" : now[$1] < $2 * (1 - allowed / 100) - 0.01 ? "less: record it" : "as recorded"
        printf "%-28s %10.2f recorded %10.2f, at most %10.2f: %s\n", $1, now[$1], $2, most, verdict
        if (now[$1] > most) bad = 1
        seen++
    }
    END { if (seen < 20) { print "only " seen + 0 " costs were compared"; bad = 1 } exit bad }' "$work/now" "$record"
