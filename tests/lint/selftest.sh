#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A lint that cannot fail is a defect: each is run over a small tree that keeps the rules (must pass), and
# then over that tree with one mistake in it (must fail, and say which).
. "$(dirname "$0")/common.sh"
lints=$root/tests/lint
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
ran=0
skipped=''
failures=''

fresh() { # the good tree, without a git checkout around it
    rm -rf "$tree"
    mkdir -p "$tree/core/include/tacit" "$tree/crypto/include/tacit" "$tree/fd" "$tree/memnodes" \
        "$tree/bench" "$tree/build"
    cp "$root/.clang-format" "$root/.clang-tidy" "$tree/"
    printf '# SPDX-License-Identifier: Apache-2.0\nset(base_sources base/print.c)\n' >"$tree/core/CMakeLists.txt"
    header core/include/tacit/types.h 'typedef int tacit_number_t;'
    header crypto/include/tacit/digest.h '#include "tacit/types.h"

tacit_number_t tacit_digest(void);'
    header core/private.h 'int tacit_private(void);'
    source_file core/a.c '#include "private.h"
#include "tacit/digest.h"

#include <stdint.h>

int tacit_private(void)
{
    return tacit_digest();
}'
    header memnodes/memory.h '#include "tacit/digest.h"'
    header bench/rig.h '#include "tacit/types.h"'
    # shellcheck disable=SC2016  # for the script
    printf '#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\necho "$1"\n' >"$tree/go"
}

header() { # PATH TEXT
    guard=$(printf '%s' "$1" | tr 'a-z/.' 'A-Z__')
    mkdir -p "$tree/${1%/*}"
    printf '// SPDX-License-Identifier: Apache-2.0\n#ifndef %s\n#define %s\n\n%s\n\n#endif\n' \
        "$guard" "$guard" "$2" >"$tree/$1"
}

source_file() { # PATH TEXT
    mkdir -p "$tree/${1%/*}"
    printf '// SPDX-License-Identifier: Apache-2.0\n%s\n' "$2" >"$tree/$1"
}

# expect NAME STATUS FRAGMENT COMMAND...: the command ends with STATUS and prints FRAGMENT.
expect() {
    name=$1 wanted=$2 fragment=$3
    shift 3
    ran=$((ran + 1))
    status=0
    "$@" >"$work/said" 2>&1 || status=$?
    if [ "$status" = 77 ]; then
        skipped="$skipped $name"
    elif [ "$status" != "$wanted" ] || ! grep -qF -e "$fragment" "$work/said"; then
        failures="$failures
$name: status $status (expected $wanted), expected \"$fragment\", said:
$(cat "$work/said")"
    fi
}
good() { expect "$1, good tree" 0 'ok: looked at' "$lints/$1.sh" "$tree"; }
bad() { expect "$1, bad tree" 1 "$2" "$lints/$1.sh" "$tree"; }

# ---- over the text -----------------------------------------------------------------------------------
fresh
for lint in layers spdx format headers scripts sizes paths; do good "$lint"; done

header core/upward.h '#include "../memnodes/memory.h"'
bad layers 'core/upward.h:5: core may not include memnodes/memory.h'
fresh
header fd/skip.h '#include "tacit/digest.h"'
bad layers 'fd may not include crypto/include/tacit/digest.h'
fresh
header memnodes/reach.h '#include "core/private.h"'
bad layers 'memnodes may not include core/private.h'
fresh
header bench/inside.h '#include <tacit/digest.h>'
bad layers 'bench may not include crypto/include/tacit/digest.h'
fresh
header crypto/up.h '#include "../core/private.h"'
bad layers 'crypto may not include core/private.h'
fresh
source_file core/clock.c '#  include <time.h>'
bad layers 'core/clock.c:2: <time.h>: protocol code may not use it'
fresh
source_file core/base/print.c '#include <stdio.h>'
good layers
source_file core/nowhere.c '#include "nowhere.h"'
bad layers 'is no file of this project'
fresh
header fd/include/tacit/types.h 'int x;'
bad layers 'in more than one folder'

fresh
echo 'int x;' >"$tree/core/bare.c"
bad spdx 'core/bare.c:1: no line'
fresh
printf '#!/bin/sh\n\n\n\n# SPDX-License-Identifier: Apache-2.0\n' >"$tree/late"
bad spdx 'late:1: no line'

fresh
source_file core/ugly.c 'int  x ;'
bad format 'core/ugly.c:2'

