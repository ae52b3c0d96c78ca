/* SPDX-License-Identifier: MIT */
/*
 * Reports on the log, by key, for somebody who looks for a fault: XEN_SYSCTL_debug_keys.
 */
#ifndef HV_DEBUG_KEYS_H
#define HV_DEBUG_KEYS_H

/* Unknown keys say so on the log. */
void debug_key(char key);

#endif
