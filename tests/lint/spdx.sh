#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The licence line, in the first three lines (a script starts with #!) of every text file that has
# comments. Not asked of prose, of formats without comments, and of test inputs and results.
. "$(dirname "$0")/common.sh"

list=$(files | grep -vE '(^|/)LICENSE$|\.(md|json|txt|svg|csv|tsv|bin|seed|trace|pem|pub|key)$|(^|/)(corpus|results|golden|data)/' || :)
problems=$(printf '%s\n' "$list" | while IFS= read -r file; do
    [ -s "$file" ] || continue            # empty
    grep -qI . "$file" || continue        # binary
    head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2\.0' ||
        echo "$file:1: no line \"SPDX-License-Identifier: Apache-2.0\" in the first three"
done)
conclude "$problems" "$(printf '%s' "$list" | grep -c .)"
