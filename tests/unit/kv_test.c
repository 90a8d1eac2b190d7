// SPDX-License-Identifier: Apache-2.0
//
// The key-value application: results and errors as Redis gives them; 100,000 random operations
// against a plain model, on two copies of which one moves through memory, with every page checked
// to be announced before it changes; a full arena; trees of colliding keys; and the codec.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/kv/kv.h"
#include "apps/kv/kv_store.h"
#include "apps/kv/kv_wire.h"

enum { REQUEST_MAX = 70000, REPLY_MAX = 4096, PAGES_MAX = 1024 };

struct machine {
    struct tacit_app_host host; // first: touch() gets it back
    uint8_t *before;            // the arena as it was before the present call
    bool touched[PAGES_MAX];
    uint8_t request[REQUEST_MAX];
    size_t request_bytes;
    uint8_t reply[REPLY_MAX];
    size_t reply_bytes;
    size_t reply_max;
    uint64_t index;
};

static void on_touch(struct tacit_app_host *host, const void *address, size_t bytes)
{
    struct machine *machine = (struct machine *)host;
    const uint8_t *arena = host->arena;
    const uint8_t *from = address;
    assert_true(from >= arena && from + bytes <= arena + host->arena_bytes);
    if (bytes == 0) {
        return;
    }
    size_t last = (size_t)(from - arena + (ptrdiff_t)bytes - 1) / TACIT_PAGE_BYTES;
    for (size_t page = (size_t)(from - arena) / TACIT_PAGE_BYTES; page <= last; page++) {
        if (!machine->touched[page]) {
            machine->touched[page] = true;
            assert_memory_equal(arena + page * TACIT_PAGE_BYTES,
                                machine->before + page * TACIT_PAGE_BYTES, TACIT_PAGE_BYTES);
        }
    }
}

// Whatever changed was announced; the next call starts from what is there now.
static void check_touched(struct machine *machine)
{
    uint8_t *arena = machine->host.arena;
    for (size_t page = 0; page < machine->host.arena_bytes / TACIT_PAGE_BYTES; page++) {
        size_t at = page * TACIT_PAGE_BYTES;
        if (machine->touched[page]) {
            memcpy(machine->before + at, arena + at, TACIT_PAGE_BYTES);
            machine->touched[page] = false;
        } else {
            assert_memory_equal(arena + at, machine->before + at, TACIT_PAGE_BYTES);
        }
    }
}

static void check_store(struct machine *machine)
{
    struct tacit_kv_store store = tacit_kv_store_of(&machine->host);
    const char *broken = tacit_kv_check(&store);
    if (broken != NULL) {
        fail_msg("%s", broken);
    }
}

static struct machine *machine_open(size_t arena_bytes)
{
    struct machine *machine = calloc(1, sizeof *machine);
    assert_non_null(machine);
    machine->host.arena = aligned_alloc(TACIT_PAGE_BYTES, arena_bytes);
    machine->host.arena_bytes = arena_bytes;
    machine->host.touch = on_touch;
    machine->before = calloc(1, arena_bytes);
    machine->reply_max = REPLY_MAX;
    assert_non_null(machine->host.arena);
    assert_non_null(machine->before);
    memset(machine->host.arena, 0, arena_bytes);
    struct tacit_error error;
    assert_int_equal(tacit_kv_app.init(&machine->host, "", &error), TACIT_OK);
    check_touched(machine);
    check_store(machine);
    return machine;
}

static void machine_close(struct machine *machine)
{
    free(machine->host.arena);
    free(machine->before);
    free(machine);
}

// The arena at another address, as on a replica that got it by state transfer.
static void machine_move(struct machine *machine)
{
    uint8_t *fresh = aligned_alloc(TACIT_PAGE_BYTES, machine->host.arena_bytes);
    assert_non_null(fresh);
    memcpy(fresh, machine->host.arena, machine->host.arena_bytes);
    memset(machine->host.arena, 0xee, machine->host.arena_bytes);
    free(machine->host.arena);
    machine->host.arena = fresh;
    if (tacit_kv_app.reload != NULL) {
        tacit_kv_app.reload(&machine->host);
    }
}

