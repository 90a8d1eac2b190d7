// SPDX-License-Identifier: Apache-2.0
//
// Consistent tail broadcast, LOCKED: what this replica says of what it locked, once per id, with
// its vouch or without it; and what follows when all others have said it. See ctb.h.
#include "../base/bug.h"
#include "ctb_internal.h"

#define LAPSES_MOST 9u       // 255 LOCKED
#define FORGIVEN_AFTER 128u  // LOCKED in time
#define MALFORMED_TIMES 512u // slow_after: so long who is malformed is not waited for

// ---- said --------------------------------------------------------------------------------------

static void begin_locked(const struct tacit_ctb *ctb, tacit_node_t s,
                         const struct tacit_ctb_slot *slot, struct tacit_ctb_message *message)
{
    tacit_ctb_message_begin(message);
    message->kind = TACIT_MESSAGE_LOCKED;
    message->stream = s;
    message->epoch = ctb->epoch;
    message->k = slot->k;
    message->payload = slot->payload;
    message->unvouched = (slot->flags & TACIT_CTB_VOUCHED) == 0;
}

void tacit_ctb_say_locked(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot,
                          bool vouched)
{
    if (s == ctb->config.self || (slot->flags & TACIT_CTB_SAID) != 0) {
        return;
    }
    slot->flags |= TACIT_CTB_SAID;
    if (vouched) {
        slot->flags |= TACIT_CTB_VOUCHED;
    } else {
        tacit_mark(&ctb->marker, TACIT_MARK_CTB_ABSTAINED);
    }
    struct tacit_ctb_message message;
    begin_locked(ctb, s, slot, &message);
    tacit_ctb_send_all(ctb, &message);
}

void tacit_ctb_resay(struct tacit_ctb *ctb, tacit_node_t to, tacit_node_t s,
                     const struct tacit_ctb_slot *slot)
{
    struct tacit_ctb_message message;
    begin_locked(ctb, s, slot, &message);
    tacit_ctb_send(ctb, to, &message);
}

void tacit_ctb_abstain_if_left(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot)
{
    if (slot->payload.kind == TACIT_PAYLOAD_PREPARE && slot->payload.view < ctb->view) {
        tacit_ctb_say_locked(ctb, s, slot, false);
    }
}

static void say_of_prepare(struct tacit_ctb *ctb, tacit_node_t s, uint64_t k, bool vouched)
{
    struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, k);
    if (!ctb->streams[s].condemned && slot != NULL && slot->payload.kind == TACIT_PAYLOAD_PREPARE) {
        tacit_ctb_say_locked(ctb, s, slot, vouched);
    }
}

void tacit_ctb_vouch(struct tacit_ctb *ctb, tacit_node_t s, uint64_t k)
{
    say_of_prepare(ctb, s, k, true);
}

void tacit_ctb_abstain(struct tacit_ctb *ctb, tacit_node_t s, uint64_t k)
{
    say_of_prepare(ctb, s, k, false);
}

// What was consumed here is among it: others may still wait for it.
void tacit_ctb_leave(struct tacit_ctb *ctb, uint64_t view)
{
    TACIT_ASSERT(view >= ctb->view);
    ctb->view = view;
    for (tacit_node_t s = 0; s < ctb->config.replicas; s++) {
        const struct tacit_ctb_stream *stream = &ctb->streams[s];
        uint32_t tail = ctb->config.tail;
        uint64_t from = stream->lock_end > tail ? stream->lock_end - tail : 0;
        for (uint64_t k = from; k < stream->lock_end && !stream->condemned; k++) {
            struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, k);
            bool certified = stream->known.is && stream->known.k >= k; // nobody needs it
            if (slot != NULL && !certified) {
                tacit_ctb_abstain_if_left(ctb, s, slot);
            }
        }
    }
}

// ---- heard -------------------------------------------------------------------------------------

