// SPDX-License-Identifier: Apache-2.0
//
// What the tests of cluster files share: two good files as texts, edits of them, and parsing.
#ifndef TACIT_TESTS_UNIT_CONFIG_TEXTS_H
#define TACIT_TESTS_UNIT_CONFIG_TEXTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tacit/config.h"
#include "tacit/keyfile.h"

#define TEXT_BYTES 65536

// Line numbers matter: the tables of wrong files name them.
static const char crash_text[] = "version: 1\n"                                       // 1
                                 "name: demo\n"                                       // 2
                                 "mode: crash\n"                                      // 3
                                 "f: 1\n"                                             // 4
                                 "fabric: shm\n"                                      // 5
                                 "replicas:\n"                                        // 6
                                 "  - {id: 0, address: socket:r0, public_key: @0@}\n" // 7
                                 "  - {id: 1, address: socket:r1, public_key: @1@}\n" // 8
                                 "  - {id: 2, address: socket:r2, public_key: @2@}\n" // 9
                                 "memnodes: []\n"                                     // 10
                                 "clients:\n"                                         // 11
                                 "  - id: 0\n"                                        // 12
                                 "    name: gateway\n"                                // 13
                                 "    public_key: @6@\n"                              // 14
                                 "limits:\n"                                          // 15
                                 "  request_bytes: 4KiB\n"                            // 16
                                 "  log_entries: 512\n"                               // 17
                                 "  inflight: 16\n"                                   // 18
                                 "timing:\n"                                          // 19
                                 "  suspicion: 20ms\n"                                // 20
                                 "paths:\n"                                           // 21
                                 "  runtime_dir: /run/tacit\n"                        // 22
                                 "memory: {arena_bytes: 1MiB}\n"                      // 23
                                 "waiting: adaptive\n"                                // 24
                                 "cores: [0, 2]\n";                                   // 25

static const char byzantine_text[] =
    "version: 1\n"                                                // 1
    "name: demo\n"                                                // 2
    "mode: byzantine\n"                                           // 3
    "fm: 1\n"                                                     // 4
    "fabric: verbs\n"                                             // 5
    "replicas:\n"                                                 // 6
    "  - {id: 0, address: \"host-a:7000\", public_key: @0@}\n"    // 7
    "  - {id: 1, address: \"host-b:7000\", public_key: @1@}\n"    // 8
    "  - {id: 2, address: \"[fe80::1]:7000\", public_key: @2@}\n" // 9
    "memnodes:\n"                                                 // 10
    "  - {id: 0, address: \":7003\", public_key: @3@}\n"          // 11
    "  - {id: 1, address: \":7004\", public_key: @4@}\n"          // 12
    "  - {id: 2, address: \":7005\", public_key: @5@}\n"          // 13
    "limits:\n"                                                   // 14
    "  window: 256\n"                                             // 15
    "  tail: 128\n"                                               // 16
    "operator_key: @7@\n";                                        // 17

// The public key of the seed that is `number` 32 times.
static inline struct tacit_public_key key_of_seed(int number)
{
    struct tacit_keypair keypair;
    uint8_t seed[TACIT_SEED_BYTES];
    memset(seed, number, sizeof seed);
    tacit_keypair_from_seed(&keypair, seed);
    return keypair.public_key;
}

// Appends `from` to `out` with each @N@ replaced by a key.
static inline void expand(char out[TEXT_BYTES], const char *from)
{
    size_t used = 0;
    for (; *from != '\0' && used < TEXT_BYTES - 200; from++) {
        if (from[0] == '@' && from[1] >= '0' && from[1] <= '9' && from[2] == '@') {
            const struct tacit_public_key key = key_of_seed(from[1] - '0');
            tacit_public_key_format(out + used, &key);
            used += TACIT_PUBLIC_KEY_TEXT_LENGTH;
            from += 2;
        } else {
            out[used++] = *from;
        }
    }
    out[used] = '\0';
}

// Copies `base` to `out` with the one occurrence of `from` replaced; NULL `from` takes `to` as the
// whole text. False when `from` does not occur exactly once.
static inline bool edit(char out[TEXT_BYTES], const char *base, const char *from, const char *to)
{
    if (from == NULL) {
        (void)snprintf(out, TEXT_BYTES, "%s", to);
        return true;
    }
    const char *found = strstr(base, from);
    if (found == NULL || strstr(found + 1, from) != NULL) {
        return false;
    }
    (void)snprintf(out, TEXT_BYTES, "%.*s%s%s", (int)(found - base), base, to,
                   found + strlen(from));
    return true;
}

// --- loading ------------------------------------------------------------------------------

static struct tacit_config config;
static struct tacit_config_problems problems;

static inline void show_problems(void)
{
    for (uint32_t i = 0; i < problems.count; i++) {
        char line[1024];
        tacit_config_problem_format(&problems, i, line, sizeof line);
        print_message("%s\n", line);
    }
}

static inline enum tacit_status parse(const char *text)
{
    return tacit_config_parse(text, strlen(text), "cluster.yaml", "/etc/tacit", &config, &problems);
}

// Parses the expanded text after one edit.
static inline enum tacit_status parse_edited(const char *base, const char *from, const char *to)
{
    static char edited[TEXT_BYTES];
    static char text[TEXT_BYTES];
    if (!edit(edited, base, from, to)) {
        fail_msg("the edit of '%s' does not apply once", from);
    }
    expand(text, edited);
    return parse(text);
}

#endif
