/* SPDX-License-Identifier: MIT */
/*
 * The NVMe driver over a controller in memory, one that stops answering, answers what it was not
 * asked, or does not obey: requests fail once each, and not before the controller has let go of
 * their memory. Time is the test's. Each test is a process of its own, as the driver has one disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <xen/errno.h>

#include <rt/clock.h>
#include <rt/mm.h>
#include <rt/thread.h>

#include "dom0/drivers/blkdev.h"
#include "dom0/drivers/nvme.h"
#include "dom0/drivers/nvme_ctrl.h"
#include "dom0/drivers/nvme_regs.h"
#include "dom0/drivers/pci.h"

#define SECOND 1000000000ull

#define expect(ok) ((ok) ? (void)0 : wrong(#ok, __LINE__))

static void wrong(const char *what, int line)
{
    print_error("line %d: %s\n", line, what);
    fflush(NULL);
    _exit(1);
}

/* --- the controller --- */

static struct {
    _Alignas(4096) uint8_t regs[0x2000];
    uint32_t head[2], tail[2]; /* of the commands taken, of the completions written */
    unsigned int resets;
    bool stuck;     /* takes commands, and does not complete them */
    bool wild;      /* completes a command that it does not have */
    bool obstinate; /* stays on when it is switched off */
    bool broken;    /* does not come on again */
    uint64_t io[2]; /* where the queues for requests are */
} fake;

static uint32_t *reg(uint32_t offset)
{
    return (uint32_t *)(fake.regs + offset);
}

static uint64_t reg64(uint32_t offset)
{
    return *reg(offset) | (uint64_t)*reg(offset + 4) << 32;
}

static void complete(unsigned int queue, uint16_t cid)
{
    uint64_t at = queue ? fake.io[1] : reg64(NVME_ACQ);
    struct nvme_cqe *cqe = (struct nvme_cqe *)(uintptr_t)at + fake.tail[queue] % NVME_QUEUE_SIZE;
    uint16_t phase = !(fake.tail[queue] / NVME_QUEUE_SIZE % 2);

    *cqe = (struct nvme_cqe){.cid = cid, .status = phase};
    fake.tail[queue]++;
}

static void identify(const struct nvme_sqe *sqe)
{
    uint8_t *to = (uint8_t *)(uintptr_t)sqe->prp1;

    memset(to, 0, PAGE_SIZE);
    to[NVME_IDC_VWC] = 1;
    if (sqe->cdw10 == NVME_ID_NAMESPACE) {
        to[NVME_IDN_SIZE + 1] = 0x10; /* 4096 blocks */
        to[NVME_IDN_FORMATS + 2] = 9;
    }
}

static void admin(const struct nvme_sqe *sqe)
{
    if (sqe->opcode == NVME_ADMIN_IDENTIFY)
        identify(sqe);
    if (sqe->opcode == NVME_ADMIN_CREATE_SQ)
        fake.io[0] = sqe->prp1;
    if (sqe->opcode == NVME_ADMIN_CREATE_CQ)
        fake.io[1] = sqe->prp1;
    complete(0, sqe->cid);
}

static void switch_over(bool on)
{
    if (!on && fake.obstinate)
        return;
    if (on && fake.broken) {
        *reg(NVME_CSTS) = NVME_CSTS_FATAL;
        return;
    }
    if (!on)
        fake.resets++;
    memset(fake.head, 0, sizeof(fake.head));
    memset(fake.tail, 0, sizeof(fake.tail));
    memset(reg(NVME_DOORBELL), 0, 4096);
    *reg(NVME_CSTS) = on ? NVME_CSTS_READY : 0;
}

