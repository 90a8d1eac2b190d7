#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A function fits a screen, a file a sitting. Lists functions over 100 lines and files over 800; fails on
# files over 900. Relies on the format: a function's braces are the ones in the first column.
. "$(dirname "$0")/common.sh"

list=$(files '*.c' '*.h')
# shellcheck disable=SC2086  # our own file names have no spaces
[ -z "$list" ] || awk '
    FNR == 1 { start = 0; head = "" }
    /^[A-Za-z_].*\(/ { head = $0 }
    /^\{/ { start = FNR }
    /^\}/ && start {
        if (FNR - start - 1 > 100) {
            sub(/\(.*/, "", head)
            printf "note: %s:%d: %d lines: %s\n", FILENAME, start, FNR - start - 1, head
        }
        start = 0
    }' $list
problems=$(printf '%s\n' "$list" | while IFS= read -r file; do
    [ -n "$file" ] || continue
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 900 ]; then
        echo "$file:900: $lines lines; 900 is the limit, 800 the aim"
    elif [ "$lines" -gt 800 ]; then
        echo "note: $file has $lines lines (aim: 800)" >&2
    fi
done)
conclude "$problems" "$(printf '%s' "$list" | grep -c .)"
