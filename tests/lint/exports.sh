#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The shared library exports exactly what the installed headers declare, and lacks nothing of ours.
#
#     exports.sh LIBRARY EXPORT_LIST
set -eu
LC_ALL=C
export LC_ALL
library=${1:?usage: $0 LIBRARY EXPORT_LIST}
list=${2:?usage: $0 LIBRARY EXPORT_LIST}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed '/^$/d' "$list" | sort -u >"$work/declared"
# Sanitizers and gcov add names of their own, all with an underscore in front.
nm -D --defined-only -P "$library" | awk '$2 ~ /^[TDBRVW]$/ { sub(/@.*/, "", $1); print $1 }' |
    grep -v '^_' | sort -u >"$work/exported" || :
[ -s "$work/declared" ] || { echo "$list is empty"; exit 1; }

problems=$(
    comm -23 "$work/declared" "$work/exported" |
        sed "s|\$|: declared in an installed header, but ${library##*/} does not export it (not written yet, or in a library that is no part of it: see LIBTACIT of tacit_library)|"
    comm -13 "$work/declared" "$work/exported" |
        sed "s|\$|: exported by ${library##*/}, but no installed header declares it|"
    nm -D -u -P "$library" | sed -n 's/^\(tacit_[^ @]*\).*/\1/p' |
        sed "s|\$|: ${library##*/} needs it and has it not (say LIBTACIT in the tacit_library call of the part that defines it)|"
)
if [ -n "$problems" ]; then
    printf '%s\n' "$problems"
    exit 1
fi
echo "ok: exports $(grep -c . "$work/exported") functions"