static struct tacit_kv_span span_of(const char *text)
{
    return (struct tacit_kv_span){.bytes = (const uint8_t *)text, .size = (uint32_t)strlen(text)};
}

static struct tacit_kv_reply apply_bytes(struct machine *machine, const void *bytes, size_t size)
{
    struct tacit_request request = {.bytes = bytes, .size = size, .index = machine->index++};
    memset(machine->reply, 0xcc, sizeof machine->reply);
    machine->reply_bytes =
        tacit_kv_app.apply(&machine->host, &request, machine->reply, machine->reply_max);
    assert_true(machine->reply_bytes <= machine->reply_max);
    for (size_t i = machine->reply_max; i < sizeof machine->reply; i++) {
        assert_int_equal(machine->reply[i], 0xcc);
    }
    struct tacit_kv_reply reply = {0};
    if (machine->reply_bytes > 0) {
        assert_int_equal(tacit_kv_reply_decode(&reply, machine->reply, machine->reply_bytes),
                         TACIT_VERDICT_OK);
    }
    return reply;
}

static struct tacit_kv_reply apply(struct machine *machine, enum tacit_kv_command command,
                                   const struct tacit_kv_span *arguments, uint32_t count)
{
    machine->request_bytes = tacit_kv_request_encode(machine->request, sizeof machine->request,
                                                     command, arguments, count);
    assert_true(machine->request_bytes > 0);
    return apply_bytes(machine, machine->request, machine->request_bytes);
}

// A command line, words separated by spaces, and its reply as text: nil, OK, (1), "bulk", [a, nil],
// -ERR...
static const char *run(struct machine *machine, const char *line)
{
    static char out[REPLY_MAX + 64];
    char copy[1024];
    snprintf(copy, sizeof copy, "%s", line);
    char *word = strtok(copy, " ");
    enum tacit_kv_command command = tacit_kv_command_find(word, strlen(word));
    assert_int_not_equal(command, TACIT_KV_NONE);
    struct tacit_kv_span arguments[64];
    uint32_t count = 0;
    while ((word = strtok(NULL, " ")) != NULL) {
        arguments[count++] = strcmp(word, "''") == 0 ? span_of("") : span_of(word);
    }
    struct tacit_kv_reply reply = apply(machine, command, arguments, count);
    check_touched(machine);
    check_store(machine);
    switch (reply.kind) {
    case 0:
        return "nothing"; // no room for a reply
    case TACIT_KV_REPLY_NIL:
        return "nil";
    case TACIT_KV_REPLY_OK:
        return "OK";
    case TACIT_KV_REPLY_INTEGER:
        snprintf(out, sizeof out, "(%" PRId64 ")", reply.integer);
        return out;
    case TACIT_KV_REPLY_BULK:
        snprintf(out, sizeof out, "\"%.*s\"", (int)reply.text.size, (const char *)reply.text.bytes);
        return out;
    case TACIT_KV_REPLY_ERROR:
        snprintf(out, sizeof out, "-%.*s", (int)reply.text.size, (const char *)reply.text.bytes);
        return out;
    default:
        break;
    }
    assert_int_equal(reply.kind, TACIT_KV_REPLY_ARRAY);
    size_t used = (size_t)snprintf(out, sizeof out, "[");
    for (uint32_t i = 0; i < reply.elements; i++) {
        struct tacit_kv_span element = tacit_kv_reply_next(&reply);
        const char *comma = i == 0 ? "" : ", ";
        if (element.bytes == NULL) {
            used += (size_t)snprintf(out + used, sizeof out - used, "%snil", comma);
        } else {
            used += (size_t)snprintf(out + used, sizeof out - used, "%s\"%.*s\"", comma,
                                     (int)element.size, (const char *)element.bytes);
        }
    }
    snprintf(out + used, sizeof out - used, "]");
    return out;
}

