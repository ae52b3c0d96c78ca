/* SPDX-License-Identifier: MIT */
/*
 * The syntax of xl.cfg files, without any meaning: lines `key = value`, where a value is a string
 * in either kind of quotes, a number, or a list of those in brackets. `#` starts a comment, `;`
 * separates settings as a line end does, a list may span lines and end in a comma. Pure: the text
 * is in memory, each setting is handed to a callback. Used by xlcfg.c and by whoever reads such
 * files.
 */
#ifndef DOM0_CONFIG_CFGTEXT_H
#define DOM0_CONFIG_CFGTEXT_H

#include <stddef.h>
#include <stdint.h>

#define CFGTEXT_KEY_MAX   64   /* bytes of a key, with its NUL */
#define CFGTEXT_VALUE_MAX 8192 /* bytes of all strings of one value, with their NULs */
#define CFGTEXT_ITEMS_MAX 64   /* members of one list */

/* What was wrong, as one line for the user: place, fault, and what to do. Empty if nothing was. */
struct cfg_error {
    char text[640];
};

enum cfgtext_kind { CFGTEXT_STRING, CFGTEXT_NUMBER, CFGTEXT_LIST };

/* One value; valid during the callback only. Numbers also have their spelling in items[0]. */
struct cfgtext_value {
    enum cfgtext_kind kind;
    uint64_t number;                      /* CFGTEXT_NUMBER */
    const char *items[CFGTEXT_ITEMS_MAX]; /* [0]: the string; or the members of the list */
    unsigned item_count;                  /* 1 unless a list */
};

/*
 * Called for each setting in the order of the text. A negative return ends the parse and is its
 * result; the callback then puts the reason (without the place) into err.
 */
typedef int (*cfgtext_fn)(void *ctx, const char *key, const struct cfgtext_value *value,
                          struct cfg_error *err);

/* Write the reason into err, as printf would; longer text is cut. err may be NULL. */
void cfg_error_set(struct cfg_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Parse `len` bytes of `text`, called `name` in messages ("NAME:LINE: ..."). Returns 0,
 * -XEN_EINVAL with err filled in, -XEN_ENOMEM, or what the callback returned.
 */
int cfgtext_parse(const char *name, const char *text, size_t len, cfgtext_fn fn, void *ctx,
                  struct cfg_error *err);

/*
 * Parse one `key=value` word as given on a command line. As in a file, but a value without quotes
 * that is no number and no list is taken as a string, since people type name=web1.
 */
int cfgtext_parse_word(const char *word, cfgtext_fn fn, void *ctx, struct cfg_error *err);

#endif
