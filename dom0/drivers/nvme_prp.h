/* SPDX-License-Identifier: MIT */
/*
 * Memory as NVMe wants it (NVM Express Base Specification 1.4, section 4.3): a list of pages, PRPs,
 * of which the first may begin and the last may end anywhere, and all between are whole. A request
 * whose memory has other gaps becomes several commands. Pure.
 */
#ifndef DOM0_DRIVERS_NVME_PRP_H
#define DOM0_DRIVERS_NVME_PRP_H

#include <stdint.h>

struct blk_segment;

#define NVME_PAGE     4096u
#define NVME_PRPS_MAX 65u /* the first, and a list of 512 bytes */

/* One command's part of a request. */
struct nvme_part {
    unsigned int segs; /* of the request, from where it was begun */
    uint32_t bytes;
    unsigned int prps;
    uint64_t prp[NVME_PRPS_MAX];
};

/*
 * The longest command that the first of the `count` (> 0) segments begin: at most max_bytes (a page
 * at least), whole segments. -EINVAL: a command would not be whole sectors, or memory is not
 * aligned to four bytes, or a segment alone is too long.
 */
int nvme_prp_part(const struct blk_segment *segs, unsigned int count, uint32_t max_bytes,
                  struct nvme_part *part);

#endif
