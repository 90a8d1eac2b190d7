#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# How much of our code a memory node's honesty rests on: lines with code (no blanks, no comments) of
# exactly the source files that the linker took into a program that only runs a memory node, as its map file
# says, and of their private headers. Crypto is a library of its own and not counted; neither are the main()
# and the reading of the cluster file. The aim is about 1,000; the limit below only keeps it from growing.
. "$(dirname "$0")/common.sh"
map=${2:?usage: $0 SOURCE_DIR LINK_MAP}
limit=3100

[ -f "$map" ] || skip "no link map at $map: build the target tacit_memnode_probe first"
members=$(sed -n 's/.*libtacit_\([a-z_]*\)\.a(\([a-z_0-9]*\.c\)\.o).*/\1 \2/p' "$map" | sort -u)
sources=$(printf '%s\n' "$members" | while read -r library file; do
    case $library in
    crypto) continue ;;
    shm_host) echo "memnodes/shm/$file" ;;
    memnodes) echo "memnodes/$file" ;;
    base) echo "core/base/$file" ;;
    core) find core -name "$file" ;;
    *) echo "UNKNOWN/$library/$file" ;;
    esac
done)
headers=$(printf '%s\n' "$sources" | while IFS= read -r file; do
    [ -n "$file" ] || continue
    find "$(dirname "$file")" -maxdepth 1 -name '*.h' | while IFS= read -r header; do
        # shellcheck disable=SC2086  # our own file names have no spaces
        ! grep -q "^#include \"\(.*/\)\{0,1\}$(basename "$header")\"" $sources || echo "$header"
    done
done | sort -u)

# Comments in our files are `//` to the end of the line, outside strings that contain one.
total=0
problems=
for file in $sources $headers; do
    [ -f "$file" ] || { problems="$problems
$file: linked into a memory node, but this test does not know where it is"; continue; }
    lines=$(sed -e 's|^[[:space:]]*//.*||' -e '/^[[:space:]]*$/d' "$file" | wc -l)
    printf '%6d %s\n' "$lines" "$file"
    total=$((total + lines))
done
printf '%6d lines of code are trusted in a memory node\n' "$total"
[ "$total" -le "$limit" ] || problems="$problems
memnodes/host.c:1: $total lines of code are trusted in a memory node; the limit is $limit"
conclude "$problems" "$(printf '%s\n' "$sources" | grep -c .)"
