// SPDX-License-Identifier: Apache-2.0
//
// Batches of the key-value application: random commands give the same replies and the same bytes of
// state in batches as one by one, however often a batch is cut short by the room for its reply;
// what is malformed anywhere is refused before anything of it is executed; replies of all commands
// but GET and MGET have a bound.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/kv/kv.h"
#include "apps/kv/kv_wire.h"

enum { ARENA = 4 * TACIT_PAGE_BYTES, REPLY = 1024, REQUEST = 4096, KEYS = 40 };

struct machine {
    struct tacit_app_host host; // first
    uint8_t reply[REPLY + 8];
    size_t reply_bytes;
};

static void touch(struct tacit_app_host *host, const void *address, size_t bytes)
{
    (void)host;
    (void)address;
    (void)bytes;
}

static void machine_open(struct machine *machine)
{
    memset(machine, 0, sizeof *machine);
    machine->host.arena = aligned_alloc(TACIT_PAGE_BYTES, ARENA);
    assert_non_null(machine->host.arena);
    memset(machine->host.arena, 0, ARENA);
    machine->host.arena_bytes = ARENA;
    machine->host.touch = touch;
    assert_int_equal(tacit_kv_app.init(&machine->host, "", NULL), TACIT_OK);
}

static void machine_close(struct machine *machine)
{
    free(machine->host.arena);
}

// Bytes in a buffer of their exact size, so that a sanitizer sees a step beyond.
static struct tacit_kv_reply apply(struct machine *machine, const uint8_t *bytes, size_t size,
                                   size_t reply_max, bool query)
{
    uint8_t *exact = malloc(size == 0 ? 1 : size);
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    struct tacit_request request = {.bytes = exact, .size = size};
    memset(machine->reply, 0xcc, sizeof machine->reply);
    machine->reply_bytes = (query ? tacit_kv_app.query : tacit_kv_app.apply)(
        &machine->host, &request, machine->reply, reply_max);
    free(exact);
    assert_true(machine->reply_bytes <= reply_max);
    for (size_t i = reply_max; i < sizeof machine->reply; i++) {
        assert_int_equal(machine->reply[i], 0xcc);
    }
    struct tacit_kv_reply reply = {0};
    if (machine->reply_bytes > 0) {
        assert_int_equal(tacit_kv_reply_decode(&reply, machine->reply, machine->reply_bytes),
                         TACIT_VERDICT_OK);
    }
    return reply;
}

static uint64_t random_state;

static uint32_t below(uint32_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % bound;
}

struct command {
    uint8_t bytes[REQUEST];
    size_t size;
};

// Any command with any number of arguments that may be wrong for it, on few keys, with values some
// of which are numbers, some too large for a reply.
static void draw(struct command *command, bool reads)
{
    static const uint32_t counts[] = {1, 2, 1, 1, 1, 2, 2, 3, 4, 1};
    static const enum tacit_kv_command looks[] = {TACIT_KV_GET, TACIT_KV_MGET, TACIT_KV_EXISTS,
                                                  TACIT_KV_STRLEN};
    static char words[8][REPLY + 64];
    struct tacit_kv_span spans[8];
    uint32_t number = 1 + below(TACIT_KV_COMMAND_END - 1);
    number = reads ? looks[below(4)] : number;
    uint32_t count = below(20) == 0 ? below(5) : counts[number - 1];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t kind = below(10);
        int size = snprintf(words[i], sizeof words[i], "%u", below(KEYS));
        if (i % 2 == 1 && kind > 4) {
            size = (int)(kind == 9 && below(8) == 0 ? REPLY - 4 + below(8) : below(kind * 30));
            memset(words[i], 'v', (size_t)size);
        }
        spans[i] =
            (struct tacit_kv_span){.bytes = (const uint8_t *)words[i], .size = (uint32_t)size};
    }
    command->size = tacit_kv_request_encode(command->bytes, sizeof command->bytes,
                                            (enum tacit_kv_command)number, spans, count);
    assert_true(command->size > 0);
}

enum { MOST = 24 };

// Executes commands as a batch and what is left of them as another, and so on: the one that found
// no room even as the first goes alone. Compares with `expected`. Returns how often it was cut.
static uint32_t in_batches(struct machine *machine, const struct command *commands, uint32_t count,
                           uint8_t expected[][REPLY], const size_t *expected_bytes, bool query)
{
    static uint8_t batch[MOST * REQUEST];
    uint32_t cuts = 0;
    for (uint32_t done = 0; done < count;) {
        size_t used = tacit_kv_batch_begin(batch);
        for (uint32_t i = done; i < count; i++) {
            used =
                tacit_kv_batch_add(batch, sizeof batch, used, commands[i].bytes, commands[i].size);
            assert_true(used > 0);
        }
        struct tacit_kv_reply reply = apply(machine, batch, used, REPLY, query);
        assert_int_equal(reply.kind, TACIT_KV_REPLY_ARRAY);
        assert_true(reply.elements <= count - done);
        for (uint32_t i = 0; i < reply.elements; i++) {
            struct tacit_kv_span one = tacit_kv_reply_next(&reply);
            assert_int_equal(one.size, expected_bytes[done + i]);
            assert_memory_equal(one.bytes, expected[done + i], one.size);
        }
        done += reply.elements;
        cuts += done < count;
        if (reply.elements == 0) {
            (void)apply(machine, commands[done].bytes, commands[done].size, REPLY, query);
            assert_int_equal(machine->reply_bytes, expected_bytes[done]);
            assert_memory_equal(machine->reply, expected[done], machine->reply_bytes);
            done++;
        }
    }
    return cuts;
}

