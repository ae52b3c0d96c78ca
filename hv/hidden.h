/* SPDX-License-Identifier: MIT */
/*
 * Included into every file of the hypervisor by the Makefile (-include): declarations are hidden
 * too, not only definitions, so that position-independent code reaches every symbol directly and
 * there is no table of addresses (GOT).
 */
#ifndef HV_HIDDEN_H
#define HV_HIDDEN_H

#ifndef __ASSEMBLER__
#pragma GCC visibility push(hidden)
#endif

#endif
