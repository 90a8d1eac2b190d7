// SPDX-License-Identifier: Apache-2.0
//
// Model of a replicated register: one writer (the owner), any reader, 2f+1 memory nodes of which f
// may crash for good. Each node holds two sub-slots {checksum, sequence, value}.
//
// Rules. The owner writes value k at every node that is free; k is done at a majority; a node that
// is behind gets the newest value next. At each node the owner writes the sub-slot that does NOT
// hold the newest value which completed there, so a write that was LOST is followed by one to the
// same sub-slot. Between two writes at a node lies the cool-down. The reader reads nodes word by
// word until a majority has answered, and returns the newest value found; a node's answer that took
// as long as the cool-down is thrown away and that node is read again, whatever it contained
// (trust_slow=0), or only if one of its sub-slots is torn (trust_slow=2, which the code does). That
// one sub-slot is whole is not enough then (trust_slow=1): it may be the older one.
//
// Properties. "stale": a read returns something older than what was done when it began. "invented":
// it returns what nobody wrote. "blamed": a read shorter than the cool-down finds no whole
// sub-slot.
//
// Time. What matters of the cool-down: a read that overlaps one write (until its completion, or,
// after LOST, until the connection is back) and sees the next write at this node begin has lasted
// as long as the cool-down. The model marks it slow then; any read may be slow, which is as if it
// began later.
//
// Reductions. Reads do not change anything, so one read at a time is enough. Which majority answers
// first is arbitrary and the nodes are alike, so the reader's majority is nodes 0..f; of the others
// it only matters whether they completed the present value. A sub-slot has two words; torn means
// that they are of different writes (the checksum is assumed to tell). A sub-slot that the first
// write to it has not filled counts as unwritten with trust_slow=2: the code looks at two words
// only to see that, so this may be taken for either. Nodes are put in order.
#include <stdlib.h>
#include <string.h>

#include "models.h"

enum {
    NODES_MAX = 3,
    SUB_SLOTS = 2,
    WORDS = 2,
    UNREAD = 0xff,
    TORN = 0xf0,
    TORN_FIRST = 0xe0, // by the first write to this sub-slot
    ALL_WORDS = (1 << WORDS) - 1
};
enum { IDLE, WRITING, LOST };
enum { TURN_NODE, TURN_BLIND, TURN_PARITY };
enum { SLOW_REPEATED, SLOW_ONE_WHOLE, SLOW_NONE_TORN };

struct node {
    uint8_t word[SUB_SLOTS][WORDS]; // sequence number of the write that the word is of
    uint8_t complete;               // the present value is, and the owner knows it
    uint8_t newest;                 // sub-slot of the newest complete value
    uint8_t turn;                   // sub-slot of the last write, complete or not (TURN_BLIND)
    uint8_t lost;                   // the last write was (cool_lost=0)
    uint8_t phase;
    uint8_t writing; // sequence
    uint8_t target;  // sub-slot
    uint8_t landed;  // words of this write that have landed
    // The reader's copy, and its answer once all words were read.
    uint8_t copy[SUB_SLOTS][WORDS];
    uint8_t overlapped; // a write was under way during this read
    uint8_t slow;
    uint8_t answer;  // UNREAD, or a sequence number
    uint8_t crashed; // it came back empty (only if it is counted again)
};

struct state {
    struct node node[NODES_MAX];
    uint8_t begun;   // newest value the owner began to write
    uint8_t done;    // newest value that is done
    uint8_t far;     // nodes outside the reader's majority that completed `begun`
    uint8_t reading; // a read is under way
    uint8_t floor;   // what was done when it began
};

static struct {
    int faults, values;
    int sub_slots, cool_down, cool_lost, read_quorum, write_quorum, trust_slow, turn, checksum;
    int count_lost, recount;
} rules;

