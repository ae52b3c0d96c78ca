/* SPDX-License-Identifier: MIT */
/* The file interface's surroundings on dom0: the runtime's mutex, clock and console. */
#include "dom0/fs/vfs.h"

#include <stdio.h>

#include <rt/clock.h>
#include <rt/thread.h>

#define SECOND_NS 1000000000ull

static struct mutex mutex = MUTEX_INIT;

static void env_lock(void)
{
    mutex_lock(&mutex);
}

static void env_unlock(void)
{
    mutex_unlock(&mutex);
}

static uint32_t env_now(void)
{
    uint64_t sec;

    clock_wall(&sec, NULL);
    return (uint32_t)sec;
}

static void env_report(const char *text)
{
    printf("%s\n", text);
}

const struct vfs_env vfs_env_dom0 = {env_lock, env_unlock, env_now, env_report};

void vfs_sync_thread(void *arg)
{
    (void)arg;
    for (;;) {
        thread_sleep_ns(SECOND_NS);
        vfs_tick();
    }
}
