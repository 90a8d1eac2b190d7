#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# ShellCheck over every shell script, whatever its name.
. "$(dirname "$0")/common.sh"
command -v shellcheck >/dev/null 2>&1 || skip 'shellcheck is not installed (package shellcheck)'

list=$(files | while IFS= read -r file; do
    case $file in
    *.sh) printf '%s\n' "$file" ;;
    *.c | *.h | *.md) ;;
    *) head -n 1 "$file" | tr -d '\0' | grep -qE '^#! ?(/usr)?/bin/(env )?(ba|da)?sh' &&
        printf '%s\n' "$file" ;;
    esac
done || :)
# shellcheck disable=SC2086  # our own file names have no spaces
problems=$(shellcheck -x -P SCRIPTDIR -f gcc $list 2>&1 || :)
conclude "$problems" "$(printf '%s' "$list" | grep -c .)"
