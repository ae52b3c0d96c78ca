/* SPDX-License-Identifier: MIT */
/*
 * memtest [MIB]: takes a heap (4 MiB if not said), of which every page must come as zeros at its
 * first touch, fills it with a pattern, checks it, shrinks and grows again; then a deep recursion
 * does the same for the stack.
 */
#include "lib.h"

#define PAGE 4096

static unsigned deep(unsigned depth)
{
    volatile unsigned char frame[PAGE / 2];

    frame[0] = (unsigned char)depth;
    frame[sizeof(frame) - 1] = 1;
    return depth ? deep(depth - 1) + frame[sizeof(frame) - 1] + (frame[0] != (unsigned char)depth)
                 : 0;
}

static int touch(volatile uint64_t *heap, size_t pages)
{
    for (size_t i = 0; i < pages; i++) {
        if (heap[i * PAGE / 8] || heap[i * PAGE / 8 + 511]) {
            printf("memtest: FAILED, page %zu is not zero\n", i);
            return 1;
        }
        heap[i * PAGE / 8] = i ^ 0x5555;
        heap[i * PAGE / 8 + 511] = ~i;
    }
    for (size_t i = 0; i < pages; i++) {
        if (heap[i * PAGE / 8] != (i ^ 0x5555) || heap[i * PAGE / 8 + 511] != ~i) {
            printf("memtest: FAILED, page %zu has changed\n", i);
            return 1;
        }
    }
    return 0;
}

int main(const char *args)
{
    size_t mib = *args ? strtoul(args, NULL, 10) : 4, bytes = mib << 20;
    char *heap = sys_sbrk((long)bytes);

    if (heap == NULL || (long)heap < 0) {
        printf("memtest: not enough memory for %zu MiB\n", mib);
        return 1;
    }
    if (touch((volatile uint64_t *)heap, bytes / PAGE)) {
        return 1;
    }
    /* Given back, and taken anew: zeros again. */
    sys_sbrk(-(long)(bytes / 2));
    sys_sbrk((long)(bytes / 2));
    if (touch((volatile uint64_t *)(heap + bytes / 2), bytes / 2 / PAGE)) {
        return 1;
    }
    if (deep(100) != 100) {
        printf("memtest: FAILED, the stack has changed\n");
        return 1;
    }
    printf("memtest: %zu MiB of heap and 200 KiB of stack ok\n", mib);
    return 0;
}
