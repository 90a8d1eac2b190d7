// SPDX-License-Identifier: Apache-2.0
//
// Links on memory nodes against a sender whose head there says anything: with the right check, but
// counts that it never reached and a journal of cells that do not exist. Its receiver reads only
// what the area has, and no more for one head than the area holds.
#include "support/fake_fabric.h"

#include <stdlib.h>

#include "core/byzantine/links_internal.h"

enum { SELF = 0, LIAR = 1, SLOTS = 8, MESSAGE = 60, BODIES = 4, BODY = 104, WINDOW = 8 };
enum { OFFSET = 128, MOST = SLOTS + BODIES + 2 * (TACIT_LINKS_JOURNAL + 1) + 2 };

static const struct tacit_links_config config = {.place = TACIT_LINKS_ON_MEMNODES,
                                                 .replicas = 3,
                                                 .memnodes = 1,
                                                 .self = SELF,
                                                 .slots = SLOTS,
                                                 .message_bytes = MESSAGE,
                                                 .bodies = BODIES,
                                                 .body_bytes = BODY,
                                                 .window = WINDOW,
                                                 .offset = OFFSET};

static struct {
    struct fake_fabric fake;
    struct tacit_links *links;
    void *memory;
    uint8_t *area[2]; // at the memory node, of each writer
    tacit_time_ns_t now_ns;
} world;

static void world_open(void)
{
    struct tacit_bump measure = {.base = NULL};
    struct tacit_marker marker = {0};
    size_t bytes = OFFSET + tacit_links_region_bytes(&config);
    (void)tacit_links_init(&measure, &config, NULL, marker);
    fake_init(&world.fake, SELF, 1);
    struct tacit_bump bump = {.base = aligned_alloc(64, tacit_round_up(measure.used, 64))};
    assert_non_null(bump.base);
    world.memory = bump.base;
    for (tacit_node_t r = 0; r < 2; r++) {
        world.area[r] = calloc(1, bytes); // of just its size
        assert_non_null(world.area[r]);
        fake_add_region(&world.fake, TACIT_NODE_MEMNODE, TACIT_REGION_REGISTERS, r, 1,
                        world.area[r], bytes);
    }
    world.links = tacit_links_init(&bump, &config, &world.fake.fabric, marker);
    world.now_ns = 1000000;
}

static void world_close(void)
{
    free(world.memory);
    free(world.area[0]);
    free(world.area[1]);
}

// All that happens at this moment: what is read is there at once. Returns the reads.
static uint32_t pump(void)
{
    uint32_t reads = 0;
    struct tacit_event event;
    (void)tacit_links_poll(world.links, world.now_ns);
    while (world.fake.op_count > 0 && reads <= 4 * MOST) {
        reads += world.fake.ops[0].op.kind == TACIT_OP_READ;
        fake_land(&world.fake, 0, UINT32_MAX);
        while (fake_take(&world.fake, &event)) {
            tacit_links_event(world.links, &event, world.now_ns);
        }
        (void)tacit_links_poll(world.links, world.now_ns);
    }
    return reads;
}

static void connect(void)
{
    struct tacit_event event;
    tacit_links_accept(world.links, LIAR, 1);
    tacit_links_accept(world.links, TACIT_NODE_MEMNODE, 1);
    fake_up(&world.fake, TACIT_NODE_MEMNODE, 1);
    while (fake_take(&world.fake, &event)) {
        tacit_links_event(world.links, &event, world.now_ns);
    }
    (void)pump();
}

static void show(struct tacit_links_head *head)
{
    uint32_t bytes = tacit_links_head_bytes(&config);
    head->to[SELF] = (struct tacit_links_addressee){.incarnation = 1};
    head->check = tacit_links_head_check(head, bytes);
    memcpy(world.area[LIAR] + OFFSET, head, bytes);
    world.now_ns += 1000000; // it is looked at again
}

static void head__of_a_liar_is_read_within_its_area(void **state)
{
    (void)state;
    static const uint64_t counts[] = {0, 3, SLOTS + 5, 1ull << 40, UINT64_MAX / 4 - 1};
    static const uint16_t cells[] = {0, WINDOW - 1, WINDOW, 4000, UINT16_MAX};
    const unsigned n = sizeof counts / sizeof counts[0];
    for (unsigned i = 0; i < n * n * n * n; i++) {
        struct tacit_links_head head = {.messages = counts[i % n], .bodies = counts[i / n % n]};
        head.votes[0] = counts[i / (n * n) % n];
        head.votes[1] = counts[i / 7 % n];
        for (uint32_t j = 0; j < TACIT_LINKS_JOURNAL; j++) {
            head.journal[0][j] = head.journal[1][j] = cells[i / (n * n * n)];
        }
        world_open();
        connect();
        show(&head);
        assert_in_range(pump(), 1, MOST);
        // The counts go on from there, as far as a journal reaches, and back.
        head.votes[0] += TACIT_LINKS_JOURNAL;
        head.votes[1] += 1;
        head.messages += 2;
        show(&head);
        assert_in_range(pump(), 1, MOST);
        head.messages = head.bodies = head.votes[0] = head.votes[1] = 0;
        show(&head);
        assert_in_range(pump(), 1, MOST);
        world_close();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head__of_a_liar_is_read_within_its_area),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