static void batches__do_what_their_commands_do(void **state)
{
    (void)state;
    static struct command commands[MOST];
    static uint8_t expected[MOST][REPLY];
    size_t expected_bytes[MOST];
    struct machine one;
    struct machine two;
    machine_open(&one);
    machine_open(&two);
    random_state = 11;
    uint32_t cuts = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        bool query = round % 4 == 3;
        uint32_t count = 1 + below(MOST);
        for (uint32_t i = 0; i < count; i++) {
            draw(&commands[i], query);
            (void)apply(&one, commands[i].bytes, commands[i].size, REPLY, query);
            expected_bytes[i] = one.reply_bytes;
            memcpy(expected[i], one.reply, one.reply_bytes);
        }
        cuts += in_batches(&two, commands, count, expected, expected_bytes, query);
        assert_memory_equal(one.host.arena, two.host.arena, ARENA);
    }
    assert_true(cuts > 1000);
    machine_close(&one);
    machine_close(&two);
}

// ---- malformed ------------------------------------------------------------------------

// A batch of SET a 1, INCR a, GET a.
static size_t good_batch(uint8_t *out, size_t max)
{
    struct tacit_kv_span spans[2] = {{.bytes = (const uint8_t *)"a", .size = 1},
                                     {.bytes = (const uint8_t *)"1", .size = 1}};
    static const enum tacit_kv_command numbers[] = {TACIT_KV_SET, TACIT_KV_INCR, TACIT_KV_GET};
    size_t used = tacit_kv_batch_begin(out);
    for (uint32_t i = 0; i < 3; i++) {
        uint8_t one[64];
        size_t size = tacit_kv_request_encode(one, sizeof one, numbers[i], spans, i == 0 ? 2 : 1);
        used = tacit_kv_batch_add(out, max, used, one, size);
        assert_true(used > 0);
    }
    return used;
}

static void expect_refusal(struct machine *machine, const uint8_t *bytes, size_t size)
{
    static uint8_t before[ARENA];
    struct tacit_kv_request batch;
    memcpy(before, machine->host.arena, ARENA);
    assert_int_equal(tacit_kv_batch_decode(&batch, bytes, size), TACIT_VERDICT_MALFORMED);
    for (uint32_t query = 0; query < 2; query++) {
        struct tacit_kv_reply reply = apply(machine, bytes, size, REPLY, query == 1);
        assert_int_equal(reply.kind, TACIT_KV_REPLY_ERROR);
        assert_memory_equal(machine->host.arena, before, ARENA);
    }
}

