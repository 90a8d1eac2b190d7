// SPDX-License-Identifier: Apache-2.0
//
// See attacks.h. The rates are high where an attack leaves the liar able to go on, so that a test
// of seconds sees it hundreds of times.
#include "attacks.h"

#include <stdio.h>
#include <string.h>

#define ALWAYS CHOICE_ALWAYS
#define OFTEN 20000u
#define AT_TIMES 4000u
#define SELDOM 1000u

static const struct attack attacks[] = {
    {.name = "none", .text = "behaves, until told otherwise"},
    {.name = "silent",
     .text = "nothing that it writes reaches anybody, though its process lives",
     .mutes_all = true},
    {.name = "half-send",
     .text = "one replica never hears anything from it, the others do",
     .mutes_one = true},
    {.name = "slow", .text = "rests for 20 ms before each turn", .nap_us = 20000},
    {.name = "late",
     .text = "rests for 100 us before each turn, as a busy machine would",
     .nap_us = 100},
    {.name = "garbage",
     .text = "drawn bytes under right checksums",
     .rate = {[ADVERSARY_GARBAGE] = OFTEN}},
    {.name = "torn",
     .text = "wrong checksums, lengths and words, in rings, votes, bodies and registers",
     .rate = {[ADVERSARY_TORN] = OFTEN}},
    {.name = "oversized",
     .text = "lengths beyond what a place can hold",
     .rate = {[ADVERSARY_OVERSIZED] = OFTEN, [ADVERSARY_BODY] = AT_TIMES}},
    {.name = "replay",
     .text = "old messages again, and numbers that jump",
     .rate = {[ADVERSARY_REPLAY] = OFTEN, [ADVERSARY_REWIND] = AT_TIMES}},
    {.name = "flood",
     .text = "as many messages that ask for work as it can",
     .rate = {[ADVERSARY_FLOOD] = ALWAYS},
     .pace_us = 100},
    {.name = "equivocate",
     .text = "tells some replicas another payload than the others",
     .rate = {[ADVERSARY_EQUIVOCATE] = OFTEN, [ADVERSARY_RELOCK] = OFTEN}},
    {.name = "edit",
     .text = "changes fields of its messages and signs them again",
     .rate = {[ADVERSARY_EDIT] = OFTEN}},
    {.name = "wrong-view",
     .text = "votes for other views, slots and digests, and leaves views out of the blue",
     .rate = {[ADVERSARY_VOTE] = OFTEN, [ADVERSARY_SEAL] = ALWAYS},
     .pace_us = 20000},
    {.name = "forged",
     .text = "withholds its votes, and makes up certificates and claims",
     .rate = {[ADVERSARY_NO_VOTE] = ALWAYS, [ADVERSARY_FORGE] = ALWAYS}},
    {.name = "false-claims",
     .text = "forgets or invents what it acknowledged, and vouches for everything",
     .rate = {[ADVERSARY_CLAIMS] = OFTEN, [ADVERSARY_COSIGN] = ALWAYS, [ADVERSARY_SEAL] = SELDOM},
     .pace_us = 2000},
    {.name = "stale-register",
     .text = "withholds its votes, and writes old, torn and others' values into its registers",
     .rate = {[ADVERSARY_NO_VOTE] = ALWAYS, [ADVERSARY_REGISTER] = 2 * OFTEN}},
    {.name = "false-replies",
     .text = "answers clients with lies",
     .rate = {[ADVERSARY_REPLY] = 2 * OFTEN}},
    {.name = "corrupt",
     .text = "bits of its own memory change at random; it may die of it",
     .pace_us = 1000,
     .corrupts = true},
    {.name = "everything",
     .text = "a little of each",
     .rate = {[ADVERSARY_SILENCE] = AT_TIMES,
              [ADVERSARY_HOLE] = SELDOM,
              [ADVERSARY_EQUIVOCATE] = AT_TIMES,
              [ADVERSARY_RELOCK] = AT_TIMES,
              [ADVERSARY_EDIT] = SELDOM,
              [ADVERSARY_REPLAY] = AT_TIMES,
              [ADVERSARY_GARBAGE] = SELDOM,
              [ADVERSARY_TORN] = AT_TIMES,
              [ADVERSARY_OVERSIZED] = SELDOM,
              [ADVERSARY_VOTE] = AT_TIMES,
              [ADVERSARY_NO_VOTE] = AT_TIMES,
              [ADVERSARY_REGISTER] = OFTEN,
              [ADVERSARY_FLOOD] = OFTEN,
              [ADVERSARY_SEAL] = SELDOM,
              [ADVERSARY_CLAIMS] = SELDOM,
              [ADVERSARY_REPLY] = OFTEN},
     .pace_us = 5000},
};

#define ATTACKS (uint32_t)(sizeof attacks / sizeof attacks[0])

uint32_t attack_count(void)
{
    return ATTACKS;
}

const struct attack *attack_at(uint32_t index)
{
    return &attacks[index < ATTACKS ? index : ATTACK_NONE];
}

uint32_t attack_find(const char *name)
{
    uint32_t index = 0;
    while (index < ATTACKS && strcmp(name, attacks[index].name) != 0) {
        index++;
    }
    return index;
}

const char *attack_names(void)
{
    static char text[512];
    size_t used = 0;
    for (uint32_t i = 0; i < ATTACKS && used < sizeof text; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i == 0 ? "" : ", ",
                                 attacks[i].name);
    }
    return text;
}