/* What the controller does while the driver waits. */
static void controller(void)
{
    bool on = *reg(NVME_CSTS) & NVME_CSTS_READY;

    if (on != (*reg(NVME_CC) & 1))
        switch_over(!on);
    if (!(*reg(NVME_CSTS) & NVME_CSTS_READY))
        return;
    for (unsigned int q = 0; q < 2; q++) {
        uint32_t doorbell = *reg(NVME_DOORBELL + q * 8);

        while (fake.head[q] % NVME_QUEUE_SIZE != doorbell && !(q && fake.stuck)) {
            uint64_t at = q ? fake.io[0] : reg64(NVME_ASQ);
            struct nvme_sqe sqe =
                ((struct nvme_sqe *)(uintptr_t)at)[fake.head[q]++ % NVME_QUEUE_SIZE];

            if (q == 0)
                admin(&sqe);
            else
                complete(1, fake.wild ? 17 : sqe.cid);
        }
    }
}

/* --- what the driver needs of domain 0 --- */

static uint64_t now = SECOND, stop_at;
static jmp_buf stopped;
static void (*driver)(void *arg);

uint64_t clock_ns(void)
{
    return now;
}

void thread_sleep_ns(uint64_t ns)
{
    now += ns;
    controller();
}

void waitq_prepare(struct waitq *wq)
{
    (void)wq;
}

void waitq_finish(struct waitq *wq)
{
    (void)wq;
}

void waitq_wake(struct waitq *wq)
{
    (void)wq;
}

uint64_t waitq_deadline(uint64_t ns)
{
    return now + ns;
}

bool waitq_past(uint64_t deadline)
{
    return now >= deadline;
}

void waitq_block(uint64_t deadline)
{
    (void)deadline;
    now += 10000000;
    if (now > stop_at)
        longjmp(stopped, 1);
    controller();
}

struct thread *thread_create(const char *name, void (*fn)(void *arg), void *arg)
{
    (void)name;
    (void)arg;
    driver = fn;
    return (struct thread *)&driver;
}

void *page_alloc(unsigned order)
{
    void *page = aligned_alloc(PAGE_SIZE, PAGE_SIZE << order);

    if (page)
        memset(page, 0, PAGE_SIZE << order);
    return page;
}

void page_free(void *va, unsigned order)
{
    (void)order;
    free(va);
}

xen_pfn_t virt_to_mfn(const void *va)
{
    return (uintptr_t)va >> PAGE_SHIFT;
}

int pci_scan(int (*fn)(const struct pci_device *dev, void *arg), void *arg)
{
    static const struct pci_device dev;

    return fn(&dev, arg);
}

uint32_t pci_read32(const struct pci_device *dev, unsigned int at)
{
    (void)dev;
    (void)at;
    return 0x01080200;
}

int pci_enable(const struct pci_device *dev)
{
    (void)dev;
    return 0;
}

int pci_bind_msix(const struct pci_device *dev, event_fn fn, void *arg)
{
    (void)dev;
    (void)fn;
    (void)arg;
    return 1;
}

uint64_t pci_bar(const struct pci_device *dev, unsigned int bar)
{
    (void)dev;
    (void)bar;
    return 0xfebf0000;
}

void *pci_map(uint64_t maddr, uint32_t len)
{
    (void)maddr;
    expect(len <= sizeof(fake.regs));
    return fake.regs;
}

/* --- the tests --- */

#define REQUESTS 100 /* more than the queue takes */

static struct blkdev *dev;
static struct blk_request requests[REQUESTS];
static int answers[REQUESTS]; /* how many each got */
static int status[REQUESTS];

static void done(struct blk_request *req, int rc)
{
    unsigned int i = (unsigned int)(req - requests);

    /* A request that failed for its time: the controller has been off since. */
    expect(rc != -XEN_ETIMEDOUT || fake.resets > 1);
    answers[i]++;
    status[i] = rc;
}

static void start(void)
{
    uint64_t cap = 63 | 20ull << 24 | 1ull << 37;

    memcpy(fake.regs, &cap, sizeof(cap));
    expect(nvme_start(&dev) == 0);
    expect(dev->sectors == 4096);
    expect(fake.resets == 0); /* it was off */
    fake.resets = 1;
}