static void malformed_batch__is_refused_as_a_whole(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine);
    uint8_t good[256] = {0};
    uint8_t bad[256] = {0};
    size_t size = good_batch(good, sizeof good);
    assert_true(size > 13 && size < sizeof bad);
    for (size_t cut = 0; cut < size; cut++) {
        expect_refusal(&machine, good, cut);
    }
    memcpy(bad, good, size);
    bad[size] = 0;
    expect_refusal(&machine, bad, size + 1);
    // Where each byte is: header 4, then 4 of length before a request with a header of 4.
    const struct {
        size_t at;
        uint8_t value;
    } changes[] = {
        {1, 1}, // no zero
        {2, 2},
        {2, 4},
        {2, 0},
        {3, 1},
        {3, 0xff}, // count
        {4, 0},
        {4, 3},
        {4, 13},
        {4, 15},
        {7, 0x80}, // length of the first
        {8, 0},
        {8, TACIT_KV_COMMAND_END},
        {8, 255},            // its command
        {8, TACIT_KV_BATCH}, // nested
        {9, 1},
        {10, 1},
        {10, 3},
        {11, 1},
        {12, 2},
        {12, 0}, // its own strings
    };
    assert_int_equal(good[4], 14);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        memcpy(bad, good, size);
        assert_int_not_equal(bad[changes[i].at], changes[i].value);
        bad[changes[i].at] = changes[i].value;
        expect_refusal(&machine, bad, size);
    }
    // Whatever is wrong with the last one only, the first two are not executed.
    memcpy(bad, good, size);
    bad[size - 1 - 4 - 4] = TACIT_KV_COMMAND_END;
    expect_refusal(&machine, bad, size);
    // A whole batch inside a batch; an empty one; one with too many commands.
    uint8_t outer[300];
    size_t used = tacit_kv_batch_begin(outer);
    expect_refusal(&machine, outer, used);
    used = tacit_kv_batch_add(outer, sizeof outer, used, good, size);
    expect_refusal(&machine, outer, used);
    static uint8_t many[16 * (TACIT_KV_BATCH_COMMANDS_MAX + 1)];
    uint8_t get[16];
    struct tacit_kv_span key = {.bytes = (const uint8_t *)"a", .size = 1};
    size_t get_bytes = tacit_kv_request_encode(get, sizeof get, TACIT_KV_GET, &key, 1);
    used = tacit_kv_batch_begin(many);
    for (uint32_t i = 0; i < TACIT_KV_BATCH_COMMANDS_MAX; i++) {
        used = tacit_kv_batch_add(many, sizeof many, used, get, get_bytes);
        assert_true(used > 0);
    }
    assert_int_equal(tacit_kv_batch_add(many, sizeof many, used, get, get_bytes), 0);
    struct tacit_kv_reply reply = apply(&machine, many, used, REPLY, true);
    assert_int_equal(reply.kind, TACIT_KV_REPLY_ARRAY);
    assert_int_equal(reply.elements, (REPLY - 5 - 4 - TACIT_KV_SMALL_REPLY_MAX) / 5 + 1); // nil
    memcpy(many + used, many + TACIT_KV_REQUEST_HEADER, 4 + get_bytes); // one more all the same
    many[2] = (uint8_t)((TACIT_KV_BATCH_COMMANDS_MAX + 1) & 255);
    many[3] = (uint8_t)((TACIT_KV_BATCH_COMMANDS_MAX + 1) >> 8);
    expect_refusal(&machine, many, used + 4 + get_bytes);
    // And the good one is good, but no read.
    assert_int_equal(apply(&machine, good, size, REPLY, true).kind, TACIT_KV_REPLY_ERROR);
    reply = apply(&machine, good, size, REPLY, false);
    assert_int_equal(reply.elements, 3);
    (void)tacit_kv_reply_next(&reply);
    (void)tacit_kv_reply_next(&reply);
    assert_memory_equal(tacit_kv_reply_next(&reply).bytes,
                        "\4"
                        "2",
                        2);
    machine_close(&machine);
}

static void batch_of_reads__is_a_read(void **state)
{
    (void)state;
    uint8_t batch[512];
    struct command command;
    random_state = 5;
    for (uint32_t round = 0; round < 200; round++) {
        bool all = true;
        size_t used = tacit_kv_batch_begin(batch);
        for (uint32_t i = 0; i < 4; i++) {
            do {
                draw(&command, below(4) != 0);
            } while (command.size > 100);
            all = all && tacit_kv_command_reads(command.bytes[0]);
            used = tacit_kv_batch_add(batch, sizeof batch, used, command.bytes, command.size);
            assert_true(used > 0);
        }
        assert_int_equal(tacit_kv_request_reads(batch, used), all);
    }
}

// What a packer relies on: with so much room for each, nothing but GET and MGET cuts a batch; and
// a value has the same limit in a batch as alone.
static void replies__have_a_bound(void **state)
{
    (void)state;
    static struct command commands[MOST];
    static uint8_t batch[MOST * REQUEST];
    struct machine machine;
    machine_open(&machine);
    random_state = 23;
    for (uint32_t round = 0; round < 3000; round++) {
        uint32_t count = 1 + below(10);
        size_t used = tacit_kv_batch_begin(batch);
        for (uint32_t i = 0; i < count; i++) {
            do {
                draw(&commands[i], false);
            } while (commands[i].bytes[0] == TACIT_KV_GET || commands[i].bytes[0] == TACIT_KV_MGET);
            used =
                tacit_kv_batch_add(batch, sizeof batch, used, commands[i].bytes, commands[i].size);
            assert_true(used > 0);
        }
        size_t room = 1 + TACIT_KV_LENGTH_BYTES +
                      (size_t)count * (TACIT_KV_LENGTH_BYTES + TACIT_KV_SMALL_REPLY_MAX);
        struct tacit_kv_reply reply = apply(&machine, batch, used, room, false);
        assert_int_equal(reply.kind, TACIT_KV_REPLY_ARRAY);
        assert_int_equal(reply.elements, count);
        // However little room there is, nothing is written beyond it.
        (void)apply(&machine, batch, used, below((uint32_t)room), false);
    }
    machine_close(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches__do_what_their_commands_do),
        cmocka_unit_test(malformed_batch__is_refused_as_a_whole),
        cmocka_unit_test(batch_of_reads__is_a_read),
        cmocka_unit_test(replies__have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
