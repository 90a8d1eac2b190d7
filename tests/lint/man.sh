#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every option that a program's --help names, and every command of `tacit`, is in its manual page; every
# option in a page is one that a program has; groff finds nothing wrong with a page.
#
#     man.sh FOLDER-OF-PROGRAMS FOLDER-OF-PAGES
set -eu
LC_ALL=C
export LC_ALL
programs=${1:?usage: $0 PROGRAMS PAGES}
pages=${2:?usage: $0 PROGRAMS PAGES}
[ -d "$pages" ] || { echo 'skipped: scdoc is not installed (package scdoc)'; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Long options in a text, one a line. argp breaks no option over lines.
options() { grep -oE -e '--[a-z][a-z-]*' | sort -u; }
# A page's text without its macros.
plain() { sed -e '/^\.\\"/d' -e 's/\\f[BIRP]//g' -e 's/\\-/-/g' -e 's/\\&//g' "$1"; }

commands() { "$programs/tacit" help | sed -n 's/^  \([a-z]*\) .*/\1/p'; }

help_of() { # PROGRAM
    case $1 in
    tacit)
        for command in $(commands); do
            case $command in
            bench)
                "$programs/tacit" bench floor --help
                "$programs/tacit" bench latency --help
                "$programs/tacit" bench load --help
                "$programs/tacit" bench peers --help
                "$programs/tacit" bench projected --help
                "$programs/tacit" bench memory --help
                "$programs/tacit" bench failover --help
                "$programs/tacit" bench replace --help
                "$programs/tacit" bench faults --help
                "$programs/tacit" bench timeline --help
                "$programs/tacit" bench reads --help
                "$programs/tacit" bench active --help
                "$programs/tacit" bench report --help
                ;;
            *) "$programs/tacit" "$command" --help ;;
            esac
        done
        ;;
    *) "$programs/$1" --help ;;
    esac
}

count=0
: >"$work/problems"
for program in tacit tacit-replica tacit-memnode tacit-gateway; do
    page=$pages/$program.1
    [ -s "$page" ] || { echo "$program has no page" >>"$work/problems"; continue; }
    help_of "$program" >"$work/help"
    grep -v -e '--help' -e '--usage' "$work/help" | options >"$work/has"
    plain "$page" | sed -e 's/--help//g' -e 's/--usage//g' | options >"$work/says"
    count=$((count + $(grep -c . "$work/has")))
    comm -23 "$work/has" "$work/says" | sed "s/^/$program.1 lacks /" >>"$work/problems"
    comm -13 "$work/has" "$work/says" | sed "s/\$/: $program.1 has it, $program has not/" >>"$work/problems"
done
for command in $(commands); do
    plain "$pages/tacit.1" | grep -q "^\.SS $command\$" || echo "tacit.1 lacks the command $command" >>"$work/problems"
done
[ -s "$pages/cluster.yaml.5" ] || echo 'there is no cluster.yaml.5' >>"$work/problems"
for key in $("$programs/tacit" check --keys | sed -n 's/^ *\([a-z_]*\): .*/\1/p' | sort -u); do
    plain "$pages/cluster.yaml.5" | grep -qE "^ *$key: " || echo "cluster.yaml.5 lacks the key $key" >>"$work/problems"
done
if command -v groff >/dev/null 2>&1; then
    for page in "$pages"/*.[1-8]; do
        groff -man -Tascii -ww "$page" 2>&1 >/dev/null | grep -v 'cannot adjust\|cannot break' >>"$work/problems" || :
    done
fi
if [ -s "$work/problems" ]; then
    cat "$work/problems"
    exit 1
fi
[ "$count" -gt 0 ] || { echo 'found nothing to look at'; exit 1; }
echo "ok: looked at $count options"
