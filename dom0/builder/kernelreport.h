/* SPDX-License-Identifier: MIT */
/*
 * What a kernel's file is, in words: its form, its notes, what it asks for, how much memory it
 * takes, and whether it can be started here. Pure; for the command line.
 */
#ifndef DOM0_BUILDER_KERNELREPORT_H
#define DOM0_BUILDER_KERNELREPORT_H

struct cfg_error;
struct kernelfile;
struct kernelfile_host;

/* Takes a line of the report, without its newline. It may wait. */
typedef void (*kernelreport_fn)(void *ctx, const char *line);

/*
 * Report on a file that was identified: k is unpacked here, and to be closed by the caller. Returns
 * 0 if the kernel can be started; else a negative error, with the reason in err, which the report's
 * last line has too.
 */
int kernelreport(struct kernelfile *k, const struct kernelfile_host *host, kernelreport_fn line,
                 void *ctx, struct cfg_error *err);

#endif