fresh
header core/include/tacit/needs.h 'uint32_t tacit_needs(void);'
bad headers 'needs.h: does not compile alone as C17'
fresh
header core/include/tacit/only_c.h 'int tacit_class(int class);'
bad headers 'only_c.h: does not compile alone as C++17'
fresh
source_file core/include/tacit/twice.h 'struct tacit_twice {
    int x;
};'
bad headers 'twice.h: does not compile alone'
fresh
header core/include/tacit/names.h 'enum tacit_names {
    TACIT_NAMES_ONE = 0, // first, OTHERS
    OTHER_NAME,
};'
bad headers 'names.h: not named TACIT_: OTHER_NAME'
fresh
header core/include/tacit/macro.h '#define MOST(a, b) ((a) > (b) ? (a) : (b))'
bad headers 'macro.h: not named TACIT_: MOST'
fresh
header core/inner/private.h 'enum { INNER = 1 };'
bad headers 'core/inner/private.h: not named TACIT_: INNER'
fresh
source_file core/names.c 'enum { INNER = 1 };'
header apps/cli/program.h '#define PROGRAM 1'
good headers

fresh
# shellcheck disable=SC2016  # the mistake is in the text
printf '#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\nrm $1\n' >"$tree/go"
bad scripts 'go:3'

fresh
{
    echo '// SPDX-License-Identifier: Apache-2.0'
    yes '// a line' | head -n 900
} >"$tree/core/long.c"
bad sizes 'core/long.c:900: 901 lines'
fresh
{
    printf '// SPDX-License-Identifier: Apache-2.0\nint tacit_long(int x)\n{\n'
    yes '    x++;' | head -n 101
    printf '    return x;\n}\n'
} >"$tree/core/function.c"
expect 'sizes, long function' 0 'core/function.c:3: 102 lines: int tacit_long' "$lints/sizes.sh" "$tree"

for folder in work root home; do
    fresh
    printf 'see %s/%s/notes for more\n' '' "$folder" >"$tree/notes.md"
    bad paths 'notes.md:1'
done
fresh
echo 'the network, net/work.c and /homeland are fine' >"$tree/notes.md"
good paths

# An empty tree has not passed; neither does git hide a new file.
rm -rf "$tree"
mkdir "$tree"
for lint in layers spdx format headers sizes; do
    expect "$lint, nothing there" 1 'found nothing to look at' "$lints/$lint.sh" "$tree"
done
if command -v git >/dev/null 2>&1; then
    fresh
    git -C "$tree" init -q
    printf '/build/\n' >"$tree/.git/info/exclude"
    echo 'int x;' >"$tree/build/ignored.c"
    good spdx
    echo 'int x;' >"$tree/core/bare.c"
    bad spdx 'core/bare.c:1'
fi

# ---- over what was built -----------------------------------------------------------------------------
object() { # NAME TEXT: $work/NAME.a
    printf '%s\n' "$2" >"$work/$1.c"
    gcc -std=c17 -O1 -fPIC -c "$work/$1.c" -o "$work/$1.o"
    rm -f "$work/$1.a"
    ar rcs "$work/$1.a" "$work/$1.o"
}
symbols() { # NAME STATUS FRAGMENT TEXT [PROVIDER]
    object "$1" "$4"
    expect "symbols, $1" "$2" "$3" "$lints/symbols.sh" "$lints/symbols.allow" "$work/$1.a" ${5:+"$work/$5.a"}
}
object provider 'int tacit_digest(int x) { return x; }'
symbols pure 0 'ok:' '#include <string.h>
int tacit_digest(int x);
int tacit_pure(char *a, const char *b, int n) { memcpy(a, b, (size_t)n); return tacit_digest(n); }' provider
symbols upward 1 'calls tacit_digest' 'int tacit_digest(int x);
int tacit_upward(void) { return tacit_digest(1); }'
symbols heap 1 'calls malloc' '#include <stdlib.h>
void *tacit_heap(void) { return malloc(7); }'
symbols clock 1 'calls clock_gettime' 'int clock_gettime(int, void *); int tacit_clock(void *t) { return clock_gettime(0, t); }'
symbols output 1 'calls ' '#include <stdio.h>
void tacit_output(int x) { printf("%d", x); }'
symbols thread 1 'calls pthread_self' 'unsigned long pthread_self(void); unsigned long tacit_thread(void) { return pthread_self(); }'
symbols environment 1 'calls getenv' '#include <stdlib.h>
char *tacit_environment(void) { return getenv("X"); }'
symbols verbs 1 'calls ibv_reg_mr' 'int ibv_reg_mr(void); int tacit_verbs(void) { return ibv_reg_mr(); }'
symbols name 1 "defines a global name without tacit_: helper" 'int helper(void) { return 1; }'
symbols empty 1 'nothing was checked' 'static int x __attribute__((unused));'

