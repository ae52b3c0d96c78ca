/* SPDX-License-Identifier: MIT */
#include "dom0/cli/complete.h"

#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES 256

/* The word under the cursor and where proposals for it go. */
struct request {
    struct lineedit_matches *matches;
    const char *word; /* what is typed of the name itself */
    size_t len;
    const char *head; /* what is typed before it: a directory */
    size_t head_len;
    bool configs; /* only names ending in .cfg, without that */
};

static void propose(void *arg, const char *name, bool directory)
{
    struct request *r = arg;
    size_t len = strlen(name), extra = directory;
    char text[2 * PATH_MAX_BYTES];

    if (r->configs) {
        if (directory || len <= 4 || strcmp(name + len - 4, ".cfg"))
            return;
        len -= 4;
    }
    if (len < r->len || strncmp(name, r->word, r->len))
        return;
    /* Files that begin with a dot are proposed to those who typed one. */
    if (name[0] == '.' && !r->len)
        return;
    if (r->head_len + len + extra >= sizeof text)
        return;
    memcpy(text, r->head, r->head_len);
    memcpy(text + r->head_len, name, len);
    if (directory)
        text[r->head_len + len++] = '/';
    text[r->head_len + len] = 0;
    lineedit_match(r->matches, text);
}

static void complete_file(const struct complete_source *source, struct request *r)
{
    char directory[PATH_MAX_BYTES];
    size_t slash = r->len;

    while (slash > 0 && r->word[slash - 1] != '/')
        slash--;
    if (slash >= sizeof directory)
        return;
    memcpy(directory, r->word, slash);
    directory[slash] = 0;
    if (!slash)
        memcpy(directory, "/", 2);
    r->head = r->word;
    r->head_len = slash;
    r->word += slash;
    r->len -= slash;
    source->files(directory, propose, r);
}

static void complete_config(const struct complete_source *source, struct request *r)
{
    if (memchr(r->word, '/', r->len)) {
        complete_file(source, r);
        return;
    }
    r->configs = true;
    source->files(source->config_directory, propose, r);
}

/* Is it the option `option` that stands right before the word which begins at `start`? */
static bool behind_option(const char *line, size_t start, const char *option)
{
    size_t len = strlen(option), end = start;

    while (end > 0 && line[end - 1] == ' ')
        end--;
    return end > len && line[end - len - 1] == ' ' && !strncmp(line + end - len, option, len);
}

/* Is there a whole word between the command and the one that begins at `start`? */
static bool has_argument(const char *line, size_t command_end, size_t start)
{
    return strspn(line + command_end, " ") < start - command_end;
}

static void complete_argument(const struct complete_source *source, enum complete_kind kind,
                              bool pool, struct request *r)
{
    switch (kind) {
    case COMPLETE_NONE:
        break;
    case COMPLETE_SHARE:
    case COMPLETE_DOMAIN_POOL:
        (pool ? source->pools : source->domains)(propose, r);
        break;
    case COMPLETE_DOMAIN:
        source->domains(propose, r);
        break;
    case COMPLETE_POOL:
        source->pools(propose, r);
        break;
    case COMPLETE_FILE:
        complete_file(source, r);
        break;
    case COMPLETE_CONFIG:
        complete_config(source, r);
        break;
    case COMPLETE_COMMAND:
        source->commands(propose, r);
        break;
    }
}

void complete_line(const struct complete_source *source, const char *line, size_t cursor,
                   struct lineedit_matches *matches)
{
    struct request r = {.matches = matches, .head = ""};
    size_t start = cursor, command = strspn(line, " ");
    enum complete_kind kind;
    char name[32];
    size_t name_len = strcspn(line + command, " ");

    while (start > 0 && line[start - 1] != ' ')
        start--;
    matches->start = start;
    r.word = line + start;
    r.len = cursor - start;
    if (start <= command) {
        source->commands(propose, &r);
        return;
    }
    if (name_len >= sizeof name)
        return;
    memcpy(name, line + command, name_len);
    name[name_len] = 0;
    kind = source->kind(name);
    complete_argument(source, kind,
                      kind == COMPLETE_SHARE ? behind_option(line, start, "-p")
                                             : has_argument(line, command + name_len, start),
                      &r);
}