static int submit(unsigned int i)
{
    static const struct blk_segment seg = {0x5000, 4096};

    requests[i] =
        (struct blk_request){.op = BLK_READ, .sector = i, .segs = &seg, .nsegs = 1, .done = done};
    return dev->ops->submit(dev, &requests[i]);
}

static void run(uint64_t seconds)
{
    stop_at = now + seconds * SECOND;
    if (setjmp(stopped) == 0)
        driver(NULL); /* returns when the disk is lost */
}

static unsigned int count(int answer)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < REQUESTS; i++) {
        expect(answers[i] <= 1);
        n += answers[i] && status[i] == answer;
    }
    return n;
}

static void answers_all(void)
{
    start();
    for (unsigned int i = 0; i < REQUESTS; i++)
        expect(submit(i) == 0);
    run(1);
    expect(count(0) == REQUESTS);
}

/* Those in flight fail after half a minute; those that waited go to the controller that is new. */
static void stops_answering(void)
{
    start();
    fake.stuck = true;
    for (unsigned int i = 0; i < REQUESTS; i++)
        expect(submit(i) == 0);
    run(29);
    expect(count(0) + count(-XEN_ETIMEDOUT) == 0);
    expect(fake.resets == 1);
    run(3);
    expect(fake.resets >= 2);
    expect(count(-XEN_ETIMEDOUT) == NVME_QUEUE_SIZE - 1);
    fake.stuck = false;
    run(2);
    expect(count(0) == REQUESTS - (NVME_QUEUE_SIZE - 1));
    memset(answers, 0, sizeof(answers));
    expect(submit(5) == 0);
    run(1);
    expect(answers[5] == 1 && status[5] == 0);
}

static void answers_something_else(void)
{
    start();
    fake.wild = true;
    for (unsigned int i = 0; i < 10; i++)
        expect(submit(i) == 0);
    run(1);
    fake.wild = false;
    expect(fake.resets >= 2);
    expect(count(-XEN_ETIMEDOUT) == 10);
    expect(submit(20) == 0);
    run(1);
    expect(answers[20] == 1 && status[20] == 0);
}

/* It may still write to memory, so nobody gets that back: what is in flight is never answered. */
static void does_not_obey(void)
{
    start();
    fake.stuck = fake.obstinate = true;
    for (unsigned int i = 0; i < REQUESTS; i++)
        expect(submit(i) == 0);
    run(120);
    expect(count(-XEN_ETIMEDOUT) == 0);
    expect(count(-XEN_EIO) == REQUESTS - (NVME_QUEUE_SIZE - 1));
    expect(submit(0) == -XEN_EIO);
}

static void does_not_come_back(void)
{
    start();
    fake.stuck = fake.broken = true;
    for (unsigned int i = 0; i < REQUESTS; i++)
        expect(submit(i) == 0);
    run(120);
    expect(count(-XEN_ETIMEDOUT) == NVME_QUEUE_SIZE - 1);
    expect(count(-XEN_EIO) == REQUESTS - (NVME_QUEUE_SIZE - 1));
    expect(submit(0) == -XEN_EIO);
}

static void in_a_process(void (*fn)(void))
{
    int result = 0;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fn();
        fflush(NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &result, 0), pid);
    assert_int_equal(result, 0);
}

#define TEST(name)                        \
    static void test_##name(void **state) \
    {                                     \
        (void)state;                      \
        in_a_process(name);               \
    }

TEST(answers_all)
TEST(stops_answering)
TEST(answers_something_else)
TEST(does_not_obey)
TEST(does_not_come_back)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_all),
        cmocka_unit_test(test_stops_answering),
        cmocka_unit_test(test_answers_something_else),
        cmocka_unit_test(test_does_not_obey),
        cmocka_unit_test(test_does_not_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
