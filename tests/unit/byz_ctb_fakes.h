// SPDX-License-Identifier: Apache-2.0
//
// The small world of consistent broadcast, its lower half: state, an ideal signer, links that lap
// and regular registers, behind the real headers (this file defines tacit_links_* and
// tacit_registers_*, so it belongs to one program). Included by byz_ctb_world.h only.
#ifndef TACIT_TESTS_BYZ_CTB_FAKES_H
#define TACIT_TESTS_BYZ_CTB_FAKES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "choice/choice.h"
#include "core/base/bug.h"
#include "core/byzantine/ctb.h"
#include "core/byzantine/ctb_internal.h" // what liars write

enum {
    WORLD_N = 5,
    WORLD_TAIL = 16,
    WORLD_IDS = 128,  // of a stream in one epoch, at most
    WORLD_EPOCHS = 2, // 1 and 2
    WORLD_RING = 40,  // messages of a ring
    WORLD_SLOTS = 4,  // bodies beside a ring
    WORLD_JOBS = 24,  // of a signer
    WORLD_OPS = 64,   // of the registers of one replica, at a time
    WORLD_BODY = 1500,
    WORLD_STATE = 1300,
    WORLD_OLD = 32, // what liars keep of the past
    WORLD_RETRY_NS = 20000,
    WORLD_SLOW_NS = 2000,
    WORLD_STEPS_MAX = 30000,
};

struct world_options {
    uint8_t replicas;
    uint8_t liars;  // the highest ids; at most f
    bool quiet;     // no faults at all,
    bool late;      // but that replica 1 is absent for a moment at the start
    bool epochs;    // all go on to a second epoch in the middle
    bool no_memory; // no register is ever written or read
    uint32_t ids;   // that each replica broadcasts in an epoch
};

struct world_message {
    uint64_t at_ns;
    uint32_t bytes;
    uint8_t data[TACIT_CTB_MESSAGE_BYTES];
};

struct world_link {
    uint64_t sent, read;
    uint64_t last_ns;
    struct {
        uint64_t ticket;
        uint32_t bytes;
        uint8_t data[WORLD_BODY];
    } body[WORLD_SLOTS];
    uint64_t tickets;
    struct world_message ring[WORLD_RING]; // last: those that were sent
};

struct world_job {
    struct tacit_signer_done done;
    uint64_t at_ns;
    uint8_t charge;
};

struct world_signer {
    struct tacit_signer signer; // first
    uint8_t self;
    uint32_t count;
    struct world_job jobs[WORLD_JOBS * (WORLD_N + 1)];
    uint32_t queued[TACIT_SIGNER_CHARGES];
};

// A register: what it held when its last write ended, and what is being written.
struct world_register {
    bool is, writing;
    uint8_t value[TACIT_REGISTER_VALUE_BYTES], next[TACIT_REGISTER_VALUE_BYTES];
    uint64_t ticket, done_ns;
};

struct world_op {
    bool is_read;
    uint8_t owner;
    uint32_t index;
    uint64_t ticket, look_ns, at_ns; // a read looks at some moment between its begin and its end
    bool looked, has;
    uint8_t value[TACIT_REGISTER_VALUE_BYTES];
};

struct world_stream {
    uint64_t next;  // model: to be delivered
    uint64_t chain; // digest of all that was delivered
    bool is_later;  // deliver() answered LATER
    uint64_t later_ns;
};

struct world_replica {
    struct tacit_ctb *ctb;
    struct tacit_bodies *bodies;
    struct world_signer signer;
    struct world_register registers[WORLD_EPOCHS + 1][WORLD_N * WORLD_TAIL];
    struct world_op ops[WORLD_OPS];
    uint32_t op_count;
    struct world_stream stream[WORLD_N];
    uint64_t epoch, pause_until_ns, epoch_at_ns, next_broadcast_ns;
    uint32_t broadcasts;
    uint64_t vouch_k[WORLD_N][WORLD_TAIL];
    uint64_t vouch_ns[WORLD_N][WORLD_TAIL];
    bool dead, lies, has_left;
    uint32_t lie_rate, deaf_rate;
    uint16_t other_side; // receivers that are told something else
};

static struct world {
    struct world_options options;
    struct choice *choice;
    uint64_t now_ns;
    bool healing;
    uint64_t memory_down_ns;
    struct world_replica replica[WORLD_N];
    // What is true: per epoch, stream, id.
    struct {
        bool is;
        uint64_t payload, chain;
    } truth[WORLD_EPOCHS + 1][WORLD_N][WORLD_IDS + 1];
    uint64_t unanimous_seen[WORLD_N][WORLD_N][WORLD_IDS / 64 + 1];
    struct world_message old[WORLD_OLD];
    uint8_t old_value[WORLD_OLD][TACIT_REGISTER_VALUE_BYTES];
    uint32_t olds, old_values;
    uint32_t vouch_never, later_rate, delay_ns, sign_ns, memory_ns;
    bool large;
    uint64_t steps;
    char violation[160];
    struct tacit_digest forged;
    struct world_link links[WORLD_N][WORLD_N]; // last: their messages are not cleared (1.2 MB)
} world;

