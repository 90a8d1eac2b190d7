// SPDX-License-Identifier: Apache-2.0
//
// See registers.h. A copy is one register at one memory node; an own copy has at most one write
// under way. Two rules make reads work:
//  - the two sub-slots are written in turn, and the turn goes on only after a write is done: what
//    may be torn, since its write was lost, is what the next write repairs;
//  - between the completion of a write and the next one lies the cool-down. So a read that is
//    shorter and finds one sub-slot torn began after the other one was whole.
#include "registers.h"

#include <string.h>

#include "../base/bug.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define NEVER UINT64_MAX
#define RETRY_NS 20000u // of a post that found a full queue
#define UNKNOWN (-3)    // a handle that was not asked for

// A sub-slot, word by word.
enum { TACIT_REGISTER_CHECK, TACIT_REGISTER_SEQUENCE, TACIT_REGISTER_VALUE };
enum { TACIT_REGISTERS_READ = 1, TACIT_REGISTERS_WRITE }; // kinds of cookies

struct reg { // an own register: what it is to be everywhere
    uint64_t sequence;
    uint64_t ticket;
    bool is_set;  // by this epoch
    bool is_told; // that it is done at a majority
    uint8_t value[TACIT_REGISTER_VALUE_BYTES];
};

struct copy {              // an own register at a node
    uint64_t flight, done; // sequences; flight 0: no write under way
    tacit_time_ns_t cool_ns;
    uint8_t side; // of the next write
    bool is_lost; // the last write was: the cool-down runs from the next connection
};

struct slot { // a place for one read at one node
    bool is_used;
    bool is_landed; // with a torn sub-slot; not judged yet
    uint32_t read;
    uint64_t number; // of that read: it may have ended and its place be another's
    tacit_time_ns_t posted_ns;
    tacit_time_ns_t polled_ns; // time of the turn in which its completion was found
};

struct node {
    tacit_node_t node;
    bool is_up;
    tacit_incarnation_t incarnation, accepted, last_accepted;
    int32_t own;                        // handle of the own region
    int32_t region[TACIT_REPLICAS_MAX]; // of the others'
    struct copy *copies;
    uint8_t *buffers; // of the writes under way, one a register
    uint64_t *dirty;  // registers that have to be written here
    uint32_t dirty_count;
    tacit_time_ns_t due_ns; // no dirty one can be written before
    struct slot *slots;
    uint8_t *memory; // of the slots
    uint32_t flights;
    tacit_time_ns_t progress_ns; // newest completion, or first post since nothing was under way
};

enum asked { TACIT_ASKED_NOT = 0, TACIT_ASKED_FLIGHT, TACIT_ASKED_ANSWERED };
struct read {
    bool is_used;
    tacit_node_t owner;
    uint32_t index;
    uint64_t ticket, number;
    uint8_t asked[TACIT_MEMNODES_MAX];
    uint64_t sequence; // newest so far; 0: nothing
    uint8_t value[TACIT_REGISTER_VALUE_BYTES];
};

struct tacit_registers {
    struct tacit_registers_config config;
    struct tacit_registers_calls calls;
    struct tacit_fabric *fabric;
    struct tacit_marker marker;
    struct tacit_registers_counters counters;
    struct reg *regs;
    struct read *reads;
    uint64_t read_number;
    uint32_t reads_used;
    tacit_incarnation_t owners[TACIT_REPLICAS_MAX];
    struct node nodes[TACIT_MEMNODES_MAX];
    bool is_stalled;   // a post found a full queue
    uint32_t unjudged; // reads that landed torn
    tacit_time_ns_t now_ns;
};

static uint64_t check_of(const uint8_t *slot)
{
    return XXH3_64bits(slot + 8u * TACIT_REGISTER_SEQUENCE, 8u + TACIT_REGISTER_VALUE_BYTES);
}

static uint32_t majority(const struct tacit_registers *registers)
{
    return registers->config.memnodes / 2u + 1u;
}

// ---- start
// -------------------------------------------------------------------------------------------------------

size_t tacit_registers_region_bytes(const struct tacit_registers_config *config)
{
    return (size_t)config->registers * TACIT_REGISTER_BYTES;
}

static void *take_zero(struct tacit_bump *bump, size_t bytes)
{
    void *at = tacit_bump_take(bump, bytes, TACIT_CACHE_LINE);
    if (at != NULL && bytes > 0) {
        memset(at, 0, bytes);
    }
    return at;
}

