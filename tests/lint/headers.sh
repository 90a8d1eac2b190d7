#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every public header compiles alone, twice in one file, as C17 and as C++17. The enum constants and
# macros of a public header, and of any header of a library's folder (core, crypto, fd, memnodes), begin
# with TACIT_, because whoever includes it gets them. Those of a .c file, or of a header that belongs to
# one program (apps/cli) or to tests, meet nobody else's and need no prefix.
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
# Prints the enum constants and macros of a header that are named otherwise. Arguments of macros (the
# rows of an X-macro) are no names.
foreign_names() {
    sed -e 's|//.*||' "$1" | awk '
        /^#[ ]*define[ ]/ { name = $2; sub(/\(.*/, "", name); print name; next }
        /^#/ || /\\$/ { next }
        {
            line = $0
            while (line != "") {
                if (!inside) {
                    if (!match(line, /enum[ a-z0-9_]*[{]/)) { break }
                    line = substr(line, RSTART + RLENGTH)
                    inside = 1
                }
                end = index(line, "}")
                text = end ? substr(line, 1, end - 1) : line
                count = split(text, parts, ",")
                for (i = 1; i <= count; i++) {
                    if (match(parts[i], /^[ ]*[A-Za-z_][A-Za-z0-9_]*/) && !open_value) {
                        name = substr(parts[i], RSTART, RLENGTH)
                        gsub(/ /, "", name)
                        print name
                    }
                    open_value = i < count ? 0 : parts[i] ~ /=[ ]*$/
                }
                if (!end) { break }
                line = substr(line, end + 1)
                inside = open_value = 0
            }
        }' | grep -v -e '^TACIT_' -e '_H$' | sort -u | sed "s|^|$1: not named TACIT_: |"
}

problems=$(printf '%s\n' "$list" | while IFS= read -r file; do
    [ -n "$file" ] || continue
    name=${file#*/include/}
    foreign_names "$file"
    printf '#include <%s>\n#include <%s>\n' "$name" "$name" >"$work/alone.c"
    cp "$work/alone.c" "$work/alone.cc"
    gcc -std=c17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only "$@" "$work/alone.c" \
        >"$work/log" 2>&1 || { echo "$file: does not compile alone as C17:"; head -n 6 "$work/log"; }
    [ -n "$cxx" ] || continue
    "$cxx" -std=c++17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only "$@" "$work/alone.cc" \
        >"$work/log" 2>&1 || { echo "$file: does not compile alone as C++17:"; head -n 6 "$work/log"; }
done)
private=$(files 'core/*.h' 'crypto/*.h' 'fd/*.h' 'memnodes/*.h' | grep -v '/include/tacit/' || :)
named=$(printf '%s\n' "$private" | while IFS= read -r file; do
    [ -z "$file" ] || foreign_names "$file"
done)
problems="$problems${named:+
$named}"
if [ -z "$problems" ] && [ -z "$cxx" ]; then
    skip 'compiles as C17; for C++17 there is no g++ (package g++)'
fi
conclude "$problems" "$(printf '%s' "$list" | grep -c .)"