static uint64_t world_marks[TACIT_MARKS];
static char *world_memory[WORLD_N];

static void world_mark(void *context, unsigned mark)
{
    (void)context;
    world_marks[mark]++;
}

static void world_violate(const char *what, uint32_t replica, uint32_t stream, uint64_t k)
{
    if (world.violation[0] == '\0') {
        (void)snprintf(world.violation, sizeof world.violation,
                       "%s (replica %u, stream %u, id %llu)", what, replica, stream,
                       (unsigned long long)k);
    }
}

static bool world_is_correct(uint32_t r)
{
    return !world.replica[r].lies && !world.replica[r].dead;
}

static uint64_t world_payload_hash(const struct tacit_payload *payload)
{
    uint8_t bytes[TACIT_PAYLOAD_BYTES];
    tacit_payload_encode(bytes, payload);
    return XXH3_64bits(bytes, sizeof bytes);
}

// ---- an ideal signature scheme -----------------------------------------------------------------

static void world_sign(uint16_t author, tacit_domain_t domain, const void *payload, uint32_t bytes,
                       struct tacit_signature *out)
{
    for (uint64_t i = 0; i < 8; i++) {
        uint64_t word = XXH3_64bits_withSeed(
            payload, bytes, 0x9e3779b97f4a7c15ull * (i + 1) + (uint64_t)author * 131 + domain);
        memcpy(out->bytes + 8 * i, &word, 8);
    }
}

static bool world_submit(struct tacit_signer *port, const struct tacit_signer_job *job)
{
    struct world_signer *signer = (struct world_signer *)port;
    if (signer->queued[job->charge] == WORLD_JOBS || job->author >= world.options.replicas) {
        return false;
    }
    signer->queued[job->charge]++;
    struct world_job *queued = &signer->jobs[signer->count++];
    struct tacit_signature made;
    world_sign(job->author, job->domain, job->payload, job->payload_bytes, &made);
    queued->done.cookie = job->cookie;
    queued->done.valid = !job->verify || memcmp(&made, &job->signature, sizeof made) == 0;
    queued->done.signature = job->verify ? job->signature : made;
    queued->charge = job->charge;
    queued->at_ns = world.now_ns + 1 + choice_u32(world.choice, world.sign_ns);
    return true;
}

static bool world_knows(struct tacit_signer *port, uint16_t author)
{
    (void)port;
    return author < world.options.replicas;
}

static const struct tacit_signer_ops world_signer_ops = {.submit = world_submit,
                                                         .knows = world_knows};

// ---- links -------------------------------------------------------------------------------------

static void world_put(uint32_t from, uint32_t to, const void *bytes, uint32_t count)
{
    struct world_link *link = &world.links[from][to];
    struct world_message *message = &link->ring[link->sent++ % WORLD_RING];
    uint64_t at_ns = world.now_ns + 1 + choice_u32(world.choice, world.delay_ns);
    link->last_ns = at_ns > link->last_ns ? at_ns : link->last_ns; // in order
    message->at_ns = link->last_ns;
    message->bytes = count;
    memcpy(message->data, bytes, count);
}

static void world_lie(uint32_t from, uint32_t to, const uint8_t *bytes, uint32_t count);

void tacit_links_send(struct tacit_links *links, tacit_node_t to, const void *message,
                      uint32_t bytes)
{
    uint32_t from = (uint32_t)((struct world_replica *)(void *)links - world.replica);
    if (world.replica[from].lies) {
        world_lie(from, to, message, bytes);
    } else {
        world_put(from, to, message, bytes);
    }
}

void tacit_links_send_all(struct tacit_links *links, const void *message, uint32_t bytes)
{
    uint32_t from = (uint32_t)((struct world_replica *)(void *)links - world.replica);
    for (tacit_node_t to = 0; to < world.options.replicas; to++) {
        if (to != from) {
            tacit_links_send(links, to, message, bytes);
        }
    }
}

uint64_t tacit_links_send_body(struct tacit_links *links, tacit_node_t to, const void *body,
                               uint32_t bytes)
{
    uint32_t from = (uint32_t)((struct world_replica *)(void *)links - world.replica);
    struct world_link *link = &world.links[from][to];
    uint64_t ticket = ++link->tickets;
    link->body[ticket % WORLD_SLOTS].ticket = ticket;
    link->body[ticket % WORLD_SLOTS].bytes = bytes;
    memcpy(link->body[ticket % WORLD_SLOTS].data, body, bytes);
    return ticket;
}