static uint32_t map_words(const struct tacit_registers *registers)
{
    return (registers->config.registers + 63) / 64;
}

static void regions_forget(struct node *node)
{
    node->own = UNKNOWN;
    for (unsigned r = 0; r < TACIT_REPLICAS_MAX; r++) {
        node->region[r] = UNKNOWN;
    }
}

struct tacit_registers *tacit_registers_init(struct tacit_bump *bump,
                                             const struct tacit_registers_config *config,
                                             struct tacit_fabric *fabric,
                                             const struct tacit_registers_calls *calls,
                                             struct tacit_marker marker)
{
    TACIT_ASSERT(config->memnodes <= TACIT_MEMNODES_MAX && config->replicas <= TACIT_REPLICAS_MAX);
    struct tacit_registers measured;
    struct tacit_registers *result = tacit_bump_take(bump, sizeof *result, TACIT_CACHE_LINE);
    struct tacit_registers *registers = result == NULL ? &measured : result;
    memset(registers, 0, sizeof *registers);
    registers->config = *config;
    registers->fabric = fabric;
    registers->marker = marker;
    if (calls != NULL) {
        registers->calls = *calls;
    }
    uint32_t count = config->registers;
    registers->regs = take_zero(bump, count * sizeof *registers->regs);
    registers->reads = take_zero(bump, config->reads * sizeof *registers->reads);
    for (uint32_t i = 0; i < config->memnodes; i++) {
        struct node *node = &registers->nodes[i];
        node->node = (tacit_node_t)(TACIT_NODE_MEMNODE + i);
        node->copies = take_zero(bump, count * sizeof *node->copies);
        node->buffers = take_zero(bump, (size_t)count * TACIT_REGISTER_SLOT_BYTES);
        node->dirty = take_zero(bump, 8u * map_words(registers));
        node->slots = take_zero(bump, config->reads * sizeof *node->slots);
        node->memory = take_zero(bump, (size_t)config->reads * TACIT_REGISTER_BYTES);
        node->due_ns = NEVER;
        regions_forget(node);
    }
    return result;
}

// ---- nodes
// -------------------------------------------------------------------------------------------------------

static bool is_ready(const struct node *node)
{
    return node->is_up && node->accepted != 0 &&
           (node->incarnation == node->accepted || TACIT_BUG(REGISTER_OLD_NODE_COUNTS));
}

uint32_t tacit_registers_nodes_up(const struct tacit_registers *registers)
{
    uint32_t up = 0;
    for (uint32_t i = 0; i < registers->config.memnodes; i++) {
        up |= is_ready(&registers->nodes[i]) ? 1u << i : 0;
    }
    return up;
}

static void dirty_set(struct node *node, uint32_t index)
{
    uint64_t bit = 1ull << index % 64;
    node->dirty_count += (node->dirty[index / 64] & bit) == 0;
    node->dirty[index / 64] |= bit;
}

static void dirty_clear(struct node *node, uint32_t index)
{
    uint64_t bit = 1ull << index % 64;
    node->dirty_count -= (node->dirty[index / 64] & bit) != 0;
    node->dirty[index / 64] &= ~bit;
}

// Takes a read that landed out of its slot at a node: NULL if it has ended without this node.
static struct read *unjudge(struct tacit_registers *registers, struct node *node, uint32_t place)
{
    struct slot *slot = &node->slots[place];
    struct read *read = &registers->reads[slot->read];
    slot->is_used = slot->is_landed = false;
    registers->unjudged--;
    if (!read->is_used || read->number != slot->number) {
        return NULL;
    }
    read->asked[node - registers->nodes] = TACIT_ASKED_NOT;
    registers->is_stalled = true; // so that it is asked again
    return read;
}

