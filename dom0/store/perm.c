/* SPDX-License-Identifier: MIT */
/* Permissions: the owner and domain 0 may do everything, others what the list says. */

#include "dom0/store/core.h"

unsigned store_perm_of(const struct store_node *n, domid_t domid)
{
    if (domid == 0 || n->perms[0].domid == domid) {
        return STORE_BOTH;
    }
    for (unsigned i = 1; i < n->nperms; i++) {
        if (n->perms[i].domid == domid) {
            return n->perms[i].access;
        }
    }
    return n->perms[0].access;
}

bool store_perm_parse(const char *text, struct store_perm *perm)
{
    switch (text[0]) {
    case 'n':
        perm->access = STORE_NONE;
        break;
    case 'r':
        perm->access = STORE_READ;
        break;
    case 'w':
        perm->access = STORE_WRITE;
        break;
    case 'b':
        perm->access = STORE_BOTH;
        break;
    default:
        return false;
    }
    return store_parse_domid(text + 1, &perm->domid);
}

char store_perm_letter(unsigned access)
{
    return "nrwb"[access & STORE_BOTH];
}