exports() { # NAME STATUS FRAGMENT TEXT
    printf '%s\n' "$4" >"$work/$1.c"
    printf 'tacit_a\ntacit_b\n' >"$work/list"
    gcc -shared -fPIC "$work/$1.c" -o "$work/$1.so"
    expect "exports, $1" "$2" "$3" "$lints/exports.sh" "$work/$1.so" "$work/list"
}
exports both 0 'ok: exports 2' 'int tacit_a(void) { return 1; } int tacit_b(void) { return 2; }'
exports fewer 1 'tacit_b: declared' 'int tacit_a(void) { return 1; }'
exports more 1 'tacit_c: exported' 'int tacit_a(void) { return 1; } int tacit_b(void) { return 2; } int tacit_c;'
exports lacking 1 'tacit_d: lacking.so needs it' 'int tacit_d(void); int tacit_a(void) { return tacit_d(); } int tacit_b(void) { return 2; }'

# ---- rdma-core ---------------------------------------------------------------------------------------
# A project that can be configured without RDMA, and what was built of it with it: programs that need a
# library of that name, which nobody has to have.
verbs_tree() {
    fresh
    mkdir -p "$tree/apps/client" "$tree/apps/cli" "$work/built/apps" "$work/built/tests"
    # shellcheck disable=SC2016  # for cmake
    printf 'cmake_minimum_required(VERSION 3.20)\nproject(x C)\nmessage(STATUS "%s")\nadd_subdirectory(apps/client)\nadd_subdirectory(apps/cli)\n' \
        'RDMA: left out, as TACIT_VERBS is ${TACIT_VERBS}' >"$tree/CMakeLists.txt"
    echo 'add_library(tacit_client STATIC provider.c)' >"$tree/apps/client/CMakeLists.txt"
    echo 'add_library(tacit_cli STATIC rdma_cmd.c)' >"$tree/apps/cli/CMakeLists.txt"
    for file in client/provider.c cli/rdma_cmd.c; do
        echo 'const char *tacit_says(void); const char *tacit_says(void) { return "-DTACIT_VERBS=ON"; }' >"$tree/apps/$file"
    done
    echo 'int ibv_open(void); int ibv_open(void) { return 1; }' >"$work/ibv.c"
    gcc -shared -fPIC "$work/ibv.c" -Wl,-soname,libibverbs.so.1 -o "$work/libibverbs.so"
    echo 'int ibv_open(void); int main(void) { return ibv_open(); }' >"$work/main.c"
    gcc "$work/main.c" "$work/libibverbs.so" -o "$work/built/apps/tacit"
    echo 'int main(void) { return 0; }' >"$work/main.c"
    gcc "$work/main.c" -o "$work/built/apps/other"
}
verbs() { # NAME STATUS FRAGMENT
    expect "verbs, $1" "$2" "$3" "$lints/verbs.sh" "$tree" "$work/built"
}
verbs_tree
verbs good 0 'ok: 2 programs'
cp "$work/built/apps/tacit" "$work/built/tests/wire_test"
verbs everywhere 1 'tests/wire_test needs libibverbs or librdmacm, and opens no fabric'
rm "$work/built/tests/wire_test"
sed -i 's/left out/there/' "$tree/CMakeLists.txt"
verbs silent 1 'cmake does not say that RDMA is left out'
verbs_tree
echo 'int ibv_open(void); int tacit_opens(void); int tacit_opens(void) { return ibv_open(); }' >>"$tree/apps/client/provider.c"
verbs calls 1 'provider.c.o calls the RDMA provider in a build without it'
verbs_tree
echo 'int tacit_nothing;' >"$tree/apps/cli/rdma_cmd.c"
verbs mute 1 'rdma_cmd.c.o does not say how to build with RDMA'
verbs_tree
echo 'int tacit_broken' >"$tree/apps/cli/rdma_cmd.c"
verbs broken 1 'rdma_cmd.c'

# ---- clang -------------------------------------------------------------------------------------------
clang() { # MODE STATUS FRAGMENT TEXT
    fresh
    source_file core/b.c "$4"
    printf '[{"directory": "%s", "file": "%s/core/b.c", "command": "gcc -std=c17 -Wall -Wextra -Wshadow -o b.o -c %s/core/b.c"}]\n' \
        "$tree" "$tree" "$tree" >"$tree/build/compile_commands.json"
    expect "$1, $3" "$2" "$3" python3 "$lints/clang_check.py" "$1" "$tree" "$tree/build"
}
clang warnings 0 'ok: looked at 1 files (0' 'int tacit_x = 1;'
expect 'warnings, remembered' 0 '(1 unchanged' python3 "$lints/clang_check.py" warnings "$tree" "$tree/build"
clang warnings 1 'core/b.c' 'int tacit_b(int x)
{
    int y = 2;
    return x;
}'
clang tidy 0 'ok: looked at 1 files' 'int tacit_x = 1;'
clang tidy 1 'braces-around-statements' 'int tacit_b(int x)
{
    if (x > 1)
        return 2;
    return x;
}'
clang tidy 1 'core.NullDereference' 'int tacit_b(void)
{
    const int *x = 0;
    return *x;
}'

[ -z "$skipped" ] || echo "not installed here, so not tried:$skipped"
conclude "$failures" "$ran"