void tacit_registers_accept(struct tacit_registers *registers, tacit_node_t memnode,
                            tacit_incarnation_t incarnation)
{
    TACIT_ASSERT(memnode >= TACIT_NODE_MEMNODE &&
                 memnode - TACIT_NODE_MEMNODE < registers->config.memnodes);
    struct node *node = &registers->nodes[memnode - TACIT_NODE_MEMNODE];
    node->accepted = incarnation;
    if (incarnation != 0 && incarnation != node->last_accepted) {
        // Its memory is new: nothing is written there, nothing that is under way counts.
        node->last_accepted = incarnation;
        for (uint32_t i = 0; i < registers->config.registers; i++) {
            struct copy *copy = &node->copies[i];
            *copy = (struct copy){.flight = copy->flight};
            if (registers->regs[i].is_set) {
                dirty_set(node, i);
            }
        }
        node->due_ns = 0;
        regions_forget(node);
        for (uint32_t i = 0; i < registers->config.reads; i++) {
            if (node->slots[i].is_landed) {
                (void)unjudge(registers, node, i); // it is asked again, as the new one
            }
        }
    }
}

void tacit_registers_owner(struct tacit_registers *registers, tacit_node_t replica,
                           tacit_incarnation_t incarnation)
{
    TACIT_ASSERT(replica < registers->config.replicas);
    registers->owners[replica] = incarnation;
    for (uint32_t i = 0; i < registers->config.memnodes; i++) {
        registers->nodes[i].region[replica] = UNKNOWN;
    }
}

// Something is under way from now on.
static void flight_start(struct tacit_registers *registers, struct node *node)
{
    if (node->flights++ == 0) {
        node->progress_ns = registers->now_ns;
    }
}

// ---- writing
// -----------------------------------------------------------------------------------------------------

static bool post_write(struct tacit_registers *registers, struct node *node, uint32_t index)
{
    const struct reg *reg = &registers->regs[index];
    struct copy *copy = &node->copies[index];
    uint8_t *buffer = node->buffers + (size_t)index * TACIT_REGISTER_SLOT_BYTES;
    if (node->own < 0) {
        struct tacit_region_key key = {TACIT_REGION_REGISTERS, TACIT_NODE_SELF, 0};
        node->own = registers->fabric->ops->region(registers->fabric, node->node, key);
        if (node->own < 0) {
            return false;
        }
    }
    memcpy(buffer + 8u * TACIT_REGISTER_SEQUENCE, &reg->sequence, 8);
    memcpy(buffer + 8u * TACIT_REGISTER_VALUE, reg->value, TACIT_REGISTER_VALUE_BYTES);
    uint64_t check = check_of(buffer);
    memcpy(buffer, &check, 8);
    struct tacit_op op = {
        .kind = TACIT_OP_WRITE,
        .plane = TACIT_PLANE_BACKGROUND,
        .host = node->node,
        .region = node->own,
        .bytes = TACIT_REGISTER_SLOT_BYTES,
        .offset = (uint64_t)index * TACIT_REGISTER_BYTES +
                  (uint64_t)copy->side * TACIT_REGISTER_SLOT_BYTES,
        .local = buffer,
        .cookie =
            TACIT_COOKIE(TACIT_COOKIE_REGISTERS,
                         (uint64_t)index << 16 | (uint64_t)(node->node - TACIT_NODE_MEMNODE) << 8 |
                             TACIT_REGISTERS_WRITE),
    };
    if (!registers->fabric->ops->post(registers->fabric, &op)) {
        return false;
    }
    if (reg->sequence > copy->done + 1) {
        registers->counters.nodes_skipped++;
        tacit_mark(&registers->marker, TACIT_MARK_REGISTER_SKIPPED);
    }
    copy->flight = reg->sequence;
    flight_start(registers, node);
    return true;
}

// Writes what may be written now, and finds out when the next one may.
static bool write_dirty(struct tacit_registers *registers, struct node *node)
{
    bool worked = false;
    tacit_time_ns_t due_ns = NEVER;
    for (uint32_t word = 0; word < map_words(registers); word++) {
        uint64_t bits = node->dirty[word];
        for (; bits != 0; bits &= bits - 1) {
            uint32_t index = word * 64 + (uint32_t)__builtin_ctzll(bits);
            const struct copy *copy = &node->copies[index];
            if (copy->flight != 0 || copy->is_lost) {
                continue; // its completion, or the next connection, goes on from here
            }
            if (registers->now_ns < copy->cool_ns) {
                tacit_mark(&registers->marker, TACIT_MARK_REGISTER_COOLED);
                due_ns = copy->cool_ns < due_ns ? copy->cool_ns : due_ns;
                continue;
            }
            if (!post_write(registers, node, index)) {
                node->due_ns = registers->now_ns + RETRY_NS;
                return worked;
            }
            worked = true;
        }
    }
    node->due_ns = due_ns;
    return worked;
}

