/* SPDX-License-Identifier: MIT */
/*
 * The hypercall page: 128 stubs of 32 bytes, one for each number. For the builders of domains
 * (hv/dom0.c, hv/domctl.c). Guests may as well execute SYSCALL themselves.
 */
#ifndef HV_HYPERCALL_PAGE_H
#define HV_HYPERCALL_PAGE_H

/* Fills the 4096 bytes at `page`. */
void hypercall_page_init(void *page);

#endif