static void commands__answer_like_redis(void **state)
{
    (void)state;
    // As redis-server 7.0 answers the same lines.
    static const char *const script[][2] = {
        {"GET a", "nil"},
        {"SET a 1", "OK"},
        {"get a", "\"1\""},
        {"STRLEN a", "(1)"},
        {"STRLEN b", "(0)"},
        {"INCR a", "(2)"},
        {"INCRBY a 40", "(42)"},
        {"INCRBY a -43", "(-1)"},
        {"INCR new", "(1)"},
        {"APPEND a x", "(3)"},
        {"INCR a", "-ERR value is not an integer or out of range"},
        {"INCRBY new 1x", "-ERR value is not an integer or out of range"},
        {"INCRBY new ''", "-ERR value is not an integer or out of range"},
        {"INCRBY new 9223372036854775808", "-ERR value is not an integer or out of range"},
        {"INCRBY new 9223372036854775807", "-ERR increment or decrement would overflow"},
        {"SET low -9223372036854775808", "OK"},
        {"INCRBY low -1", "-ERR increment or decrement would overflow"},
        {"INCRBY low 0", "(-9223372036854775808)"},
        {"INCR low", "(-9223372036854775807)"},
        {"SET z 007", "OK"},
        {"INCR z", "-ERR value is not an integer or out of range"},
        {"SET z +7", "OK"},
        {"INCR z", "-ERR value is not an integer or out of range"},
        {"SET z -0", "OK"},
        {"INCR z", "-ERR value is not an integer or out of range"},
        {"SET z -", "OK"},
        {"INCR z", "-ERR value is not an integer or out of range"},
        {"SET z ''", "OK"},
        {"INCR z", "-ERR value is not an integer or out of range"},
        {"GET z", "\"\""},
        {"SET z 99999999999999999999", "OK"},
        {"INCR z", "-ERR value is not an integer or out of range"},
        {"SET z 0", "OK"},
        {"INCR z", "(1)"},
        {"SET z -9", "OK"},
        {"INCR z", "(-8)"},
        {"APPEND fresh abc", "(3)"},
        {"APPEND fresh def", "(6)"},
        {"GET fresh", "\"abcdef\""},
        {"APPEND empty ''", "(0)"},
        {"EXISTS empty", "(1)"},
        {"MSET k1 v1 k2 v2 k1 v3", "OK"},
        {"MGET k1 nothing k2 k1", "[\"v3\", nil, \"v2\", \"v3\"]"},
        {"EXISTS k1 k2 k1 nothing", "(3)"},
        {"DEL k1 k1 nothing k2", "(2)"},
        {"EXISTS k1", "(0)"},
        {"SET '' x", "OK"},
        {"GET ''", "\"x\""},
        {"GET", "-ERR wrong number of arguments for 'get' command"},
        {"GET a b", "-ERR wrong number of arguments for 'get' command"},
        {"SET a", "-ERR wrong number of arguments for 'set' command"},
        {"SET a b c", "-ERR wrong number of arguments for 'set' command"},
        {"DEL", "-ERR wrong number of arguments for 'del' command"},
        {"MSET a", "-ERR wrong number of arguments for 'mset' command"},
        {"MSET a b c", "-ERR wrong number of arguments for 'mset' command"},
        {"INCRBY a", "-ERR wrong number of arguments for 'incrby' command"},
        {"MGET", "-ERR wrong number of arguments for 'mget' command"},
        {"APPEND a", "-ERR wrong number of arguments for 'append' command"},
    };
    struct machine *machine = machine_open(16 * TACIT_PAGE_BYTES);
    for (size_t i = 0; i < sizeof script / sizeof *script; i++) {
        assert_string_equal(run(machine, script[i][0]), script[i][1]);
    }
    machine_close(machine);
}