static void tell_written(struct tacit_registers *registers, uint32_t index)
{
    struct reg *reg = &registers->regs[index];
    uint32_t needed = TACIT_BUG(REGISTER_MINORITY) ? 1 : majority(registers);
    uint32_t count = 0;
    for (uint32_t i = 0; i < registers->config.memnodes; i++) {
        const struct node *node = &registers->nodes[i];
        count += node->accepted != 0 && node->copies[index].done == reg->sequence;
    }
    if (reg->is_set && !reg->is_told && count >= needed) {
        reg->is_told = true;
        registers->calls.written(registers->calls.context, index, reg->ticket);
    }
}

static void write_done(struct tacit_registers *registers, struct node *node, uint32_t index,
                       uint8_t status)
{
    struct copy *copy = &node->copies[index];
    uint64_t flight = copy->flight;
    copy->flight = 0;
    if (status != TACIT_COMPLETION_OK) {
        copy->is_lost = true;
        return;
    }
    if (!is_ready(node)) {
        return;
    }
    copy->done = flight;
    copy->side ^= TACIT_BUG(REGISTER_SAME_SLOT) ? 0 : 1;
    copy->cool_ns =
        registers->now_ns + (TACIT_BUG(REGISTER_NO_COOLDOWN) ? 0 : registers->config.cooldown_ns);
    if (flight == registers->regs[index].sequence || !registers->regs[index].is_set) {
        dirty_clear(node, index);
    } else if (copy->cool_ns < node->due_ns) {
        node->due_ns = copy->cool_ns;
    }
    tell_written(registers, index);
}

void tacit_registers_write(struct tacit_registers *registers, uint32_t index, const void *value,
                           uint64_t ticket, tacit_time_ns_t now_ns)
{
    TACIT_ASSERT(index < registers->config.registers);
    registers->now_ns = now_ns;
    struct reg *reg = &registers->regs[index];
    memcpy(reg->value, value, TACIT_REGISTER_VALUE_BYTES);
    reg->sequence++;
    reg->ticket = ticket;
    reg->is_set = true;
    reg->is_told = false;
    registers->counters.writes++;
    for (uint32_t i = 0; i < registers->config.memnodes; i++) {
        struct node *node = &registers->nodes[i];
        const struct copy *copy = &node->copies[index];
        dirty_set(node, index);
        if (copy->flight == 0 && copy->cool_ns < node->due_ns) {
            node->due_ns = copy->cool_ns;
        }
        if (is_ready(node) && node->due_ns <= now_ns) {
            write_dirty(registers, node);
        }
    }
}

// ---- reading
// -----------------------------------------------------------------------------------------------------

static void read_end(struct tacit_registers *registers, struct read *read)
{
    uint32_t needed = TACIT_BUG(REGISTER_READ_ONE) ? 1 : majority(registers);
    uint32_t count = 0;
    for (uint32_t i = 0; i < registers->config.memnodes; i++) {
        count += read->asked[i] == TACIT_ASKED_ANSWERED;
    }
    if (count < needed) {
        return;
    }
    // The callback may start the next read: this one's place is free before.
    struct read ended = *read;
    read->is_used = false;
    registers->reads_used--;
    registers->calls.was_read(registers->calls.context, ended.ticket,
                              ended.sequence == 0 ? NULL : ended.value);
}

static struct slot *slot_free(const struct tacit_registers *registers, struct node *node)
{
    for (uint32_t i = 0; i < registers->config.reads; i++) {
        if (!node->slots[i].is_used) {
            return &node->slots[i];
        }
    }
    return NULL;
}

