/* SPDX-License-Identifier: MIT */
/* cat: repeats each line typed, until Ctrl-D or a line that is a dot. */
#include "lib.h"

int main(const char *args)
{
    char line[128];
    long count;

    (void)args;
    while ((count = sys_read(line, sizeof(line))) > 0 && !(count == 2 && line[0] == '.')) {
        sys_write(line, (size_t)count);
    }
    return count < 0;
}
