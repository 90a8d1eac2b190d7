# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
#
# What the lints share. Each is called with the source folder as its first argument and ends with
# `conclude PROBLEMS COUNT`: status 0 without problems, 1 with them, 77 when it cannot run here.
set -eu
LC_ALL=C
export LC_ALL
root=$(cd "${1:?usage: $0 SOURCE_DIR}" && pwd -P)
cd "$root"

# files [PATHSPEC]...: the project's files, one a line: what git tracks or would track. Outside a git
# checkout (an unpacked tarball): everything but the build folder.
files() {
    if [ "$(git -c safe.directory='*' rev-parse --show-toplevel 2>/dev/null)" = "$root" ]; then
        git -c safe.directory='*' ls-files --cached --others --exclude-standard -- "$@"
    else
        [ $# -gt 0 ] || set -- '*'
        for pattern; do
            find . \( -path ./build -o -path ./.git \) -prune -o -type f -path "./$pattern" -print
        done | sed 's|^\./||'
    fi | sort -u | while IFS= read -r file; do
        if [ -f "$file" ]; then printf '%s\n' "$file"; fi
    done
}

skip() {
    echo "skipped: $*"
    exit 77
}

# A lint that looked at nothing has not passed.
conclude() {
    if [ -n "$1" ]; then
        printf '%s\n' "$1"
        exit 1
    fi
    [ "$2" -gt 0 ] || { echo 'found nothing to look at'; exit 1; }
    echo "ok: looked at $2"
}
