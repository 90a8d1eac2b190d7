#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# How much of our code a memory node's honesty rests on: lines with code (no blanks, no comments) of
# exactly the source files that the linker took into a program that only runs a memory node, as its map file
# says, and of their private headers. Crypto is a library of its own and not counted; neither are the main(),
# which reads the cluster file and makes the socket, and the menu of seeded bugs, of which a node's build has
# nothing. Two figures: of a Byzantine group's memory node, which is the one that is trusted not to lie, and
# with crash mode's permission server, which the installed program contains as well. The aim is about 1,000
# for the first; the limits below only keep them from growing.
. "$(dirname "$0")/common.sh"
usage="usage: $0 SOURCE_DIR BYZANTINE_LINK_MAP LINK_MAP_WITH_PERMISSIONS"
byzantine_limit=1165
both_limit=1811

# sources MAP: our files that the linker took, but for crypto.
sources() {
    sed -n 's/.*libtacit_\([a-z_]*\)\.a(\([a-z_0-9]*\.c\)\.o).*/\1 \2/p' "$1" | sort -u |
        while read -r library file; do
            case $library in
            crypto) continue ;;
            shm_base) echo "memnodes/shm/$file" ;;
            memnodes) echo "memnodes/node/$file" ;;
            base) echo "core/base/$file" ;;
            core) find core -name "$file" ;;
            *) echo "UNKNOWN/$library/$file" ;;
            esac
        done
}

# headers FILE...: private headers that these include.
headers() {
    for file; do dirname "$file"; done | sort -u | while IFS= read -r directory; do
        [ ! -d "$directory" ] || find "$directory" -maxdepth 1 -name '*.h'
    done | while IFS= read -r header; do
        ! grep -qs "^#include \"\(.*/\)\{0,1\}$(basename "$header")\"" "$@" || echo "$header"
    done | grep -v '^core/base/bug\.h$' || true
}

# Comments in our files are `//` to the end of the line, outside strings that contain one.
problems=
looked=0
count() { # MAP LIMIT WHAT
    total=0
    # shellcheck disable=SC2046  # our own file names have no spaces
    set -- "$1" "$2" "$3" $(sources "$1")
    map=$1 limit=$2 what=$3
    shift 3
    [ $# -gt 0 ] || problems="$problems
$map: names none of our files"
    # shellcheck disable=SC2046  # likewise; twice, for those that headers include
    set -- "$@" $(headers "$@" $(headers "$@"))
    for file; do
        looked=$((looked + 1))
        [ -f "$file" ] || { problems="$problems
$file: linked into a memory node, but this test does not know where it is"; continue; }
        lines=$(sed -e 's|^[[:space:]]*//.*||' -e '/^[[:space:]]*$/d' "$file" | wc -l)
        printf '%6d %s\n' "$lines" "$file"
        total=$((total + lines))
    done
    printf '%6d lines of code are trusted in %s\n\n' "$total" "$what"
    [ "$total" -le "$limit" ] || problems="$problems
memnodes/node/run.c:1: $total lines of code are trusted in $what; the limit is $limit"
}

for map in "${2:?$usage}" "${3:?$usage}"; do
    [ -f "$map" ] || skip "no link map at $map: build the targets tacit_memnode_probe and ..._permissions first"
done
count "$2" $byzantine_limit "a Byzantine group's memory node"
count "$3" $both_limit 'a memory node with the permission server of crash mode'
conclude "$problems" "$looked"
