#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every public header compiles alone, twice in one file, as C17 and as C++17.
. "$(dirname "$0")/common.sh"

set --
for folder in crypto core fd memnodes apps; do
    [ ! -d "$folder/include" ] || set -- "$@" "-I$folder/include"
done
cxx=
for candidate in g++ clang++; do
    if command -v "$candidate" >/dev/null 2>&1; then
        cxx=$candidate
        break
    fi
done

list=$(files '*/include/tacit/*.h')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
problems=$(printf '%s\n' "$list" | while IFS= read -r file; do
    [ -n "$file" ] || continue
    name=${file#*/include/}
    printf '#include <%s>\n#include <%s>\n' "$name" "$name" >"$work/alone.c"
    cp "$work/alone.c" "$work/alone.cc"
    gcc -std=c17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only "$@" "$work/alone.c" \
        >"$work/log" 2>&1 || { echo "$file: does not compile alone as C17:"; head -n 6 "$work/log"; }
    [ -n "$cxx" ] || continue
    "$cxx" -std=c++17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only "$@" "$work/alone.cc" \
        >"$work/log" 2>&1 || { echo "$file: does not compile alone as C++17:"; head -n 6 "$work/log"; }
done)
if [ -z "$problems" ] && [ -z "$cxx" ]; then
    skip 'compiles as C17; for C++17 there is no g++ (package g++)'
fi
conclude "$problems" "$(printf '%s' "$list" | grep -c .)"
