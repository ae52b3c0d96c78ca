#!/bin/sh
# SPDX-License-Identifier: MIT
# Assembly with the table of functions for panic.c, from `nm -n` of the linked image on standard input; from nothing: an empty
# table for the first link.
set -eu
awk '
    $2 ~ /^[tT]$/ && $1 != last {
        if ($3 == "text_end") end = $1
        else { address[n] = $1; name[n++] = $3 }
        last = $1
    }
    END {
        if (n) { address[n] = end; name[n++] = "" }
        print "\t.section .symbols, \"a\"\n\t.balign 8\n\t.globl symbol_table, symbol_count"
        print "symbol_count:\t.quad " n + 0 "\nsymbol_table:"
        for (i = 0; i < n; i++) {
            printf "\t.quad 0x%s, 1f + %d\n", address[i], at
            at += length(name[i]) + 1
        }
        print "1:"
        for (i = 0; i < n; i++) printf "\t.asciz \"%s\"\n", name[i]
        print "\t.section .note.GNU-stack, \"\", @progbits"
    }
'