// Whether all others have locked what this slot holds; `vouched`: and vouched it. Notes in the slot
// if one has locked something else.
static bool is_by_all(const struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot,
                      bool vouched)
{
    uint8_t n = ctb->config.replicas;
    const struct tacit_ctb_heard *heard =
        &ctb->streams[s].heard[(size_t)(slot->k % ctb->config.tail) * n];
    unsigned missing = 0;
    for (tacit_node_t w = 0; w < n; w++) {
        if (w != s && w != ctb->config.self &&
            !(heard[w].is && heard[w].k == slot->k &&
              (!vouched || heard[w].vouched || TACIT_BUG(UNVOUCHED_LOCK_COUNTS)) &&
              tacit_payload_is_equal(&heard[w].payload, &slot->payload))) {
            missing++;
            bool differs = heard[w].is && heard[w].k == slot->k &&
                           !tacit_payload_is_equal(&heard[w].payload, &slot->payload);
            slot->flags |= (uint16_t)(differs ? TACIT_CTB_DIFFERS : 0);
        }
    }
    return missing <= (TACIT_BUG(CTB_FAST_ONE_SHORT) ? 1u : 0u);
}

// ---- who is overdue ----------------------------------------------------------------------------

// Who lets one wait pass without a word most likely lets the next one pass as well, on whatever
// stream: a slot that signatures decide takes three waits in a row, and would cost all of them.
void tacit_ctb_owe(struct tacit_ctb *ctb, tacit_node_t s, const struct tacit_ctb_slot *slot)
{
    const struct tacit_ctb_heard *heard =
        &ctb->streams[s].heard[(size_t)(slot->k % ctb->config.tail) * ctb->config.replicas];
    if (slot->payload.kind == TACIT_PAYLOAD_PREPARE && !TACIT_BUG(LEADER_OWES_PREPARE)) {
        ctb->owed_prepare_ns[s] = 0; // it leads: it will never answer one while it does
    }
    for (tacit_node_t w = 0; w < ctb->config.replicas; w++) {
        bool answered = heard[w].is && heard[w].k == slot->k;
        if (w == s || w == ctb->config.self || answered) {
            continue;
        }
        ctb->owed_ns[w] = ctb->owed_ns[w] == 0 ? ctb->now_ns : ctb->owed_ns[w];
        if (slot->payload.kind == TACIT_PAYLOAD_PREPARE && ctb->owed_prepare_ns[w] == 0) {
            ctb->owed_prepare_ns[w] = ctb->now_ns;
        }
    }
}

void tacit_ctb_missed(struct tacit_ctb *ctb, tacit_node_t from, tacit_time_ns_t since_ns)
{
    bool is_sooner = ctb->owed_ns[from] == 0 || since_ns < ctb->owed_ns[from];
    if (is_sooner && ctb->heard_ns[from] <= since_ns) {
        ctb->owed_ns[from] = since_ns;
    }
}

// Whether it has not answered a PREPARE soon after id k.
static bool owes_prepare(const struct tacit_ctb *ctb, tacit_node_t s, uint64_t k, tacit_node_t from)
{
    for (uint64_t id = k + 1; id < ctb->streams[s].lock_end && id - k <= TACIT_CTB_BATCH; id++) {
        const struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, id);
        const struct tacit_ctb_heard *heard =
            &ctb->streams[s].heard[(size_t)(id % ctb->config.tail) * ctb->config.replicas + from];
        if (slot != NULL && slot->payload.kind == TACIT_PAYLOAD_PREPARE &&
            !(heard->is && heard->k == id)) {
            return true;
        }
    }
    return false;
}

// Mostly the shortest wait says no already.
static bool is_owed_for_long(const struct tacit_ctb *ctb, tacit_time_ns_t owed_ns)
{
    return owed_ns != 0 && ctb->now_ns >= owed_ns + ctb->config.slow_after_ns &&
           ctb->now_ns >= owed_ns + tacit_ctb_slow_after_ns(ctb);
}

static uint32_t owed_for_long(const struct tacit_ctb *ctb, const tacit_time_ns_t *owed_ns)
{
    uint32_t overdue = 0;
    for (tacit_node_t w = 0; w < ctb->config.replicas; w++) {
        overdue |= is_owed_for_long(ctb, owed_ns[w]) ? 1u << w : 0;
    }
    return TACIT_BUG(OVERDUE_WAITED_FOR) ? 0 : overdue;
}

