#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# clang-format, pinned to version 14 because every version formats a little differently.
. "$(dirname "$0")/common.sh"

tool=
for candidate in clang-format-14 clang-format; do
    case $("$candidate" --version 2>/dev/null) in
    *'version 14.'*)
        tool=$candidate
        break
        ;;
    esac
done
[ -n "$tool" ] || skip 'clang-format 14 is not installed (package clang-format-14)'

list=$(files '*.c' '*.h')
# shellcheck disable=SC2086  # our own file names have no spaces
problems=$("$tool" --dry-run -Werror --style=file $list 2>&1 </dev/null | grep -F ': error:' |
    awk -F: '!($1 in first) { first[$1] = $2; order[++n] = $1 } { count[$1]++ }
        END { for (i = 1; i <= n; i++) { f = order[i]
            printf "%s:%s: not formatted here and in %d places after it\n", f, first[f], count[f] - 1 } }' || :)
[ -z "$problems" ] || problems="$problems
repair with: $tool -i FILE"
conclude "$problems" "$(printf '%s' "$list" | grep -c .)"