static const struct explorer_option registers_options[] = {
    {"faults", &rules.faults, 1, NULL, "f: 1 or 2 of 2f+1 nodes"},
    {"values", &rules.values, 3, NULL, "writes"},
    {"sub_slots", &rules.sub_slots, 2, NULL, "1: one sub-slot only"},
    {"cool_down", &rules.cool_down, 1, NULL, "0: none"},
    {"cool_lost", &rules.cool_lost, 1, NULL, "0: none after LOST"},
    {"read_quorum", &rules.read_quorum, 0, NULL, "nodes that a reader waits for (0: f+1)"},
    {"write_quorum", &rules.write_quorum, 0, NULL, "nodes that make a write done (0: f+1)"},
    {"trust_slow", &rules.trust_slow, SLOW_REPEATED, NULL,
     "a slow read is believed 1: if a sub-slot is whole; 2: if no sub-slot is torn"},
    {"turn", &rules.turn, TURN_NODE, NULL,
     "1: turns go on after LOST; 2: sub-slot = sequence mod 2"},
    {"checksum", &rules.checksum, 1, NULL, "0: mixed words are not noticed"},
    {"count_lost", &rules.count_lost, 0, NULL, "1: a LOST write counts as complete"},
    {"recount", &rules.recount, 0, NULL, "1: a node that lost its memory is counted again"},
};

static int read_quorum(void)
{
    return rules.read_quorum != 0 ? rules.read_quorum : rules.faults + 1;
}

// Nodes with a state of their own.
static int near_count(void)
{
    return rules.faults + 1;
}

static void forget_copy(struct node *node)
{
    memset(node->copy, UNREAD, sizeof node->copy);
    node->overlapped = 0;
    node->slow = 0;
}

static bool has_begun_copy(const struct node *node)
{
    for (int k = 0; k < SUB_SLOTS * WORDS; k++) {
        if (node->copy[k / WORDS][k % WORDS] != UNREAD) {
            return true;
        }
    }
    return false;
}

static void swap_bytes(uint8_t *a, uint8_t *b)
{
    uint8_t kept = *a;
    *a = *b;
    *b = kept;
}

// The two words of a sub-slot are alike: put them in order, with what is known of each.
static void order_words(struct node *node, int sub)
{
    bool target = node->phase != IDLE && node->target == sub;
    int landed[WORDS] = {node->landed & 1, node->landed >> 1 & 1};
    int order = node->word[sub][0] - node->word[sub][1];
    order = order != 0 ? order : node->copy[sub][0] - node->copy[sub][1];
    order = order != 0 || !target ? order : landed[0] - landed[1];
    if (order > 0) {
        swap_bytes(&node->word[sub][0], &node->word[sub][1]);
        swap_bytes(&node->copy[sub][0], &node->copy[sub][1]);
        if (target) {
            node->landed = (uint8_t)(landed[1] | landed[0] << 1);
        }
    }
}

// Two different words were read, one of which was never written.
static bool is_torn_first(const uint8_t copy[WORDS])
{
    int low = copy[0] < copy[1] ? copy[0] : copy[1];
    return rules.trust_slow == SLOW_NONE_TORN && (low == 0 || low == TORN_FIRST);
}

static void reduce_node(struct node *node)
{
    if (node->phase == IDLE) {
        node->writing = 0;
        node->target = 0;
        node->landed = 0;
    }
    if (rules.turn != TURN_BLIND) {
        node->turn = 0;
    }
    if (rules.cool_lost) {
        node->lost = 0;
    }
    for (int sub = 0; sub < SUB_SLOTS && rules.checksum; sub++) {
        uint8_t *copy = node->copy[sub];
        if (copy[0] != UNREAD && copy[1] != UNREAD && copy[0] != copy[1]) {
            int kind = is_torn_first(copy) ? TORN_FIRST : TORN;
            copy[0] = (uint8_t)kind;
            copy[1] = (uint8_t)(kind + 1);
        }
        order_words(node, sub);
    }
    // The two sub-slots are alike: call the one with the newest complete value 0.
    if (rules.turn == TURN_NODE && rules.sub_slots == 2 && node->newest == 1) {
        for (int w = 0; w < WORDS; w++) {
            swap_bytes(&node->word[0][w], &node->word[1][w]);
            swap_bytes(&node->copy[0][w], &node->copy[1][w]);
        }
        node->newest = 0;
        node->target = node->phase == IDLE ? 0 : (uint8_t)(1 - node->target);
    }
}

static int compare_nodes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct node));
}

static void emit(struct explorer *x, struct state *next)
{
    int complete = next->far;
    for (int i = 0; i < near_count(); i++) {
        complete += next->node[i].complete;
    }
    int needed = rules.write_quorum != 0 ? rules.write_quorum : rules.faults + 1;
    if (complete >= needed) {
        next->done = next->begun;
    }
    for (int i = 0; i < near_count(); i++) {
        reduce_node(&next->node[i]);
    }
    // A reader of fewer nodes reads the first ones, so these are not alike.
    if (read_quorum() == near_count()) {
        qsort(next->node, (size_t)near_count(), sizeof *next->node, compare_nodes);
    }
    explorer_emit(x, next);
}

