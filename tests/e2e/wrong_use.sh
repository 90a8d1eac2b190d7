#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Wrong use of the program `tacit`: status 2, and a message that says what is accepted. Nothing else
# happens: each is refused before anything is started.
#
#     wrong_use.sh PROGRAM
set -u
program=${1:?usage: $0 PROGRAM}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
tried=0
failed=0

# refuse STATUS FRAGMENT ARGUMENT...
refuse() {
    wanted=$1 fragment=$2
    shift 2
    tried=$((tried + 1))
    status=0
    "$program" "$@" >said 2>&1 </dev/null || status=$?
    if [ "$status" != "$wanted" ] || ! grep -qF -e "$fragment" said; then
        failed=$((failed + 1))
        printf 'tacit %s: status %s (expected %s), expected "%s", said:\n' "$*" "$status" "$wanted" "$fragment"
        cat said
    fi
}

refuse 2 'usage: tacit COMMAND'
refuse 2 'there is no command chess' chess
refuse 2 'bench : accepted are floor, latency, load, peers, projected, memory, failover, replace, faults, timeline, reads, active and report' bench
refuse 2 'bench speed: accepted are floor, latency, load, peers, projected, memory, failover, replace, faults, timeline, reads, active and report' bench speed
refuse 2 'tacit bench latency: --mode x: accepted are none, crash, byzantine and all' bench latency --mode x
refuse 2 '--log-on moon: accepted are replicas and memnodes' bench latency --log-on moon
refuse 2 '--waiting x: accepted are adaptive, yield and spin' bench latency --waiting x
refuse 2 '--size 7: 8 to 4096 is accepted' bench latency --size 7
refuse 2 '--count 1e6: 1 to 100000000 is accepted' bench latency --count 1e6
refuse 2 '--in-flight 0: 1 to 512 is accepted' bench load --in-flight 0
refuse 2 '--rounds x: 1 to 64 is accepted' bench load --rounds x
refuse 2 '--size 4: 8 to 2048 is accepted' bench peers --size 4
refuse 2 '--rounds 0: 1 to 64 is accepted' bench floor --rounds 0
refuse 2 '--arena 0: 1 to 1024 is accepted' bench memory --arena 0
refuse 2 'the folder with the results is needed' bench report
refuse 1 'No such file or directory' bench report /nowhere
refuse 2 '--replicas 4: accepted are 3, 5 and 7' bench projected --replicas 4
refuse 1 'accepted are infiniband-100g, soft-roce and paths with a slash' bench projected --fabric token-ring
refuse 2 '--kind x: accepted are kill and stop' bench failover --kind x
refuse 2 '--victim x: accepted are leader and follower' bench failover --victim x
refuse 2 '--mode raft: accepted are crash and byzantine' bench failover --mode raft
refuse 2 '--clients 8: 1 to 7 is accepted' bench failover --clients 8
refuse 2 '--attack NAME is needed' bench faults
refuse 2 '--on x: accepted are follower and leader' bench faults --attack flood --on x
refuse 2 '--seconds 0: 1 to 3600 is accepted' demo --seconds 0
refuse 2 'local: accepted are ' local
refuse 1 'there is no cluster in' local down
refuse 2 '--replicas 16: 1 to 15 is accepted' local up --replicas 16
refuse 2 '--memnodes -1: 0 to 15 is accepted' local up --memnodes -1
refuse 2 '--broadcast-on x: accepted are replicas and memnodes' local up --broadcast-on x
refuse 2 '--port 65536: 0 to 65535 is accepted' local up --port 65536
refuse 2 'too many words, from e on: 4 are accepted' local a b c d e
refuse 2 'kv : accepted are get KEY, put KEY VALUE' kv
refuse 2 'kv get: accepted are get KEY, put KEY VALUE' kv get a b
refuse 1 'tacit local up --dir nowhere' kv --dir nowhere get a
refuse 2 'status x: options alone are accepted' status --json x
refuse 1 'there is no cluster in nowhere' status --dir nowhere
refuse 2 'a cluster FILE (or --keys) is needed' check
refuse 2 'one FILE is accepted, not y as well' check x y
refuse 1 'cannot open nowhere' check nowhere
refuse 2 'the CLUSTER file is needed' bootstrap
refuse 2 'PATH is needed' keygen
refuse 2 '--fabric tcp: accepted are shm and verbs' keygen --fabric tcp folder
refuse 2 '--replicas 0: 1 to 15 is accepted' keygen --replicas 0 folder
refuse 2 'accepted are crash and byzantine' sim --mode x
refuse 2 'is not a number from 1 to' sim --seeds 0
refuse 2 "there is no seeded bug 'CHESS'; --list-bugs lists them" sim --bug CHESS

rm -f said
[ -z "$(ls -A)" ] || { echo "left behind: $(ls -A)"; failed=$((failed + 1)); }
[ "$failed" = 0 ] || { echo "$failed of $tried wrong uses were not refused as they should be"; exit 1; }
echo "ok: $tried wrong uses refused"