static void values__have_a_limit_that_get_can_return(void **state)
{
    (void)state;
    struct machine *machine = machine_open(64 * TACIT_PAGE_BYTES);
    machine->reply_max = 101;
    char line[300] = "SET a ";
    memset(line + 6, 'v', 100);
    assert_string_equal(run(machine, line), "OK");
    assert_int_equal(strlen(run(machine, "GET a")), 102);
    assert_string_equal(run(machine, "APPEND a x"), "-ERR string exceeds maximum allowed size");
    line[106] = 'v';
    assert_string_equal(run(machine, line), "-ERR string exceeds maximum allowed size");
    line[0] = 'M';
    memmove(line + 5, line + 4, 200);
    memcpy(line, "MSET ", 5);
    assert_string_equal(run(machine, line), "-ERR string exceeds maximum allowed size");
    assert_string_equal(run(machine, "MGET a a"), "-ERR reply too large");
    assert_int_equal(strlen(run(machine, "GET a")), 102);
    char *big = malloc(66000);
    assert_non_null(big);
    memset(big, 'k', 66000);
    struct tacit_kv_span arguments[2] = {{.bytes = (const uint8_t *)big, .size = 65536},
                                         span_of("v")};
    struct tacit_kv_reply reply = apply(machine, TACIT_KV_SET, arguments, 2);
    assert_int_equal(reply.kind, TACIT_KV_REPLY_ERROR);
    arguments[0].size = 65535;
    reply = apply(machine, TACIT_KV_SET, arguments, 2);
    assert_int_equal(reply.kind, TACIT_KV_REPLY_OK);
    reply = apply(machine, TACIT_KV_GET, arguments, 1);
    assert_int_equal(reply.kind, TACIT_KV_REPLY_BULK);
    free(big);
    // However small the room for the reply is, nothing is written beyond it.
    for (machine->reply_max = 0; machine->reply_max < 40; machine->reply_max++) {
        run(machine, "SET b 1");
        arguments[0] = span_of("b");
        (void)apply(machine, TACIT_KV_MGET, arguments, 1);
        (void)apply(machine, TACIT_KV_INCR, arguments, 1);
        (void)apply(machine, TACIT_KV_APPEND, arguments, 2);
        (void)apply(machine, TACIT_KV_GET, arguments, 2);
        check_touched(machine);
    }
    machine_close(machine);
}

// ---- random operations against a model ------------------------------------------------

enum { MODEL_KEYS = 60, MODEL_VALUE_MAX = 700 };

struct model_entry {
    bool present;
    uint32_t size;
    uint8_t value[MODEL_VALUE_MAX];
};

struct property {
    struct model_entry entries[MODEL_KEYS];
    char keys[MODEL_KEYS][48];
    uint64_t random;
    uint64_t full; // OOM replies seen
};

static uint32_t below(struct property *property, uint32_t bound)
{
    property->random = property->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(property->random >> 33) % bound;
}

static bool is_full(const struct tacit_kv_reply *reply)
{
    return reply->kind == TACIT_KV_REPLY_ERROR && reply->text.size > 3 &&
           memcmp(reply->text.bytes, "OOM", 3) == 0;
}

static void expect_integer(const struct tacit_kv_reply *reply, int64_t value)
{
    assert_int_equal(reply->kind, TACIT_KV_REPLY_INTEGER);
    assert_int_equal(reply->integer, value);
}

static void store_model(struct model_entry *entry, struct tacit_kv_span value)
{
    entry->present = true;
    entry->size = value.size;
    memcpy(entry->value, value.bytes, value.size);
}

static void step_set(struct property *property, struct machine *machine,
                     struct tacit_kv_span *arguments, uint8_t *bytes)
{
    uint32_t pairs = below(property, 3) == 0 ? 1 + below(property, 5) : 1;
    uint32_t which[5];
    for (uint32_t i = 0; i < pairs; i++) {
        which[i] = below(property, MODEL_KEYS);
        arguments[2 * i] = span_of(property->keys[which[i]]);
        uint32_t size = below(property, 8u << below(property, 7));
        uint8_t *value = bytes + i * MODEL_VALUE_MAX;
        for (uint32_t at = 0; at < size; at++) {
            value[at] = (uint8_t)below(property, 256);
        }
        if (below(property, 3) == 0) { // something that INCR takes
            size = (uint32_t)sprintf((char *)value, "%d", (int)below(property, 2000) - 1000);
        }
        arguments[2 * i + 1] = (struct tacit_kv_span){.bytes = value, .size = size};
    }
    struct tacit_kv_reply reply =
        apply(machine, pairs == 1 ? TACIT_KV_SET : TACIT_KV_MSET, arguments, 2 * pairs);
    if (is_full(&reply)) {
        property->full++;
        return;
    }
    assert_int_equal(reply.kind, TACIT_KV_REPLY_OK);
    for (uint32_t i = 0; i < pairs; i++) {
        store_model(&property->entries[which[i]], arguments[2 * i + 1]);
    }
}

