#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Who may include whom. crypto: only the plain types; core: crypto; fd: core; memnodes: core and
# crypto; bench: only the installed headers; apps and tests: anything. Another folder's headers are
# reachable only through its include/tacit, private ones stay private. core and fd own no thread,
# clock, file or heap, so the system headers that they may include are listed here.
. "$(dirname "$0")/common.sh"

# shellcheck disable=SC2034  # read through eval below
{
    crypto_may='core/include/tacit/types.h'
    core_may='crypto/include/*'
    fd_may='core/include/*'
    memnodes_may='core/include/* crypto/include/*'
    bench_may='*/include/tacit/app.h */include/tacit/client.h */include/tacit/membership.h */include/tacit/replica.h
        */include/tacit/status.h */include/tacit/types.h'
    examples_may=$bench_may
}
pure_headers=' assert.h inttypes.h limits.h stdalign.h stdbool.h stddef.h stdint.h string.h
    sys/sdt.h xxhash.h '
# Files of core that may use the C library: the list in its CMakeLists.txt.
hosted=" $(sed -n 's/^set(base_sources \(.*\))$/\1/p' core/CMakeLists.txt 2>/dev/null || :) "

# Prints the project file that FILE of FOLDER means by INCLUDE; nothing for a system header. Tests may reach
# into any folder, so theirs are looked for in all.
resolve() {
    inner=
    if [ "$2" = tests ]; then
        inner="core/$3 memnodes/$3 fd/$3 crypto/$3 apps/$3 tests/choice/$3 tests/checkers/$3 tests/adversary/$3 tests/sim/$3
            tests/conformance/$3 tests/support/$3"
    fi
    # shellcheck disable=SC2086  # a list
    for candidate in "${1%/*}/$3" "$3" "$2/$3" "$2/include/$3" crypto/include/"$3" \
        core/include/"$3" fd/include/"$3" memnodes/include/"$3" apps/include/"$3" $inner; do
        if [ -f "$candidate" ]; then
            case $candidate in
            */../* | */./*) realpath -m --relative-to=. "$candidate" ;;
            *) printf '%s\n' "$candidate" ;;
            esac
            return
        fi
    done
}

check() { # FILE LINE INCLUDE-TEXT
    file=$1 line=$2 folder=${1%%/*} include=${3#?}
    include=${include%[\">]*}
    target=$(resolve "$file" "$folder" "$include")
    if [ -z "$target" ]; then
        case $3 in
        '"'*) echo "$file:$line: \"$include\" is no file of this project; use <> for a system header" ;;
        *)
            case $folder in
            core | fd)
                case $hosted in *" ${file#core/} "*) return ;; esac
                case $pure_headers in
                *[[:space:]]"$include"[[:space:]]*) ;;
                *) echo "$file:$line: <$include>: protocol code may not use it (a port, or a file in base_sources of core/CMakeLists.txt)" ;;
                esac
                ;;
            esac
            ;;
        esac
        return
    fi
    case $folder in
    apps | tests) return ;;
    crypto | core | fd | memnodes | bench | examples) ;;
    *) echo "$file:$line: a folder without a rule: $folder"; return ;;
    esac
    case $target in "$folder"/*) return ;; esac
    may=''
    eval "may=\$${folder}_may"
    set -f
    for pattern in $may; do
        # shellcheck disable=SC2254  # it is a pattern
        case $target in $pattern) set +f; return ;; esac
    done
    set +f
    echo "$file:$line: $folder may not include $target (allowed: $may)"
}

sources=$(files '*.c' '*.h')
# /dev/null: so that grep names the file even if there is only one.
problems=$(
    # shellcheck disable=SC2086  # our own file names have no spaces
    grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]' $sources /dev/null |
        sed -E 's/^([^:]*):([0-9]*):[[:space:]]*#[[:space:]]*include[[:space:]]*/\1 \2 /' |
        while read -r file line include rest; do
            check "$file" "$line" "$include" "$rest"
        done
    # Two public headers of one name: which one is meant would depend on the order of -I.
    printf '%s\n' "$sources" | sed -n 's|^[^/]*/include/||p' | sort | uniq -d |
        sed 's/$/: a public header of this name is in more than one folder/'
)
conclude "$problems" "$(printf '%s' "$sources" | grep -c .)"
