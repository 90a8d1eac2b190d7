#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Holds a protocol library to what it may call: every undefined symbol of ARCHIVE is either on the
# allow-list or defined by one of the libraries that its folder may use. malloc, clock_gettime, printf,
# getenv, pthread_*, ibv_* and the like are not, on purpose: the protocols get time, memory and
# transport from outside, which is what lets the simulator own them. Also: every global name of ours
# starts with tacit_.
#
#     symbols.sh ALLOW_LIST ARCHIVE [PROVIDER_ARCHIVE]...
set -eu
LC_ALL=C
export LC_ALL
list=${1:?usage: $0 ALLOW_LIST ARCHIVE [PROVIDER]...}
archive=${2:?usage: $0 ALLOW_LIST ARCHIVE [PROVIDER]...}
shift
[ -f "$archive" ] || { echo "$archive: no such library"; exit 1; }

patterns=$(sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$list")
allowed() {
    set -f
    for pattern in $patterns; do
        # shellcheck disable=SC2254  # it is a pattern
        case $1 in $pattern) set +f; return 0 ;; esac
    done
    set +f
    return 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nm -g --defined-only -P "$@" | awk 'NF >= 2 && $2 ~ /^[A-Za-z]$/ { print $1 }' | sort -u >"$work/defined"
[ -s "$work/defined" ] || { echo "$archive defines nothing: nothing was checked"; exit 1; }
# Lines of nm -A: archive[object]: symbol U; printed as "symbol object".
nm -A -u -P "$archive" | sed -E 's/^.*\[([^]]*)\]: ([^ ]+) .*$/\2 \1/' | sort -u >"$work/undefined"

problems=$(
    join -v 1 "$work/undefined" "$work/defined" | while read -r symbol object; do
        allowed "$symbol" ||
            echo "${archive##*/}($object) calls $symbol: protocol code may not. What it needs from outside comes through a port; allowed are the libraries of lower layers and ${list##*/}"
    done
    nm -g --defined-only -P "$archive" | awk 'NF >= 2 && $2 ~ /^[A-Za-z]$/ { print $1 }' |
        grep -vE '^(tacit_|_)' | sed "s|^|${archive##*/} defines a global name without tacit_: |" || :
)
if [ -n "$problems" ]; then
    printf '%s\n' "$problems"
    exit 1
fi
echo "ok: $(cut -d ' ' -f 1 "$work/undefined" | sort -u | grep -c .) undefined symbols, all allowed"