// Asks a node. Returns what became of it.
static enum asked ask(struct tacit_registers *registers, struct node *node, uint32_t index)
{
    const struct read *read = &registers->reads[index];
    int32_t *handle = &node->region[read->owner];
    if (*handle < 0) {
        struct tacit_region_key key = {TACIT_REGION_REGISTERS, read->owner,
                                       registers->owners[read->owner]};
        *handle = registers->fabric->ops->region(registers->fabric, node->node, key);
    }
    if (*handle == TACIT_REGION_COMING) {
        return TACIT_ASKED_NOT;
    }
    if (*handle < 0) {
        // Not there, so nothing was written there (tacit/fabric.h), if the node is still up: its
        // own region of this process, asked for afterwards, would be unknown as well if it were
        // not.
        struct tacit_region_key own = {TACIT_REGION_REGISTERS, TACIT_NODE_SELF, 0};
        bool is_up = registers->fabric->ops->region(registers->fabric, node->node, own) >= 0;
        return is_up ? TACIT_ASKED_ANSWERED : TACIT_ASKED_NOT;
    }
    struct slot *slot = slot_free(registers, node);
    if (slot == NULL) {
        return TACIT_ASKED_NOT;
    }
    uint64_t place = (uint64_t)(slot - node->slots);
    struct tacit_op op = {
        .kind = TACIT_OP_READ,
        .plane = TACIT_PLANE_BACKGROUND,
        .host = node->node,
        .region = *handle,
        .bytes = TACIT_REGISTER_BYTES,
        .offset = (uint64_t)read->index * TACIT_REGISTER_BYTES,
        .local = node->memory + place * TACIT_REGISTER_BYTES,
        .cookie = TACIT_COOKIE(TACIT_COOKIE_REGISTERS,
                               place << 16 | (uint64_t)(node->node - TACIT_NODE_MEMNODE) << 8 |
                                   TACIT_REGISTERS_READ),
    };
    if (!registers->fabric->ops->post(registers->fabric, &op)) {
        return TACIT_ASKED_NOT;
    }
    *slot = (struct slot){
        .is_used = true, .read = index, .number = read->number, .posted_ns = registers->now_ns};
    flight_start(registers, node);
    return TACIT_ASKED_FLIGHT;
}

static bool ask_all(struct tacit_registers *registers, uint32_t index)
{
    struct read *read = &registers->reads[index];
    bool worked = false;
    for (uint32_t i = 0; i < registers->config.memnodes; i++) {
        struct node *node = &registers->nodes[i];
        if (read->asked[i] == TACIT_ASKED_NOT && is_ready(node)) {
            read->asked[i] = (uint8_t)ask(registers, node, index);
            worked = worked || read->asked[i] != TACIT_ASKED_NOT;
            registers->is_stalled = registers->is_stalled || read->asked[i] == TACIT_ASKED_NOT;
        }
    }
    return worked;
}

bool tacit_registers_read(struct tacit_registers *registers, tacit_node_t owner, uint32_t index,
                          uint64_t ticket, tacit_time_ns_t now_ns)
{
    TACIT_ASSERT(owner < registers->config.replicas && index < registers->config.registers);
    registers->now_ns = now_ns;
    for (uint32_t i = 0; i < registers->config.reads; i++) {
        struct read *read = &registers->reads[i];
        if (read->is_used) {
            continue;
        }
        *read = (struct read){.is_used = true,
                              .owner = owner,
                              .index = index,
                              .ticket = ticket,
                              .number = ++registers->read_number};
        registers->reads_used++;
        registers->counters.reads++;
        ask_all(registers, i);
        return true; // called back by a completion or by poll(), never in here
    }
    return false;
}

static bool is_whole(const uint8_t *slot)
{
    uint64_t check;
    memcpy(&check, slot, 8);
    return check == check_of(slot) || TACIT_BUG(REGISTER_CHECK_IGNORED);
}

static bool is_unwritten(const uint8_t *slot)
{
    uint64_t words[2];
    memcpy(words, slot, sizeof words);
    return words[TACIT_REGISTER_CHECK] == 0 && words[TACIT_REGISTER_SEQUENCE] == 0;
}

// Takes the newer whole sub-slot into the read, if it is newer than what the read has.
static void take(struct tacit_registers *registers, struct read *read, const uint8_t *memory)
{
    uint32_t whole = 0;
    uint32_t torn = 0;
    for (unsigned side = 0; side < 2; side++) {
        const uint8_t *slot = memory + side * TACIT_REGISTER_SLOT_BYTES;
        uint64_t sequence;
        memcpy(&sequence, slot + 8u * TACIT_REGISTER_SEQUENCE, 8);
        if (!is_whole(slot)) {
            torn += !is_unwritten(slot);
            continue;
        }
        whole++;
        if (sequence > read->sequence) {
            read->sequence = sequence;
            memcpy(read->value, slot + 8u * TACIT_REGISTER_VALUE, TACIT_REGISTER_VALUE_BYTES);
        }
    }
    if (torn == 2) {
        registers->counters.reads_torn++; // a faulty owner, or one whose first writes were lost
        tacit_mark(&registers->marker, TACIT_MARK_REGISTER_TORN);
    } else if (torn == 1 && whole == 1) {
        tacit_mark(&registers->marker, TACIT_MARK_REGISTER_SAVED_BY_OTHER);
    }
}

