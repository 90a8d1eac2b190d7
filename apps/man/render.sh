#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes a manual page of its source. The line @keys@ becomes what `tacit check --keys` prints, so that
# the page cannot differ from the program.
#
#     render.sh SCDOC TACIT SOURCE OUTPUT
set -eu
if grep -q '^@keys@$' "$3"; then
    "$2" check --keys | fold -s -w 100 >"$4.keys"
    sed -e "/^@keys@\$/{" -e "r $4.keys" -e 'd' -e '}' "$3" | "$1" >"$4.new"
    rm -f "$4.keys"
else
    "$1" <"$3" >"$4.new"
fi
mv "$4.new" "$4"