// ---- the owner ----------------------------------------------------------------------------------

static void begin_value(struct explorer *x, const struct state *s)
{
    if (s->begun == s->done && s->begun < rules.values) {
        struct state next = *s;
        next.begun++;
        next.far = 0;
        for (int i = 0; i < near_count(); i++) {
            next.node[i].complete = 0;
        }
        EXPLORER_STEP(x, "the owner writes value %d", next.begun);
        emit(x, &next);
    }
    if (s->begun > 0 && s->far < rules.faults) {
        struct state next = *s;
        next.far++;
        EXPLORER_STEP(x, "value %d is complete at a node that the reader does not hear", s->begun);
        emit(x, &next);
    }
}

static int target_of(const struct state *s, const struct node *node)
{
    if (rules.sub_slots == 1) {
        return 0;
    }
    switch (rules.turn) {
    case TURN_BLIND:
        return 1 - node->turn;
    case TURN_PARITY:
        return s->begun % SUB_SLOTS;
    default:
        return 1 - node->newest;
    }
}

static void begin_write(struct explorer *x, const struct state *s, int i)
{
    struct state next = *s;
    struct node *node = &next.node[i];
    if (node->phase != IDLE || node->complete || s->begun == 0) {
        return;
    }
    node->target = (uint8_t)target_of(s, node);
    node->turn = node->target;
    node->writing = s->begun;
    node->landed = 0;
    node->phase = WRITING;
    if (has_begun_copy(node)) {
        if (node->overlapped && rules.cool_down && (rules.cool_lost || !node->lost)) {
            node->slow = 1;
            if (rules.trust_slow == SLOW_REPEATED) {
                forget_copy(node); // it will be thrown away: the read that counts begins later
            }
        } else {
            node->overlapped = 1;
        }
    }
    node->lost = 0;
    EXPLORER_STEP(x, "the owner begins to write %d into sub-slot %d of node %d", s->begun,
                  node->target, i);
    emit(x, &next);
}

static void land(struct explorer *x, const struct state *s, int i)
{
    for (int w = 0; w < WORDS; w++) {
        if (s->node[i].phase != IDLE && (s->node[i].landed >> w & 1) == 0) {
            struct state next = *s;
            struct node *node = &next.node[i];
            node->landed |= (uint8_t)(1 << w);
            node->word[node->target][w] = node->writing;
            EXPLORER_STEP(x, "word %d of value %d lands in sub-slot %d of node %d", w,
                          node->writing, node->target, i);
            emit(x, &next);
        }
    }
}

static void end_write(struct explorer *x, const struct state *s, int i)
{
    if (s->node[i].phase == WRITING) {
        struct state next = *s;
        struct node *node = &next.node[i];
        node->phase = LOST;
        if (rules.count_lost) {
            node->complete = node->writing == s->begun;
        }
        EXPLORER_STEP(x, "the write of %d at node %d is LOST", node->writing, i);
        emit(x, &next);
    }
    if (s->node[i].phase == WRITING && s->node[i].landed == ALL_WORDS) {
        struct state next = *s;
        struct node *node = &next.node[i];
        node->phase = IDLE;
        node->complete = node->writing == s->begun;
        node->newest = node->target;
        EXPLORER_STEP(x, "the write of %d at node %d completes", node->writing, i);
        emit(x, &next);
    }
    if (s->node[i].phase == LOST) { // what has landed has landed
        struct state next = *s;
        next.node[i].phase = IDLE;
        next.node[i].lost = 1;
        EXPLORER_STEP(x, "the connection to node %d is back", i);
        emit(x, &next);
    }
}

static void crash(struct explorer *x, const struct state *s, int i)
{
    bool crashed = false;
    for (int k = 0; k < near_count(); k++) {
        crashed = crashed || s->node[k].crashed;
    }
    if (!rules.recount || crashed || s->node[i].phase != IDLE) {
        return;
    }
    struct state next = *s;
    memset(next.node[i].word, 0, sizeof next.node[i].word);
    next.node[i].crashed = 1;
    forget_copy(&next.node[i]); // the reader's connection breaks
    EXPLORER_STEP(x, "node %d comes back with empty memory", i);
    emit(x, &next);
}

