/* SPDX-License-Identifier: MIT */
/*
 * The CMOS real-time clock (Motorola MC146818A data sheet): read while no update is under way,
 * twice, until both are alike.
 */
#include <string.h>

#include "hv/arch.h"
#include "hv/wallclock.h"

#define PORT_INDEX 0x70
#define PORT_DATA  0x71

#define REG_A        10
#define REG_A_UPDATE 0x80
#define REG_B        11
#define REG_B_24H    0x02
#define REG_B_BINARY 0x04
#define HOUR_PM      0x80

/* An update takes 2 ms at most; a clock that is never quiet is no clock. */
#define WAIT_POLLS 1000000
#define TRIES      8

static uint8_t rtc_register(uint8_t reg)
{
    arch_out8(PORT_INDEX, reg);
    return arch_in8(PORT_DATA);
}

static bool rtc_sample(uint8_t raw[6])
{
    static const uint8_t regs[6] = {0, 2, 4, 7, 8, 9}; /* second, minute, hour, day, month, year */
    unsigned polls = 0;

    while (rtc_register(REG_A) & REG_A_UPDATE)
        if (++polls == WAIT_POLLS)
            return false;
    for (unsigned i = 0; i < 6; i++)
        raw[i] = rtc_register(regs[i]);
    return true;
}

static unsigned rtc_number(uint8_t raw, bool binary)
{
    return binary ? raw : (raw >> 4) * 10u + (raw & 15);
}

bool arch_read_rtc(struct wallclock_date *date)
{
    uint8_t raw[6], again[6], mode = rtc_register(REG_B), hour;
    bool binary = mode & REG_B_BINARY;
    unsigned tries = 0;

    do {
        if (tries++ == TRIES || !rtc_sample(raw) || !rtc_sample(again))
            return false;
    } while (memcmp(raw, again, sizeof raw));

    hour = raw[2];
    date->hour = rtc_number(hour & ~HOUR_PM, binary);
    if (!(mode & REG_B_24H))
        date->hour = date->hour % 12 + (hour & HOUR_PM ? 12 : 0);
    date->second = rtc_number(raw[0], binary);
    date->minute = rtc_number(raw[1], binary);
    date->day = rtc_number(raw[3], binary);
    date->month = rtc_number(raw[4], binary);
    date->year = 2000 + rtc_number(raw[5], binary);
    return true;
}