static void step_append(struct property *property, struct machine *machine,
                        struct tacit_kv_span *arguments, uint8_t *bytes)
{
    uint32_t which = below(property, MODEL_KEYS);
    struct model_entry *entry = &property->entries[which];
    uint32_t old = entry->present ? entry->size : 0;
    uint32_t size = below(property, 40);
    if (old + size > MODEL_VALUE_MAX) {
        return;
    }
    memset(bytes, (int)('a' + below(property, 26)), size);
    arguments[0] = span_of(property->keys[which]);
    arguments[1] = (struct tacit_kv_span){.bytes = bytes, .size = size};
    struct tacit_kv_reply reply = apply(machine, TACIT_KV_APPEND, arguments, 2);
    if (is_full(&reply)) {
        property->full++;
        return;
    }
    expect_integer(&reply, old + size);
    memcpy(entry->value + old, bytes, size);
    entry->size = old + size;
    entry->present = true;
}

static void step_incr(struct property *property, struct machine *machine,
                      struct tacit_kv_span *arguments)
{
    uint32_t which = below(property, MODEL_KEYS);
    struct model_entry *entry = &property->entries[which];
    char text[32] = "0";
    char canonical[32];
    if (entry->present) {
        snprintf(text, sizeof text, "%.*s", (int)entry->size, (char *)entry->value);
    }
    int value = atoi(text);
    sprintf(canonical, "%d", value);
    bool integer = strcmp(text, canonical) == 0 && (!entry->present || entry->size < 10);
    int step = (int)below(property, 200) - 100;
    char step_text[16];
    sprintf(step_text, "%d", step);
    arguments[0] = span_of(property->keys[which]);
    arguments[1] = span_of(step_text);
    struct tacit_kv_reply reply = apply(machine, TACIT_KV_INCRBY, arguments, 2);
    if (is_full(&reply)) {
        property->full++;
        return;
    }
    if (!integer) {
        assert_int_equal(reply.kind, TACIT_KV_REPLY_ERROR);
        return;
    }
    expect_integer(&reply, value + step);
    sprintf(text, "%d", value + step);
    store_model(entry, span_of(text));
}

static void step_many(struct property *property, struct machine *machine,
                      struct tacit_kv_span *arguments)
{
    uint32_t which[6];
    uint32_t count = 1 + below(property, 6);
    for (uint32_t i = 0; i < count; i++) {
        which[i] = below(property, MODEL_KEYS);
        arguments[i] = span_of(property->keys[which[i]]);
    }
    uint32_t kind = below(property, 3);
    enum tacit_kv_command command = kind == 0   ? TACIT_KV_DEL
                                    : kind == 1 ? TACIT_KV_EXISTS
                                                : TACIT_KV_MGET;
    struct tacit_kv_reply reply = apply(machine, command, arguments, count);
    int64_t present = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct model_entry *entry = &property->entries[which[i]];
        present += entry->present;
        if (kind == 0) {
            entry->present = false;
        }
        if (kind == 2) {
            struct tacit_kv_span element = tacit_kv_reply_next(&reply);
            assert_int_equal(element.bytes != NULL, entry->present);
            if (entry->present) {
                assert_int_equal(element.size, entry->size);
                assert_memory_equal(element.bytes, entry->value, entry->size);
            }
        }
    }
    if (kind != 2) {
        expect_integer(&reply, present);
    }
}