// ---- the reader ---------------------------------------------------------------------------------

// All words are read: what does the node say?
static void answer(struct explorer *x, struct node *node, int i)
{
    int best = -1;
    bool mixed = false;
    bool torn = false;
    for (int sub = 0; sub < rules.sub_slots; sub++) {
        const uint8_t *words = node->copy[sub];
        bool whole = words[0] == words[1];
        if ((whole || !rules.checksum) && words[0] > best) {
            best = words[0];
            mixed = !whole;
        }
        torn = torn || (!whole && !is_torn_first(words));
    }
    if (best < 0 && !node->slow) {
        explorer_violation(x, "blamed", "a short read of node %d found no whole sub-slot", i);
    }
    if (mixed) {
        explorer_violation(x, "invented", "node %d: words of two writes taken for a value", i);
    }
    if (node->slow && rules.trust_slow == SLOW_NONE_TORN) {
        node->answer = torn ? UNREAD : (uint8_t)(best < 0 ? 0 : best);
    } else if (best >= 0) {
        node->answer = (uint8_t)best;
    }
    forget_copy(node);
}

static void read_word(struct explorer *x, const struct state *s, int i, int sub, int w)
{
    struct state next = *s;
    struct node *node = &next.node[i];
    if (!s->reading) { // as late as possible, that is when most is done
        next.reading = 1;
        next.floor = s->done;
    }
    node->copy[sub][w] = node->word[sub][w];
    if (node->phase != IDLE) {
        node->overlapped = 1;
    }
    EXPLORER_STEP(x, "the reader reads word %d of sub-slot %d of node %d: %d", w, sub, i,
                  node->word[sub][w]);
    bool all = true;
    for (int k = 0; k < rules.sub_slots * WORDS; k++) {
        all = all && node->copy[k / WORDS][k % WORDS] != UNREAD;
    }
    if (all) {
        answer(x, node, i);
    }
    emit(x, &next);
}

static void end_read(struct explorer *x, const struct state *s)
{
    int best = 0;
    for (int i = 0; i < read_quorum(); i++) {
        if (s->node[i].answer == UNREAD) {
            return;
        }
        best = s->node[i].answer > best ? s->node[i].answer : best;
    }
    struct state next = *s;
    for (int i = 0; i < near_count(); i++) {
        forget_copy(&next.node[i]);
        next.node[i].answer = UNREAD;
    }
    next.reading = 0;
    next.floor = 0;
    if (best < s->floor) {
        explorer_violation(x, "stale", "a read returns %d; %d was done when it began", best,
                           s->floor);
    }
    EXPLORER_STEP(x, "the read returns %d", best);
    emit(x, &next);
}

static void read_nodes(struct explorer *x, const struct state *s)
{
    for (int i = 0; i < read_quorum(); i++) {
        for (int k = 0; k < rules.sub_slots * WORDS && s->node[i].answer == UNREAD; k++) {
            if (s->node[i].copy[k / WORDS][k % WORDS] == UNREAD) {
                read_word(x, s, i, k / WORDS, k % WORDS);
            }
        }
    }
}

// ---- the model ----------------------------------------------------------------------------------

static void registers_start(void *state)
{
    struct state *s = state;
    for (int i = 0; i < NODES_MAX; i++) {
        forget_copy(&s->node[i]);
        s->node[i].answer = UNREAD;
    }
    rules.faults = rules.faults > NODES_MAX - 1 ? NODES_MAX - 1 : rules.faults;
}

static void registers_expand(struct explorer *x, const void *state)
{
    const struct state *s = state;
    begin_value(x, s);
    for (int i = 0; i < near_count(); i++) {
        begin_write(x, s, i);
        land(x, s, i);
        end_write(x, s, i);
        crash(x, s, i);
    }
    read_nodes(x, s);
    end_read(x, s);
}

const struct explorer_model registers_model = {
    .name = "registers",
    .state_bytes = sizeof(struct state),
    .packed_words = (sizeof(struct state) + 7) / 8,
    .options = registers_options,
    .options_count = sizeof registers_options / sizeof *registers_options,
    .start = registers_start,
    .expand = registers_expand,
};