// Who lets waits pass again and again, with a word in between, would be waited for with every few
// ids: a liar that spoils every third message. Each time it has to say twice as much before it is
// waited for again; a while without a lapse forgives one. Who is late, but answers one id after the
// other, only has to be waited for longer. What counts is a wait that it let pass, not the ids that
// it passes over then: who goes on after it was stopped passes over dozens at once, of which only
// the first was waited for.
static void note_lapse(struct tacit_ctb *ctb, tacit_node_t s, uint64_t k, tacit_node_t from)
{
    struct tacit_ctb_lapses *lapses = &ctb->lapses[from];
    const struct tacit_ctb_slot *before = k > 0 ? tacit_ctb_locked_slot(ctb, s, k - 1) : NULL;
    if (before != NULL) {
        const struct tacit_ctb_heard *heard =
            &ctb->streams[s].heard[(size_t)(before->k % ctb->config.tail) * ctb->config.replicas];
        bool is_skipped = !(heard[from].is && heard[from].k == before->k);
        if (is_skipped && ctb->now_ns < before->locked_ns + tacit_ctb_slow_after_ns(ctb)) {
            return; // it may yet come
        }
        if (is_skipped && !lapses->is_due && !TACIT_BUG(LAPSE_EACH_ID)) {
            return; // because of the wait that was counted
        }
        if (is_skipped && !TACIT_BUG(LAPSES_FORGIVEN)) {
            lapses->is_due = false;
            lapses->count += lapses->count < LAPSES_MOST;
            lapses->words_due = (1u << (lapses->count - 1)) - 1;
            lapses->timely = 0;
            return;
        }
    }
    if (lapses->words_due > 0) {
        lapses->words_due--;
    } else if (++lapses->timely == FORGIVEN_AFTER) {
        lapses->timely = 0;
        lapses->count -= lapses->count > 0;
    }
}

// It speaks. What it owes yet is counted from now on. Who says LOCKED of all but PREPAREs, which it
// does not vouch, would be waited for with each slot anew: of these it has to say one.
static void note_heard(struct tacit_ctb *ctb, tacit_node_t from,
                       const struct tacit_ctb_message *message)
{
    tacit_node_t s = message->stream;
    bool owes_more = ctb->streams[s].lock_end > message->k + 1;
    bool is_prepare = message->payload.kind == TACIT_PAYLOAD_PREPARE;
    if (is_owed_for_long(ctb, ctb->owed_ns[from]) ||
        (is_prepare && is_owed_for_long(ctb, ctb->owed_prepare_ns[from]))) {
        ctb->lapses[from].is_due = true;
    }
    note_lapse(ctb, s, message->k, from);
    ctb->heard_ns[from] = ctb->now_ns;
    ctb->owed_ns[from] = owes_more ? ctb->now_ns : 0;
    if (is_prepare || TACIT_BUG(UNVOUCHING_WAITED_FOR)) {
        bool owes = owes_more && owes_prepare(ctb, s, message->k, from);
        ctb->owed_prepare_ns[from] = owes ? ctb->now_ns : 0;
    }
}

void tacit_ctb_gone(struct tacit_ctb *ctb, uint32_t gone)
{
    ctb->gone = gone;
}

// It lies, or its memory is broken: most likely it spoils more, and each word of it that cannot be
// read is one that all would wait for. Once in that time it gains a wait, about 1 % of it.
void tacit_ctb_malformed(struct tacit_ctb *ctb, tacit_node_t from, tacit_time_ns_t now_ns)
{
    if (!TACIT_BUG(MALFORMED_WAITED_FOR)) {
        ctb->lapses[from].until_ns = now_ns + MALFORMED_TIMES * ctb->config.slow_after_ns;
    }
}

bool tacit_ctb_is_malformed(const struct tacit_ctb *ctb, tacit_node_t from)
{
    return ctb->now_ns < ctb->lapses[from].until_ns;
}