static void step_read(struct property *property, struct machine *machine,
                      struct tacit_kv_span *arguments)
{
    uint32_t which = below(property, MODEL_KEYS);
    const struct model_entry *entry = &property->entries[which];
    arguments[0] = span_of(property->keys[which]);
    struct tacit_kv_reply reply = apply(machine, TACIT_KV_STRLEN, arguments, 1);
    expect_integer(&reply, entry->present ? entry->size : 0);
    reply = apply(machine, TACIT_KV_GET, arguments, 1);
    if (!entry->present) {
        assert_int_equal(reply.kind, TACIT_KV_REPLY_NIL);
        return;
    }
    assert_int_equal(reply.kind, TACIT_KV_REPLY_BULK);
    assert_int_equal(reply.text.size, entry->size);
    assert_memory_equal(reply.text.bytes, entry->value, entry->size);
}

// The second machine gets the same request and must end up with the same bytes and reply.
static void repeat(const struct machine *from, struct machine *to)
{
    (void)apply_bytes(to, from->request, from->request_bytes);
    assert_int_equal(to->reply_bytes, from->reply_bytes);
    assert_memory_equal(to->reply, from->reply, from->reply_bytes);
}

static void random_operations__match_a_model(void **state)
{
    (void)state;
    enum { OPERATIONS = 100000 };
    static struct property property;
    property.random = 7;
    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        sprintf(property.keys[i], "key%0*u", (int)(1 + i % 30), i);
    }
    // Small enough that it is full now and then.
    struct machine *one = machine_open(2 * TACIT_PAGE_BYTES);
    struct machine *two = machine_open(2 * TACIT_PAGE_BYTES);
    static uint8_t bytes[5 * MODEL_VALUE_MAX];
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        struct tacit_kv_span arguments[16];
        one->request_bytes = 0;
        switch (below(&property, 6)) {
        case 0:
        case 1:
            step_set(&property, one, arguments, bytes);
            break;
        case 2:
            step_append(&property, one, arguments, bytes);
            break;
        case 3:
            step_incr(&property, one, arguments);
            break;
        case 4:
            step_many(&property, one, arguments);
            break;
        default:
            step_read(&property, one, arguments);
            break;
        }
        check_touched(one);
        if (one->request_bytes > 0) {
            repeat(one, two);
        }
        if (i % 64 == 0) {
            check_store(one);
            assert_memory_equal(one->host.arena, two->host.arena, one->host.arena_bytes);
            machine_move(two);
        }
    }
    assert_true(property.full > 100); // the arena was full at times
    assert_true(property.full < OPERATIONS / 4);
    machine_close(one);
    machine_close(two);
}

static void full_arena__refuses_and_recovers(void **state)
{
    (void)state;
    struct machine *machine = machine_open(16 * TACIT_PAGE_BYTES);
    uint64_t free_before = tacit_kv_store_of(&machine->host).header->free_units;
    for (uint32_t round = 0; round < 5; round++) {
        char line[800];
        uint32_t keys = 0;
        char value[301];
        memset(value, 'v', sizeof value - 1);
        value[20 + round * 70] = '\0';
        for (;;) {
            snprintf(line, sizeof line, "SET key:%u %s", keys, value);
            const char *reply = run(machine, line);
            if (strcmp(reply, "OK") != 0) {
                assert_string_equal(reply, "-OOM command not allowed: the store is full");
                break;
            }
            keys++;
        }
        assert_true(keys > 100);
        // At most a block of this size is left, so little was lost to the allocator itself.
        struct tacit_kv_store store = tacit_kv_store_of(&machine->host);
        assert_true(store.header->free_units * TACIT_KV_UNIT < strlen(value) + 100);
        // All or nothing; and the old values are still there.
        snprintf(line, sizeof line, "MSET key:0 changed key:1 changed new:0 %s new:1 %s", value,
                 value);
        assert_string_equal(run(machine, line), "-OOM command not allowed: the store is full");
        assert_string_equal(run(machine, "EXISTS new:0 new:1"), "(0)");
        snprintf(line, sizeof line, "\"%s\"", value);
        assert_string_equal(run(machine, "GET key:0"), line);
        for (uint32_t i = 0; i < keys; i++) {
            // In an order that leaves holes first.
            snprintf(line, sizeof line, "DEL key:%u", i * 2 < keys ? i * 2 : (i * 2 - keys) | 1);
            run(machine, line);
        }
        for (uint32_t i = 0; i < keys; i++) {
            snprintf(line, sizeof line, "DEL key:%u", i);
            run(machine, line);
        }
        assert_int_equal(store.header->keys, 0);
        assert_int_equal(store.header->free_units, free_before);
    }
    machine_close(machine);
}

