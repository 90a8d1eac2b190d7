#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# No file names a folder of the machine that it was written on. (The brackets keep this file from
# finding itself.)
. "$(dirname "$0")/common.sh"

list=$(files)
# shellcheck disable=SC2086  # our own file names have no spaces
problems=$(grep -nIE '(^|[^A-Za-z0-9_.<>{}*-])/([w]ork|[r]oot|[h]ome)(/|[^A-Za-z0-9_/-]|$)' $list /dev/null |
    cut -c 1-200 | sed 's/$/   <- a path of one machine/' || :)
conclude "$problems" "$(printf '%s' "$list" | grep -c .)"