// Certainly dead, has to say more before it is waited for, or wrote what no correct replica writes.
static uint32_t not_waited_for(const struct tacit_ctb *ctb)
{
    uint32_t replicas = ctb->gone;
    for (tacit_node_t w = 0; w < ctb->config.replicas; w++) {
        bool is_waited_for = ctb->lapses[w].words_due == 0 && !tacit_ctb_is_malformed(ctb, w);
        replicas |= is_waited_for ? 0 : 1u << w;
    }
    return TACIT_BUG(OVERDUE_WAITED_FOR) ? 0 : replicas;
}

uint32_t tacit_ctb_overdue(const struct tacit_ctb *ctb)
{
    return not_waited_for(ctb) | owed_for_long(ctb, ctb->owed_ns) |
           owed_for_long(ctb, ctb->owed_prepare_ns);
}

// The first LOCKED of an id counts: where one names something else, all will never say the same.
bool tacit_ctb_is_owed_in_vain(const struct tacit_ctb *ctb, tacit_node_t s,
                               const struct tacit_ctb_slot *slot)
{
    const struct tacit_ctb_heard *heard =
        &ctb->streams[s].heard[(size_t)(slot->k % ctb->config.tail) * ctb->config.replicas];
    bool is_prepare = slot->payload.kind == TACIT_PAYLOAD_PREPARE;
    uint32_t overdue = not_waited_for(ctb) | owed_for_long(ctb, ctb->owed_ns) |
                       (is_prepare ? owed_for_long(ctb, ctb->owed_prepare_ns) : 0);
    if (((slot->flags & TACIT_CTB_DIFFERS) != 0 && !TACIT_BUG(OTHER_LOCKED_WAITED_FOR)) ||
        ((slot->flags & TACIT_CTB_SIGNED_FOR) != 0 && !TACIT_BUG(OTHERS_WAIT_IGNORED))) {
        return true;
    }
    overdue &= TACIT_BUG(OVERDUE_WAITED_FOR) ? 0 : ~(1u << s | 1u << ctb->config.self);
    for (tacit_node_t w = 0; overdue != 0 && w < ctb->config.replicas; w++) {
        bool answered = heard[w].is && heard[w].k == slot->k;
        if ((overdue >> w & 1) != 0 && !answered) {
            return true;
        }
    }
    return false;
}

static void sooner_overdue(tacit_time_ns_t *due_ns, tacit_time_ns_t owed_ns,
                           tacit_time_ns_t after_ns)
{
    bool is_ever = owed_ns != 0 && !TACIT_BUG(OVERDUE_WAITED_FOR);
    if (is_ever && owed_ns + after_ns < *due_ns && !TACIT_BUG(OVERDUE_SEEN_LATE)) {
        *due_ns = owed_ns + after_ns;
    }
}

tacit_time_ns_t tacit_ctb_overdue_due(const struct tacit_ctb *ctb)
{
    tacit_time_ns_t due_ns = TACIT_CTB_NEVER;
    tacit_time_ns_t after_ns = tacit_ctb_slow_after_ns(ctb);
    for (tacit_node_t w = 0; w < ctb->config.replicas; w++) {
        sooner_overdue(&due_ns, ctb->owed_ns[w], after_ns);
        sooner_overdue(&due_ns, ctb->owed_prepare_ns[w], after_ns);
    }
    return due_ns;
}

tacit_time_ns_t tacit_ctb_in_vain_due(const struct tacit_ctb *ctb, tacit_node_t s,
                                      const struct tacit_ctb_slot *slot)
{
    const struct tacit_ctb_heard *heard =
        &ctb->streams[s].heard[(size_t)(slot->k % ctb->config.tail) * ctb->config.replicas];
    tacit_time_ns_t after_ns = tacit_ctb_slow_after_ns(ctb);
    tacit_time_ns_t due_ns = slot->locked_ns + after_ns;
    bool is_prepare = slot->payload.kind == TACIT_PAYLOAD_PREPARE;
    for (tacit_node_t w = 0; w < ctb->config.replicas; w++) {
        bool answered = heard[w].is && heard[w].k == slot->k;
        if (w != s && w != ctb->config.self && !answered) {
            sooner_overdue(&due_ns, ctb->owed_ns[w], after_ns);
            sooner_overdue(&due_ns, is_prepare ? ctb->owed_prepare_ns[w] : 0, after_ns);
        }
    }
    return due_ns;
}