// All keys in one bucket, as an attacker would choose them: the tree stays low and right.
static void colliding_keys__make_a_balanced_tree(void **state)
{
    (void)state;
    struct machine *machine = machine_open(256 * TACIT_PAGE_BYTES);
    struct tacit_kv_store store = tacit_kv_store_of(&machine->host);
    machine->touched[0] = true;
    store.header->bucket_count = 1;
    check_touched(machine);
    enum { KEYS = 4000 };
    static bool present[KEYS];
    struct property property = {.random = 3};
    int64_t count = 0;
    for (uint32_t i = 0; i < 60000; i++) {
        char key[16];
        // Grows, shrinks, grows: many keys at first, later ever fewer stay.
        uint32_t which = below(&property, KEYS);
        bool add = below(&property, 100) < (i / 10000 % 2 == 0 ? 80u : 20u);
        sprintf(key, "%u", which);
        struct tacit_kv_span arguments[2] = {span_of(key), span_of(key)};
        struct tacit_kv_reply reply =
            apply(machine, add ? TACIT_KV_SET : TACIT_KV_DEL, arguments, add ? 2 : 1);
        if (!add) {
            expect_integer(&reply, present[which]);
        }
        present[which] = add;
        if (i % 500 == 0) {
            check_store(machine);
        }
        memset(machine->touched, 1, sizeof machine->touched); // pages are checked elsewhere
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[16];
        sprintf(key, "%u", i);
        struct tacit_kv_span argument = span_of(key);
        assert_int_equal(tacit_kv_find(&store, argument) != 0, present[i]);
        count += present[i];
    }
    assert_int_equal(store.header->keys, count);
    const struct tacit_kv_block *root = tacit_kv_block_at(&store, store.buckets[0]);
    assert_true(root->height <= 17); // 1.44 * log2(4000)
    machine_close(machine);
}

static void init__refuses_options_and_small_arenas(void **state)
{
    (void)state;
    struct machine *machine = machine_open(TACIT_PAGE_BYTES);
    struct tacit_error error;
    assert_string_equal(run(machine, "SET a b"), "OK");
    assert_int_equal(tacit_kv_app.init(&machine->host, "x=1", &error), TACIT_EINVAL);
    assert_non_null(strstr(error.text, "x=1"));
    machine->host.arena_bytes = 512;
    assert_int_equal(tacit_kv_app.init(&machine->host, "", &error), TACIT_EINVAL);
    assert_non_null(strstr(error.text, "512"));
    machine_close(machine);
}

// ---- codec ----------------------------------------------------------------------------