enum tacit_verdict tacit_links_body(struct tacit_links *links, tacit_node_t from, uint64_t ticket,
                                    uint8_t *out, uint32_t max, uint32_t *bytes)
{
    uint32_t self = (uint32_t)((struct world_replica *)(void *)links - world.replica);
    struct world_link *link = &world.links[from][self];
    if (link->body[ticket % WORLD_SLOTS].ticket != ticket) {
        return TACIT_VERDICT_EMPTY;
    }
    *bytes = link->body[ticket % WORLD_SLOTS].bytes;
    if (*bytes > max) {
        return TACIT_VERDICT_MALFORMED;
    }
    memcpy(out, link->body[ticket % WORLD_SLOTS].data, *bytes);
    return TACIT_VERDICT_OK;
}

// ---- registers ---------------------------------------------------------------------------------

static uint64_t world_memory_end(uint64_t begin_ns)
{
    uint64_t end_ns = begin_ns + 1 + choice_u32(world.choice, world.memory_ns);
    return end_ns > world.memory_down_ns ? end_ns : world.memory_down_ns + 1;
}

void tacit_registers_write(struct tacit_registers *registers, uint32_t index, const void *value,
                           uint64_t ticket, tacit_time_ns_t now_ns)
{
    struct world_replica *replica = (struct world_replica *)(void *)registers;
    struct world_register *one = &replica->registers[replica->epoch][index];
    struct choice *choice = world.choice;
    memcpy(world.old_value[world.old_values++ % WORLD_OLD], value, TACIT_REGISTER_VALUE_BYTES);
    one->writing = true;
    one->ticket = ticket;
    one->done_ns = world_memory_end(now_ns);
    if (replica->lies && choice_chance(choice, replica->lie_rate)) {
        switch (choice_u32(choice, 3)) {
        case 0: // keeps the old value
            return;
        case 1: // somebody's value, under this index or another
            memcpy(one->next, world.old_value[choice_u32(choice, WORLD_OLD)], sizeof one->next);
            return;
        default:
            memcpy(one->next, value, sizeof one->next);
            one->next[choice_u32(choice, sizeof one->next)] ^= 1;
            return;
        }
    }
    memcpy(one->next, value, sizeof one->next);
}

bool tacit_registers_read(struct tacit_registers *registers, tacit_node_t owner, uint32_t index,
                          uint64_t ticket, tacit_time_ns_t now_ns)
{
    struct world_replica *replica = (struct world_replica *)(void *)registers;
    if (replica->op_count == WORLD_OPS) {
        return false;
    }
    struct world_op *op = &replica->ops[replica->op_count++];
    *op = (struct world_op){.is_read = true, .owner = (uint8_t)owner, .index = index};
    op->ticket = ticket;
    op->at_ns = world_memory_end(now_ns);
    op->look_ns = now_ns + choice_u32(world.choice, (uint32_t)(op->at_ns - now_ns));
    return true;
}

void tacit_registers_reset(struct tacit_registers *registers)
{
    ((struct world_replica *)(void *)registers)->op_count = 0;
}

// Regular: a read that meets a write sees the old value or the new one.
static void world_look(struct world_replica *reader, struct world_op *op)
{
    const struct world_register *one =
        &world.replica[op->owner].registers[reader->epoch][op->index];
    bool fresh = one->writing && choice_u32(world.choice, 2) == 1;
    op->looked = true;
    op->has = one->is || fresh;
    memcpy(op->value, fresh ? one->next : one->value, sizeof op->value);
}

static void world_registers_turn(uint32_t r)
{
    struct world_replica *replica = &world.replica[r];
    for (uint32_t i = 0; i < world.options.replicas * WORLD_TAIL; i++) {
        struct world_register *one = &replica->registers[replica->epoch][i];
        if (one->writing && one->done_ns <= world.now_ns) {
            one->writing = false;
            one->is = true;
            memcpy(one->value, one->next, sizeof one->value);
            tacit_ctb_register_written(replica->ctb, i, one->ticket);
        }
    }
    for (uint32_t i = 0; i < replica->op_count; i++) {
        struct world_op *op = &replica->ops[i];
        if (!op->looked && op->look_ns <= world.now_ns) {
            world_look(replica, op);
        }
        if (op->looked && op->at_ns <= world.now_ns) {
            struct world_op done = *op;
            replica->ops[i--] = replica->ops[--replica->op_count];
            tacit_ctb_register_read(replica->ctb, done.ticket, done.has ? done.value : NULL);
        }
    }
}

#endif