void tacit_ctb_signed_for(struct tacit_ctb *ctb, tacit_node_t s, uint64_t k)
{
    struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, k);
    if (slot != NULL) {
        slot->flags |= TACIT_CTB_SIGNED_FOR;
    }
}

// The own stream counts how often in a row all could follow.
static void count_unanimous(struct tacit_ctb *ctb)
{
    ctb->unanimous_run++;
    if (ctb->slow && ctb->unanimous_run >= ctb->fast_after) {
        ctb->slow = false;
        tacit_mark(&ctb->marker, TACIT_MARK_CTB_FAST_AGAIN);
    }
}

void tacit_ctb_consider(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot)
{
    bool by_all = (slot->flags & TACIT_CTB_BY_ALL) == 0 && is_by_all(ctb, s, slot, false);
    bool may = by_all || (slot->flags & TACIT_CTB_BY_ALL) != 0;
    bool unanimous =
        may && (slot->flags & TACIT_CTB_UNANIMOUS) == 0 && is_by_all(ctb, s, slot, true);
    uint64_t k = slot->k;
    struct tacit_payload payload = slot->payload;
    slot->flags |= (uint16_t)((by_all ? TACIT_CTB_BY_ALL : 0) |
                              (unanimous ? TACIT_CTB_UNANIMOUS : 0)); // before: deliver() may ask
    if (by_all && s == ctb->config.self) {
        count_unanimous(ctb);
        tacit_ctb_sample(ctb, s, slot, true);
    } else if (by_all && k < ctb->streams[s].next) {
        tacit_mark(&ctb->marker, TACIT_MARK_CTB_LATE_UNANIMOUS);
        if (!TACIT_BUG(LATE_UNSEEN)) {
            tacit_ctb_sample(ctb, s, slot, true);
        }
    } else if (by_all) {
        tacit_ctb_agreed(ctb, s, slot, true);
    }
    if (unanimous && !ctb->streams[s].condemned) {
        ctb->calls.unanimous(ctb->calls.context, s, k, &payload);
    }
}

void tacit_ctb_on_locked(struct tacit_ctb *ctb, tacit_node_t from,
                         const struct tacit_ctb_message *message)
{
    tacit_node_t s = message->stream;
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    uint64_t k = message->k;
    uint32_t tail = ctb->config.tail;
    uint64_t end = s == ctb->config.self ? stream->lock_end : stream->next + tail;
    if (from == s || k >= end || end - k > 2ull * tail) {
        return;
    }
    struct tacit_ctb_heard *heard =
        &stream->heard[(size_t)(k % tail) * ctb->config.replicas + from];
    if (heard->is && heard->k >= k) {
        return; // the first counts
    }
    *heard = (struct tacit_ctb_heard){
        .is = true, .vouched = !message->unvouched, .k = k, .payload = message->payload};
    note_heard(ctb, from, message);
    if (s == ctb->config.self && k >= ctb->followed[from]) {
        ctb->followed[from] = k + 1;
        ctb->followed_ns[from] = ctb->now_ns;
    }
    if (k >= stream->rumour_end) {
        stream->rumour_end = k + 1;
        tacit_ctb_exists(ctb, s);
    }
    struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, k);
    if (slot != NULL) {
        tacit_ctb_consider(ctb, s, slot);
    } else {
        tacit_mark(&ctb->marker, TACIT_MARK_CTB_EARLY_LOCKED);
    }
}

bool tacit_ctb_is_unanimous(const struct tacit_ctb *ctb, tacit_node_t s, uint64_t k)
{
    const struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, k);
    return slot != NULL && (slot->flags & TACIT_CTB_UNANIMOUS) != 0;
}
