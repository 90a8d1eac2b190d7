// SPDX-License-Identifier: Apache-2.0
//
// Consistent broadcast against bytes. The first byte chooses: either the rest is every draw of a
// run of the small world with a liar in it (tests/unit/byz_ctb_world.h), or it is what one faulty
// replica writes into its rings, message by message: {u8 receiver, u8 head: 0 raw, else a kind with
// a well-formed head, u8 length, bytes}. Either way the correct ones agree, condemn no correct one,
// and come to an end.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "unit/byz_ctb_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIAR = 2, MESSAGES_MAX = 64 };

static void require(const char *violation)
{
    if (violation != NULL) {
        (void)fprintf(stderr, "violation: %s\n", violation);
        abort();
    }
}

static void write_messages(const uint8_t *data, size_t size)
{
    for (uint32_t i = 0; i < MESSAGES_MAX && size >= 3; i++) {
        uint8_t message[TACIT_CTB_MESSAGE_BYTES] = {0};
        size_t bytes = data[2] < size - 3 ? data[2] : size - 3;
        size_t head = 0;
        if (data[1] != 0) { // kind, stream, carries, then epoch 1 and a small id
            message[0] = data[1] & 15;
            message[1] = data[1] >> 4 & 3;
            message[2] = data[1] >> 6;
            message[8] = 1;
            message[16] = data[0] >> 1;
            head = 24;
        }
        memcpy(message + head, data + 3, bytes);
        world_put(LIAR, data[0] & 1, message, (uint32_t)(head + bytes));
        data += 3 + bytes;
        size -= 3 + bytes;
        world_step();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct choice choice;
    const char *what = NULL;
    uint32_t who = 0, whose = 0;
    if (size == 0) {
        return 0;
    }
    if (data[0] % 2 == 1) {
        const struct world_options options = {.replicas = 3, .liars = 1, .ids = 20};
        choice_init_bytes(&choice, data + 1, size - 1);
        require(world_run(&options, &choice));
        return 0;
    }
    const struct world_options options = {.replicas = 3, .quiet = true, .ids = 20};
    choice_init_bytes(&choice, NULL, 0);
    world_open(&options, &choice);
    world.replica[LIAR].lies = true;
    write_messages(data + 1, size - 1);
    bool is_done = false;
    while (!is_done && world.violation[0] == '\0' && world.steps < WORLD_STEPS_MAX) {
        world_step();
        is_done = world_is_done(&what, &who, &whose);
    }
    require(world.violation[0] != '\0' ? world.violation : what);
    return 0;
}