static void request__refuses_everything_but_the_canonical_form(void **state)
{
    (void)state;
    struct tacit_kv_span arguments[3] = {span_of("a"), span_of(""), span_of("bcd")};
    uint8_t good[64];
    size_t size = tacit_kv_request_encode(good, sizeof good, TACIT_KV_MGET, arguments, 3);
    assert_int_equal(size, 4 + 3 * 4 + 4);
    for (size_t max = 0; max < size; max++) {
        assert_int_equal(tacit_kv_request_encode(good, max, TACIT_KV_MGET, arguments, 3), 0);
    }
    assert_int_equal(tacit_kv_request_encode(good, sizeof good, TACIT_KV_MGET, arguments, 3), size);
    struct tacit_kv_request request;
    assert_int_equal(tacit_kv_request_decode(&request, good, size), TACIT_VERDICT_OK);
    for (uint32_t i = 0; i < 3; i++) {
        struct tacit_kv_span span = tacit_kv_request_next(&request);
        assert_int_equal(span.size, arguments[i].size);
        assert_memory_equal(span.bytes, arguments[i].bytes, span.size);
    }
    struct machine *machine = machine_open(TACIT_PAGE_BYTES);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *exact = malloc(cut == 0 ? 1 : cut);
        assert_non_null(exact);
        memcpy(exact, good, cut);
        assert_int_equal(tacit_kv_request_decode(&request, exact, cut), TACIT_VERDICT_MALFORMED);
        assert_int_equal(apply_bytes(machine, exact, cut).kind, TACIT_KV_REPLY_ERROR);
        free(exact);
    }
    for (size_t at = 0; at < size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            uint8_t bad[65];
            memcpy(bad, good, size);
            bad[at] ^= (uint8_t)(1u << bit);
            enum tacit_verdict verdict = tacit_kv_request_decode(&request, bad, size);
            bool structure = at >= 1 && (at < 8 || (at >= 9 && at < 17));
            if (structure) {
                assert_int_equal(verdict, TACIT_VERDICT_MALFORMED);
            }
        }
    }
    good[size] = 0;
    assert_int_equal(tacit_kv_request_decode(&request, good, size + 1), TACIT_VERDICT_MALFORMED);
    machine_close(machine);
}

static void reply__round_trips_and_refuses_cuts(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct tacit_kv_reply reply;
    const int64_t numbers[] = {0, 1, -1, INT64_MAX, INT64_MIN, 0x0123456789abcdef};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_int_equal(tacit_kv_reply_integer(bytes, sizeof bytes, numbers[i]), 9);
        assert_int_equal(tacit_kv_reply_decode(&reply, bytes, 9), TACIT_VERDICT_OK);
        assert_true(reply.integer == numbers[i]);
    }
    assert_int_equal(tacit_kv_reply_decode(&reply, bytes, 8), TACIT_VERDICT_MALFORMED);
    assert_int_equal(tacit_kv_reply_decode(&reply, bytes, 0), TACIT_VERDICT_MALFORMED);
    size_t used = tacit_kv_reply_array(bytes, sizeof bytes, 3);
    used = tacit_kv_reply_element(bytes, sizeof bytes, used, span_of("abc"));
    used = tacit_kv_reply_element(bytes, sizeof bytes, used, (struct tacit_kv_span){.bytes = NULL});
    used = tacit_kv_reply_element(bytes, sizeof bytes, used, span_of(""));
    assert_int_equal(used, 5 + 7 + 4 + 4);
    assert_int_equal(tacit_kv_reply_decode(&reply, bytes, used), TACIT_VERDICT_OK);
    assert_memory_equal(tacit_kv_reply_next(&reply).bytes, "abc", 3);
    assert_null(tacit_kv_reply_next(&reply).bytes);
    struct tacit_kv_span empty = tacit_kv_reply_next(&reply);
    assert_non_null(empty.bytes);
    assert_int_equal(empty.size, 0);
    for (size_t cut = 0; cut < used; cut++) {
        assert_int_equal(tacit_kv_reply_decode(&reply, bytes, cut), TACIT_VERDICT_MALFORMED);
    }
    assert_int_equal(tacit_kv_reply_decode(&reply, bytes, used + 1), TACIT_VERDICT_MALFORMED);
    bytes[0] = 7;
    assert_int_equal(tacit_kv_reply_decode(&reply, bytes, used), TACIT_VERDICT_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands__answer_like_redis),
        cmocka_unit_test(values__have_a_limit_that_get_can_return),
        cmocka_unit_test(random_operations__match_a_model),
        cmocka_unit_test(full_arena__refuses_and_recovers),
        cmocka_unit_test(colliding_keys__make_a_balanced_tree),
        cmocka_unit_test(init__refuses_options_and_small_arenas),
        cmocka_unit_test(request__refuses_everything_but_the_canonical_form),
        cmocka_unit_test(reply__round_trips_and_refuses_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
