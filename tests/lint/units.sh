#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The systemd units: systemd finds nothing to complain about, knows every setting, and counts them as
# well confined.
#
#     units.sh UNITS_DIR PROGRAMS_DIR
set -eu
units=${1:?usage: $0 UNITS_DIR PROGRAMS_DIR}
programs=${2:?usage: $0 UNITS_DIR PROGRAMS_DIR}
highest=25 # exposure in tenths, of 100
if ! command -v systemd-analyze >/dev/null 2>&1; then
    echo 'skipped: systemd-analyze is not here (package systemd)'
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
for program in replica memnode; do
    template=tacit-$program@.service
    [ -f "$units/$template" ] || { echo "$units/$template is missing"; exit 1; }
    # What verify wants to find is the program of the build, not an installed one.
    sed "s|^ExecStart=[^ ]*/|ExecStart=$programs/|" "$units/$template" >"$work/$template"
    unit=$work/tacit-$program@0.service
    cp "$work/$template" "$unit"
    # Only what it says of ours: a machine's own units may be broken.
    if ! systemd-analyze verify --man=no "$unit" >"$work/said" 2>&1 ||
        grep -q "tacit-$program" "$work/said"; then
        echo "systemd-analyze verify complains about $template:"
        cat "$work/said"
        failed=1
    fi
    if ! systemd-analyze security --offline=yes --threshold="$highest" "$unit" >"$work/said" 2>&1; then
        echo "$template leaves more open than $highest tenths:"
        tail -n 3 "$work/said"
        failed=1
    fi
done
exit "$failed"
