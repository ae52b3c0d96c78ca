/* SPDX-License-Identifier: MIT */
/* PENUMBRA_OP_trace (hv/trace_op.c), for hv/penumbra_op.c. */
#ifndef HV_TRACE_OP_H
#define HV_TRACE_OP_H

#include "hv/public/penumbra.h"

/* `t` is the hypervisor's copy and gets the answer; the control lock is held. Errors: docs/abi.md,
 * section 50. */
long trace_op(struct penumbra_trace *t);

#endif