// A read that took longer than the cool-down says as much as a short one if it found neither copy
// torn: each copy is whole as of some moment of the read, and the newest write that was complete
// before it stands in one of them or was overwritten by a newer one.
static bool is_settled(const uint8_t *memory)
{
    bool settled = true;
    for (unsigned side = 0; side < 2; side++) {
        const uint8_t *slot = memory + side * TACIT_REGISTER_SLOT_BYTES;
        settled = settled && (is_whole(slot) || is_unwritten(slot));
    }
    return settled;
}

// The memory shows what it showed at some moments between post and completion.
static void answer(struct tacit_registers *registers, struct node *node, uint32_t place,
                   struct read *read)
{
    read->asked[node - registers->nodes] = TACIT_ASKED_ANSWERED;
    take(registers, read, node->memory + (size_t)place * TACIT_REGISTER_BYTES);
    read_end(registers, read);
}

static void read_done(struct tacit_registers *registers, struct node *node, uint32_t place,
                      uint8_t status)
{
    struct slot *slot = &node->slots[place];
    struct read *read = &registers->reads[slot->read];
    slot->is_used = false;
    if (!read->is_used || read->number != slot->number) {
        return; // it has ended without this node
    }
    bool counts = status == TACIT_COMPLETION_OK && is_ready(node);
    if (counts && is_settled(node->memory + (size_t)place * TACIT_REGISTER_BYTES)) {
        answer(registers, node, place, read);
    } else if (counts) {
        slot->is_used = slot->is_landed = true;
        slot->polled_ns = registers->now_ns;
        registers->unjudged++;
    } else {
        read->asked[node - registers->nodes] = TACIT_ASKED_NOT;
        ask_all(registers, slot->read);
    }
}

// Torn: how long did it take? The turn's time was taken before its completion was polled, and it
// may have landed at any time between. The time of a later turn is certainly after it.
static bool judge(struct tacit_registers *registers, struct node *node, uint32_t place)
{
    const struct slot *slot = &node->slots[place];
    if (!slot->is_landed ||
        (registers->now_ns <= slot->polled_ns && !TACIT_BUG(REGISTER_JUDGED_EARLY))) {
        return false;
    }
    // The owner's clock may run a little faster than ours.
    tacit_time_ns_t cooldown_ns = registers->config.cooldown_ns;
    tacit_time_ns_t longest_ns = cooldown_ns - cooldown_ns / 8;
    tacit_time_ns_t until_ns =
        TACIT_BUG(REGISTER_JUDGED_EARLY) ? slot->polled_ns : registers->now_ns;
    bool is_slow = until_ns - slot->posted_ns > longest_ns && !TACIT_BUG(REGISTER_SLOW_READ_TAKEN);
    uint32_t index = slot->read;
    struct read *read = unjudge(registers, node, place);
    if (read == NULL) {
        return true;
    }
    if (!is_slow && is_ready(node)) {
        answer(registers, node, place, read);
        return true;
    }
    registers->counters.reads_repeated += is_slow;
    tacit_mark(&registers->marker, TACIT_MARK_REGISTER_READ_REPEATED);
    ask_all(registers, index);
    return true;
}

static bool judge_all(struct tacit_registers *registers)
{
    bool worked = false;
    for (uint32_t i = 0; i < registers->config.memnodes && registers->unjudged > 0; i++) {
        for (uint32_t place = 0; place < registers->config.reads; place++) {
            worked = judge(registers, &registers->nodes[i], place) || worked;
        }
    }
    return worked;
}

void tacit_registers_reset(struct tacit_registers *registers)
{
    for (uint32_t i = 0; i < registers->config.reads; i++) {
        registers->reads[i].is_used = false;
    }
    registers->reads_used = 0;
    for (uint32_t i = 0; i < registers->config.registers; i++) {
        registers->regs[i].is_set = false;
    }
    for (uint32_t i = 0; i < registers->config.memnodes; i++) {
        struct node *node = &registers->nodes[i];
        memset(node->dirty, 0, 8u * map_words(registers));
        node->dirty_count = 0;
    }
}

