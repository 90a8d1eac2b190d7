#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Scenarios that must not pass: each is refused, or fails, with the words of its line "# error:".
# Usage: bad_scenarios.sh SIM FOLDER
set -u
sim=$1
folder=$2
failed=0
count=0
for file in "$folder"/*.scn; do
    count=$((count + 1))
    words=$(sed -n 's/^# error: //p' "$file")
    if output=$("$sim" --scenario "$file" --seeds 1 --jobs 1 2>&1); then
        echo "$file: passes, although it must not"
        failed=$((failed + 1))
    elif [ -z "$words" ] || ! printf '%s' "$output" | grep -qF -- "$words"; then
        echo "$file: does not say '$words' but: $output"
        failed=$((failed + 1))
    fi
done
echo "bad_scenarios: $count scenarios, $failed not refused as they should be"
[ "$failed" -eq 0 ] && [ "$count" -gt 0 ]
