#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs into a folder of its own and, with nothing but that, compiles and runs a program against
# the shared and the static library through pkg-config, and builds the example, as a user would.
# (tests/e2e/example_test.c runs the example.)
#
#     install.sh BUILD_DIR EXAMPLE_DIR
set -eu
build=${1:?usage: $0 BUILD_DIR EXAMPLE_DIR}
example=${2:?usage: $0 BUILD_DIR EXAMPLE_DIR}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

pc=$(find "$work/prefix" -name tacit.pc)
[ -n "$pc" ] || { echo 'tacit.pc was not installed'; exit 1; }
# The file names the prefix of the build; here it is another one.
PKG_CONFIG_PATH=${pc%/*}
export PKG_CONFIG_PATH
library_folder=${pc%/pkgconfig/tacit.pc}
{
    find "$work/prefix/include" -name '*.h' | sed 's|^.*/include/\(.*\)$|#include <\1>|'
    cat <<'END'
#include <stdio.h>
int main(void)
{
    struct tacit_error error;
    (void)tacit_error_set(&error, TACIT_EINVAL, 0, "%d", 7);
    return puts(tacit_status_name(error.status)) == EOF;
}
END
} >"$work/user.c"

use() { # NAME PKG-CONFIG-OPTIONS LINKER-OPTIONS
    # shellcheck disable=SC2086,SC2046  # lists of options
    gcc -std=c17 -Wall -Wextra -Werror $(pkg-config --define-variable=prefix="$work/prefix" --cflags tacit) \
        "$work/user.c" -o "$work/$1" $3 \
        $(pkg-config --define-variable=prefix="$work/prefix" $2 --libs tacit) >"$work/log" 2>&1 ||
        { echo "a program does not build against the installed $1 library:"; cat "$work/log"; exit 1; }
    said=$(LD_LIBRARY_PATH=$library_folder "$work/$1")
    [ "$said" = TACIT_EINVAL ] || { echo "the program with the $1 library said \"$said\""; exit 1; }
}
use shared '' ''

example_with() { # KIND PKG-CONFIG-OPTIONS
    mkdir "$work/example-$1"
    make -C "$work/example-$1" -f "$example/Makefile" \
        PKG_CONFIG="pkg-config --define-variable=prefix=$work/prefix $2" >"$work/log" 2>&1 ||
        { echo "the example does not build against the installed $1 library:"; cat "$work/log"; exit 1; }
    # Runs, finds no node file, and says so.
    status=0
    LD_LIBRARY_PATH=$library_folder "$work/example-$1/counter_client" "$work/none.yaml" get \
        >"$work/log" 2>&1 || status=$?
    if [ "$status" != 1 ] || ! grep -q none.yaml "$work/log"; then
        echo "the example's client ended with $status and said:"
        cat "$work/log"
        exit 1
    fi
    nm -D --defined-only "$work/example-$1/counter.so" | grep -q ' tacit_app$' ||
        { echo 'the example exports no tacit_app'; exit 1; }
}
for file in "$example"/*.c; do
    lines=$(grep -c '' "$file")
    [ "$lines" -lt 100 ] || { echo "$file has $lines lines, an example has less than 100"; exit 1; }
done
command -v make >/dev/null 2>&1 || { echo 'skipped: make is not installed (package make)'; exit 77; }
example_with shared ''
# The static library only: without the shared one beside it the linker has no other.
rm -f "$library_folder"/libtacit.so*
use static --static ''
example_with static --static
echo "ok: $(find "$work/prefix" -type f | wc -l) files installed, usable shared and static"