// ---- events and turns
// --------------------------------------------------------------------------------------------

static void completed(struct tacit_registers *registers, const struct tacit_event *event)
{
    uint64_t value = TACIT_COOKIE_VALUE(event->cookie);
    struct node *node = &registers->nodes[value >> 8 & 0xff];
    uint32_t number = (uint32_t)(value >> 16);
    node->flights--;
    node->progress_ns = registers->now_ns;
    if (event->status == TACIT_COMPLETION_DENIED) {
        // Nobody takes these rights away: a new connection may tell.
        registers->fabric->ops->reset(registers->fabric, node->node);
    }
    if ((value & 0xff) == TACIT_REGISTERS_WRITE) {
        write_done(registers, node, number, event->status);
    } else {
        read_done(registers, node, number, event->status);
    }
}

static void node_up(struct tacit_registers *registers, struct node *node,
                    tacit_incarnation_t incarnation)
{
    node->is_up = true;
    node->incarnation = incarnation;
    regions_forget(node);
    for (uint32_t i = 0; i < registers->config.registers; i++) {
        struct copy *copy = &node->copies[i];
        if (copy->is_lost) {
            copy->is_lost = false;
            copy->cool_ns = registers->now_ns + registers->config.cooldown_ns;
            tacit_mark(&registers->marker, TACIT_MARK_REGISTER_LOST);
        }
    }
    node->due_ns = 0;
}

void tacit_registers_event(struct tacit_registers *registers, const struct tacit_event *event,
                           tacit_time_ns_t now_ns)
{
    registers->now_ns = now_ns;
    uint32_t index = (uint32_t)event->node - TACIT_NODE_MEMNODE;
    if (event->kind == TACIT_EVENT_COMPLETION) {
        completed(registers, event);
        return;
    }
    if (event->node < TACIT_NODE_MEMNODE || index >= registers->config.memnodes) {
        return;
    }
    struct node *node = &registers->nodes[index];
    if (event->kind == TACIT_EVENT_UP) {
        node_up(registers, node, event->incarnation);
    } else if (event->kind == TACIT_EVENT_DOWN) {
        node->is_up = false;
        regions_forget(node);
    }
}

static bool ask_stalled(struct tacit_registers *registers)
{
    bool worked = false;
    registers->is_stalled = false;
    for (uint32_t i = 0; i < registers->config.reads && registers->reads_used > 0; i++) {
        if (registers->reads[i].is_used) {
            worked = ask_all(registers, i) || worked;
            read_end(registers, &registers->reads[i]);
        }
    }
    return worked;
}

bool tacit_registers_poll(struct tacit_registers *registers, tacit_time_ns_t now_ns)
{
    registers->now_ns = now_ns;
    bool worked = judge_all(registers);
    for (uint32_t i = 0; i < registers->config.memnodes; i++) {
        struct node *node = &registers->nodes[i];
        if (node->dirty_count > 0 && node->due_ns <= now_ns && is_ready(node)) {
            worked = write_dirty(registers, node) || worked;
        }
        if (node->is_up && node->flights > 0 &&
            now_ns - node->progress_ns >= registers->config.patience_ns) {
            node->progress_ns = now_ns;
            tacit_mark(&registers->marker, TACIT_MARK_REGISTER_NODE_RESET);
            registers->fabric->ops->reset(registers->fabric, node->node);
            worked = true;
        }
    }
    return ask_stalled(registers) || worked;
}

tacit_time_ns_t tacit_registers_deadline(const struct tacit_registers *registers)
{
    tacit_time_ns_t at_ns = registers->is_stalled ? registers->now_ns + RETRY_NS : NEVER;
    if (registers->unjudged > 0) {
        at_ns = registers->now_ns + 1; // in the next turn
    }
    for (uint32_t i = 0; i < registers->config.memnodes; i++) {
        const struct node *node = &registers->nodes[i];
        if (node->dirty_count > 0 && is_ready(node) && node->due_ns < at_ns) {
            at_ns = node->due_ns;
        }
        if (node->is_up && node->flights > 0 &&
            node->progress_ns + registers->config.patience_ns < at_ns) {
            at_ns = node->progress_ns + registers->config.patience_ns;
        }
    }
    return at_ns;
}

const struct tacit_registers_counters *
tacit_registers_counters(const struct tacit_registers *registers)
{
    return &registers->counters;
}
