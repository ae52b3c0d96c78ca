/* SPDX-License-Identifier: MIT */
/* Disks that come and go while the guest runs. */
#ifndef DISKIO_PLUG_H
#define DISKIO_PLUG_H

/* Takes every disk that the store lists, reads and writes it all the time, lets go of those that
 * are wanted back, and says what happens. Never ends. */
void plug_run(void) __attribute__((noreturn));

#endif
