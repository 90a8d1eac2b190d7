#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# rdma-core is where the fabric is used and nowhere else: of what was built, only programs that open a
# fabric by the cluster file need its libraries. And the project configures and compiles without it
# (TACIT_VERBS=OFF), says so, and the file in which both fabrics meet refuses `fabric: verbs` with a sentence.
#
#     verbs.sh SOURCE_DIR BUILD_DIR
set -eu
LC_ALL=C
export LC_ALL
source=$(cd "${1:?usage: $0 SOURCE_DIR BUILD_DIR}" && pwd -P)
build=$(cd "${2:?usage: $0 SOURCE_DIR BUILD_DIR}" && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

needs() { # FILE
    readelf -d "$1" 2>/dev/null | grep -qE 'NEEDED.*(libibverbs|librdmacm)'
}

# ---- who needs the libraries -------------------------------------------------------------------------
find "$build" \( -path '*/CMakeFiles' -o -path '*/_deps' \) -prune -o -type f \( -perm -u+x -o -name '*.so*' \) -print |
    sed "s|^$build/||" | sort >"$work/programs"
while IFS= read -r program; do
    needs "$build/$program" || continue
    case $program in
    apps/tacit | apps/tacit-replica | apps/tacit-memnode | apps/tacit-gateway | libtacit.so*) ;;
    apps/tacit-attacker | apps/tacit-lying-client | tests/e2e/e2e_* | tests/unit/cli_* | tests/rdma/*_verbs) ;;
    tests/unit/standby_test) ;;
    *) printf '%s needs libibverbs or librdmacm, and opens no fabric\n' "$program" ;;
    esac
done <"$work/programs" >"$work/problems"
if [ -s "$work/problems" ]; then
    cat "$work/problems"
    exit 1
fi

# ---- without them ------------------------------------------------------------------------------------
cmake -S "$source" -B "$work/off" -G Ninja -DTACIT_VERBS=OFF -DBUILD_TESTING=OFF >"$work/log" 2>&1 ||
    { tail -n 20 "$work/log"; exit 1; }
grep -q 'RDMA.*left out, as TACIT_VERBS is OFF' "$work/log" ||
    { echo 'cmake does not say that RDMA is left out'; exit 1; }
for object in apps/client/CMakeFiles/tacit_client.dir/provider.c.o apps/cli/CMakeFiles/tacit_cli.dir/rdma_cmd.c.o; do
    ninja -C "$work/off" "$object" >"$work/log" 2>&1 || { tail -n 20 "$work/log"; exit 1; }
    if nm -u "$work/off/$object" | grep -E ' (ibv|rdma|tacit_verbs)_'; then
        echo "$object calls the RDMA provider in a build without it"
        exit 1
    fi
    grep -q 'DTACIT_VERBS=ON' "$work/off/$object" ||
        { echo "$object does not say how to build with RDMA"; exit 1; }
done
[ -s "$work/programs" ] || { echo 'found nothing to look at'; exit 1; }
echo "ok: $(wc -l <"$work/programs") programs, rdma-core needed by the right ones"
