/* SPDX-License-Identifier: MIT */
/* What the files of imgtool share. */
#ifndef TESTS_IMAGE_IMGTOOL_H
#define TESTS_IMAGE_IMGTOOL_H

#include "tests/unit/image_host.h"

/* Prints a reason; 1. */
int tool_fail(const char *what, int rc);
/* A format by its name, or the end. */
enum image_format tool_format(const char *word);

/* Prints a line. */
void tool_show(const char *line);

int tool_fuzz(int argc, char **argv);
int tool_crash(int argc, char **argv);

#endif
