#!/bin/sh
# SPDX-License-Identifier: MIT
# Checks of the source without running it: format, each header by itself, sizes, cppcheck, clang-tidy. All of them run; the status
# says whether all were content.  tests/lint.sh [CHECK...]: format headers sizes cppcheck tidy
set -u

hv_folders="arch/x86 hv hv/lib mm sched io"
guest_folders="guests dom0"
common="-std=gnu11 -ffreestanding -D__XEN_INTERFACE_VERSION__=0x00040e00 -D__XEN_TOOLS__ -I."
hv_flags="$common -mgeneral-regs-only -mno-red-zone -DCONFIG_DEBUG=0 -include hv/hidden.h"
guest_flags="$common -mgeneral-regs-only -mno-red-zone -Iguests"
failed=0
jobs=$(nproc)

fail()
{
    echo "lint: $*" >&2
    failed=1
}

# Files of the tree with one of the endings, also those that are not committed yet.
sources() # PATTERN...
{
    git ls-files --cached --others --exclude-standard -- "$@" | sort -u | while read -r file; do
        [ ! -f "$file" ] || echo "$file"
    done
}

wanted()
{
    [ -z "$checks" ] || case " $checks " in *" $1 "*) ;; *) return 1 ;; esac
    command -v "${2:-sh}" > /dev/null || {
        fail "$2 is not installed"
        return 1
    }
    echo "lint: $1"
}

check_format()
{
    sources '*.c' '*.h' | xargs -P "$jobs" -n 64 clang-format --dry-run -Werror || fail "run clang-format -i on these files"
}

# Each header compiles as the first one of a file.
headers_alone() # FLAGS PATTERN...
{
    flags=$1
    shift
    sources "$@" | xargs -P "$jobs" -n 8 sh -c 'for header; do
            echo "#include \"$header\"" | '"${CROSS_COMPILE:-}gcc $flags"' -Wall -Wextra -Werror -fsyntax-only -x c - ||
                { echo "lint: $header does not compile alone" >&2; false; } || failed=1
        done; exit ${failed:-0}' headers || fail "headers that do not compile alone"
}

check_headers()
{
    headers_alone "$hv_flags" 'arch/*.h' 'hv/*.h' 'mm/*.h' 'sched/*.h' 'io/*.h'
    headers_alone "$guest_flags" 'guests/*.h' 'dom0/*.h'
    headers_alone "$common -Iguests" 'tests/*.h'
}

check_sizes()
{
    sources '*.c' '*.h' '*.S' | xargs python3 tests/sizes.py || fail "sizes: split by idea (docs/ has the rules)"
}

check_cppcheck()
{
    for set in hv guest; do
        if [ $set = hv ]; then
            flags="-DCONFIG_DEBUG=0" folders=$hv_folders
        else
            flags="-Iguests" folders=$guest_folders
        fi
        cppcheck --quiet --error-exitcode=1 --std=c11 --platform=unix64 --enable=warning,portability \
            --inline-suppr --suppressions-list=tests/cppcheck.txt -j "$jobs" -I. $flags $folders || fail "cppcheck ($set)"
    done
}

# A third of the analyzer's own limit of states for each function: it halves the time, and every basic block that was reached still is (by
# the checker debug.Stats, in 30 of the files).
analyzer="-Xclang -analyzer-config -Xclang max-nodes=75000"

check_tidy()
{
    sources 'arch/*.c' 'hv/*.c' 'mm/*.c' 'sched/*.c' 'io/*.c' |
        xargs -P "$jobs" -n 4 sh -c 'clang-tidy --quiet "$@" -- '"$hv_flags -fpie $analyzer"' 2> /dev/null' tidy || fail "clang-tidy (hypervisor)"
    sources 'guests/*.c' 'dom0/*.c' |
        xargs -P "$jobs" -n 4 sh -c 'clang-tidy --quiet "$@" -- '"$guest_flags $analyzer"' 2> /dev/null' tidy || fail "clang-tidy (guests, dom0)"
}

checks=$*
cd "$(dirname "$0")/.." || exit 1
# Guests may keep headers of their own beside their files.
for folder in guests/*/ guests/*/*/; do
    guest_flags="$guest_flags -iquote $folder"
done
wanted format clang-format && check_format
wanted headers && check_headers
wanted sizes python3 && check_sizes
wanted cppcheck cppcheck && check_cppcheck
wanted tidy clang-tidy && check_tidy
exit $failed
