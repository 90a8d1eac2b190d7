// SPDX-License-Identifier: Apache-2.0
//
// The protocol thread's side: operations are posted to the device, results are taken from it in
// poll(). Each plane keeps its operations in a ring, in posting order, in which results wait until
// they are polled; so the control thread can give a result to what a broken connection has left,
// without an event queue that could overflow. The protocol thread never waits for the control
// thread: when that has a link in its hands, post() refuses and poll() comes back later.
//
// Small writes go to the device with their bytes (inline). Quiet writes wait for a doorbell: that
// of the next operation whose result somebody waits for, of ring(), or of the next poll() or
// sleep(). So what a turn of the protocol sends to one host costs one doorbell and mostly one
// completion.
#include <assert.h>
#include <string.h>

#include "internal.h"

// What an operation that is not sent gets.
enum verdict { TACIT_VERBS_SEND, TACIT_VERBS_DENY, TACIT_VERBS_NOT_NOW };

// The registration of the memory that an operation uses; NULL: it was not attached.
static const struct ibv_mr *attached_of(const struct tacit_verbs *v, const struct tacit_op *op)
{
    uintptr_t at = (uintptr_t)op->local;
    for (unsigned i = 0; i < v->attached_count; i++) {
        const struct ibv_mr *mr = v->attached[i];
        if (at >= (uintptr_t)mr->addr && op->bytes <= mr->length &&
            at - (uintptr_t)mr->addr <= mr->length - op->bytes) {
            return mr;
        }
    }
    return NULL;
}

// ---- operations of other hosts
// ----------------------------------------------------------------------

static uint64_t work_id(const struct verbs_plane *plane, uint32_t index)
{
    return (uint64_t)plane->epoch << 32 | index;
}

// A place of `bytes` in the bounce buffer, in one piece; counts what is skipped at its end too.
static uint8_t *bounce_take(struct verbs_plane *plane, uint32_t bytes, uint32_t *taken)
{
    uint32_t at = plane->bounce_next % TACIT_VERBS_BOUNCE;
    uint32_t skipped = TACIT_VERBS_BOUNCE - at < bytes ? TACIT_VERBS_BOUNCE - at : 0;
    uint32_t used = plane->bounce_next - plane->bounce_first;
    if (skipped + bytes > TACIT_VERBS_BOUNCE - used) {
        return NULL;
    }
    *taken = skipped + bytes;
    plane->bounce_next += *taken;
    return plane->bounce + (skipped != 0 ? 0 : at);
}

static void add(_Atomic uint64_t *count, uint64_t more) // one writer at a time
{
    uint64_t now = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, now + more, memory_order_relaxed);
}

// A failed work request always ends with a completion, one that succeeded only if it asks for it;
// and completions come in posting order. So the last one behind a doorbell speaks for all before
// it. It is not left out, even if all are quiet: what nothing is known of when a connection breaks
// or the permission goes counts as failed.
void tacit_verbs_plane_flush(struct tacit_verbs *v, struct verbs_plane *plane)
{
    uint32_t count = plane->staged_count;
    plane->staged_count = 0;
    if (count == 0 || plane->state != TACIT_VERBS_PLANE_OPEN) {
        return; // what is lost gets its result when the plane is replaced
    }
    for (uint32_t i = 0; i < count; i++) {
        struct verbs_staged *staged = &plane->staged[i];
        staged->work.sg_list = &staged->sge;
        staged->work.num_sge = 1;
        staged->work.next = i + 1 < count ? &plane->staged[i + 1].work : NULL;
        add(&plane->tally.inlined, (staged->work.send_flags & IBV_SEND_INLINE) != 0);
    }
    plane->staged[count - 1].work.send_flags |= IBV_SEND_SIGNALED;
    struct ibv_send_wr *bad;
    add(&plane->tally.posts, count);
    add(&plane->tally.doorbells, 1);
    if (ibv_post_send(plane->qp, &plane->staged[0].work, &bad) != 0) {
        // Some may have gone out: all get their result when the plane is replaced.
        plane->state = TACIT_VERBS_PLANE_BROKEN;
        tacit_verbs_wake_control(v);
    }
}

// The next place of the chain, for a request about `local` at the peer. There is room: post_remote.
static struct verbs_staged *stage(struct verbs_plane *plane, enum ibv_wr_opcode opcode,
                                  uint64_t address, uint32_t rkey)
{
    struct verbs_staged *staged = &plane->staged[plane->staged_count++];
    staged->work = (struct ibv_send_wr){.wr_id = work_id(plane, plane->next),
                                        .opcode = opcode,
                                        .wr.rdma = {.remote_addr = address, .rkey = rkey}};
    staged->sge = (struct ibv_sge){.length = 0};
    return staged;
}

// A write of one word to the own line at the host.
static void stage_word(struct verbs_plane *plane, size_t offset, uint64_t word, unsigned flags)
{
    struct verbs_staged *staged =
        stage(plane, IBV_WR_RDMA_WRITE, plane->bell_address + offset, plane->bell_rkey);
    staged->bytes[0] = word;
    staged->sge = (struct ibv_sge){.addr = (uintptr_t)staged->bytes, .length = sizeof(word)};
    staged->work.send_flags = IBV_SEND_INLINE | flags;
}

static bool has_room(const struct verbs_plane *plane)
{
    return plane->state == TACIT_VERBS_PLANE_OPEN && plane->next - plane->first < TACIT_VERBS_OPS;
}

// Room for two more in the chain: a holder's read takes two.
static void make_room(struct tacit_verbs *v, struct verbs_plane *plane)
{
    if (plane->staged_count + 2 > TACIT_VERBS_CHAIN) {
        tacit_verbs_plane_flush(v, plane);
    }
}

// Lays `op` down for the device; rings at once if somebody waits for its result. A holder's read:
// what the device checks on a read is the right to read, which all have. The write that follows
// waits for the data (fence) and is refused if this process is not the holder any more; as no two
// grants follow each other without a new queue pair in between, it was the holder when the data was
// loaded.
static bool post_to_device(struct tacit_verbs *v, struct verbs_plane *plane,
                           const struct verbs_region_entry *region, unsigned number,
                           const struct tacit_op *op, struct verbs_op *record)
{
    bool quiet = (op->flags & TACIT_OP_QUIET) != 0;
    bool small = op->kind == TACIT_OP_WRITE && op->bytes <= TACIT_VERBS_INLINE;
    const void *from = op->local;
    uint32_t lkey = 0;
    if (quiet && !small) {
        uint8_t *copy = bounce_take(plane, op->bytes, &record->bounce_bytes);
        if (copy == NULL) {
            tacit_verbs_plane_flush(v, plane); // or no room would ever come back
            return false;
        }
        memcpy(copy, op->local, op->bytes);
        from = copy;
        lkey = plane->bounce_mr->lkey;
    } else if (!small) {
        const struct ibv_mr *mr = attached_of(v, op);
        if (mr == NULL && v->attached_refused) {
            return false; // the device refused, which was reported
        }
        assert(mr != NULL);
        lkey = mr->lkey;
    }
    struct verbs_staged *staged =
        stage(plane, op->kind == TACIT_OP_WRITE ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ,
              region->address + op->offset, region->rkey[number]);
    if (small) {
        memcpy(staged->bytes, op->local, op->bytes);
        from = staged->bytes;
        staged->work.send_flags = IBV_SEND_INLINE;
    }
    staged->sge = (struct ibv_sge){.addr = (uintptr_t)from, .length = op->bytes, .lkey = lkey};
    if (op->kind == TACIT_OP_READ && (op->flags & TACIT_OP_AS_HOLDER) != 0) {
        stage_word(plane, offsetof(struct verbs_bells, probe), op->generation, IBV_SEND_FENCE);
    }
    if (!quiet) {
        tacit_verbs_plane_flush(v, plane);
    }
    return true;
}

// A read of REGISTERS that the host has not told of: a read of a word that is there tells whether
// the host still answers this process.
static bool is_expected_read(struct verbs_link *link, const struct tacit_op *op,
                             struct verbs_region_entry *own, struct verbs_op *record)
{
    assert(op->kind == TACIT_OP_READ);
    record->zeros = op->local;
    record->zeros_bytes = op->bytes;
    return tacit_verbs_directory_own(link, own);
}

// Whether the host has told that this process holds under the generation of `op`; asks it if it has
// not said anything yet.
static enum verdict judge_holder(struct tacit_verbs *v, struct verbs_plane *plane,
                                 const struct tacit_op *op)
{
    if (op->generation < plane->floor) {
        return TACIT_VERBS_DENY;
    }
    if (op->generation == plane->granted) {
        return TACIT_VERBS_SEND;
    }
    if (op->generation == plane->refused) {
        plane->refused = 0; // the next one asks again: it may have been granted by then
        return TACIT_VERBS_DENY;
    }
    if (plane->asked == 0) {
        plane->asked = op->generation;
        plane->ask_due = true;
        tacit_verbs_wake_control(v);
    }
    return TACIT_VERBS_NOT_NOW;
}

// What is known to be refused here is not sent: on the wire it would interrupt the plane.
static enum verdict judge(struct tacit_verbs *v, struct verbs_link *link,
                          const struct verbs_plane *plane, const struct verbs_entry *entry,
                          const struct tacit_op *op)
{
    if (entry->gone || (op->kind == TACIT_OP_WRITE && !entry->entry.is_receivers)) {
        return TACIT_VERBS_DENY;
    }
    enum verdict verdict = TACIT_VERBS_SEND;
    if ((op->flags & TACIT_OP_AS_HOLDER) != 0) {
        verdict = judge_holder(v, &link->plane[TACIT_PLANE_DATA], op);
    }
    if (verdict == TACIT_VERBS_SEND && plane->state != TACIT_VERBS_PLANE_OPEN) {
        return TACIT_VERBS_NOT_NOW;
    }
    return verdict;
}

// The queue pair that `op` takes. That of the data plane lets a replica write only while it is the
// holder: so all that needs the permission takes it, on whatever plane, and what a replica may
// always write does not. Of a host without logs the device refuses nobody.
static unsigned queue_for(const struct tacit_verbs *v, const struct verbs_link *link,
                          const struct verbs_entry *entry, const struct tacit_op *op)
{
    bool anybody_writes = v->config.layouts[link->kind].log_bytes == 0;
    bool writes = op->kind == TACIT_OP_WRITE;
    if ((op->flags & TACIT_OP_AS_HOLDER) != 0 ||
        (writes && entry->entry.region_class == TACIT_REGION_LOG)) {
        return TACIT_PLANE_DATA;
    }
    if (writes && entry->entry.region_class == TACIT_REGION_CONTROL && !anybody_writes) {
        return TACIT_PLANE_BACKGROUND;
    }
    return op->plane;
}

// The order that a plane promises: what it has under way on one queue pair ends before it takes the
// other.
static bool is_in_order(const struct verbs_link *link, unsigned plane, unsigned queue)
{
    unsigned last = link->route[plane].queue;
    return last == queue || (int32_t)(link->plane[last].ended - link->route[plane].before) >= 0;
}

static struct verbs_entry entry_of(struct verbs_link *link, const struct tacit_op *op)
{
    unsigned place = (unsigned)op->region % 256;
    assert(op->region >= 0 && place < TACIT_VERBS_DIRECTORY);
    (void)pthread_mutex_lock(&link->directory_lock);
    struct verbs_entry entry = link->directory[place];
    (void)pthread_mutex_unlock(&link->directory_lock);
    if (!entry.used || entry.use % 65536 != (unsigned)op->region / 256) {
        entry.gone = true; // retired by its host, meanwhile forgotten
    } else {
        assert(op->offset <= entry.entry.bytes && op->bytes <= entry.entry.bytes - op->offset);
    }
    return entry;
}

// Notes for the order of planes and for doorbells.
static void was_posted(struct verbs_link *link, unsigned queue, const struct tacit_op *op,
                       bool sent)
{
    struct verbs_plane *plane = &link->plane[queue];
    plane->next++;
    link->route[op->plane].queue = queue;
    link->route[op->plane].before = plane->next;
    if (op->kind == TACIT_OP_WRITE && sent) {
        plane->dirty = true;
        plane->dirty_epoch = plane->epoch;
    }
}

static bool post_remote(struct tacit_verbs *v, struct verbs_link *link, const struct tacit_op *op)
{
    if (!link->reaches) {
        return false;
    }
    struct verbs_entry entry = entry_of(link, op);
    unsigned queue = queue_for(v, link, &entry, op);
    struct verbs_plane *plane = &link->plane[queue];
    if (!is_in_order(link, op->plane, queue)) {
        tacit_verbs_plane_flush(v, &link->plane[link->route[op->plane].queue]);
        return false;
    }
    if (plane->next - plane->first == TACIT_VERBS_OPS) {
        return false;
    }
    make_room(v, plane);
    enum verdict verdict = judge(v, link, plane, &entry, op);
    struct verbs_op *record = &plane->ops[plane->next % TACIT_VERBS_OPS];
    *record = (struct verbs_op){.cookie = op->cookie,
                                .generation = op->generation,
                                .flags = op->flags,
                                .plane = op->plane,
                                .state = TACIT_VERBS_OP_POSTED};
    struct tacit_op sent = *op;
    if (verdict == TACIT_VERBS_SEND && entry.expected) {
        sent.offset = 0;
        sent.bytes = 8;
        verdict = is_expected_read(link, op, &entry.entry, record) ? verdict : TACIT_VERBS_NOT_NOW;
    }
    if (verdict == TACIT_VERBS_DENY) {
        record->state = TACIT_VERBS_OP_ENDED;
        record->status = TACIT_COMPLETION_DENIED;
        plane->ended += plane->ended == plane->next; // else in its turn
    } else if (verdict == TACIT_VERBS_NOT_NOW ||
               !post_to_device(v, plane, &entry.entry, (unsigned)(plane - link->plane), &sent,
                               record)) {
        return false;
    }
    was_posted(link, queue, op, verdict == TACIT_VERBS_SEND);
    return true;
}

bool tacit_verbs_plane_ring(struct tacit_verbs *v, struct verbs_plane *plane, unsigned number)
{
    if (!has_room(plane)) {
        return false;
    }
    make_room(v, plane);
    stage_word(plane, number * sizeof(plane->bells), ++plane->bells, 0);
    plane->ops[plane->next++ % TACIT_VERBS_OPS] = (struct verbs_op){.silent = true};
    tacit_verbs_plane_flush(v, plane);
    return plane->state == TACIT_VERBS_PLANE_OPEN;
}

// ---- operations of the own host
// ---------------------------------------------------------------------

static void self_complete(struct tacit_verbs *v, const struct tacit_op *op, uint8_t status)
{
    if ((op->flags & TACIT_OP_QUIET) != 0 && status == TACIT_COMPLETION_OK) {
        return;
    }
    v->base.counters.plane[op->plane].denied += status == TACIT_COMPLETION_DENIED;
    v->self[v->self_next++ % TACIT_VERBS_SELF_QUEUE] =
        (struct tacit_event){.kind = TACIT_EVENT_COMPLETION,
                             .status = status,
                             .node = v->base.self,
                             .cookie = op->cookie};
}

static bool self_holds(struct tacit_verbs *v, const struct tacit_op *op)
{
    return (op->flags & TACIT_OP_AS_HOLDER) == 0 ||
           atomic_load(&v->self_generation) == op->generation;
}

static void copy_words(void *to, const void *from, uint32_t bytes)
{
    uint64_t *words = to;
    const uint64_t *source = from;
    for (uint32_t i = 0; i < bytes / 8; i++) {
        __atomic_store_n(&words[i], __atomic_load_n(&source[i], __ATOMIC_RELAXED),
                         __ATOMIC_RELAXED);
    }
}

static bool post_self(struct tacit_verbs *v, const struct tacit_op *op)
{
    if (v->self_next - v->self_first == TACIT_VERBS_SELF_QUEUE) {
        return false;
    }
    unsigned place = (unsigned)op->region % 256;
    assert(op->region >= 0 && place < TACIT_VERBS_OWN_REGIONS);
    (void)pthread_mutex_lock(&v->regions_lock);
    struct verbs_region region = v->regions[place];
    (void)pthread_mutex_unlock(&v->regions_lock);
    bool there = region.used && !region.retired && region.use % 65536 == (unsigned)op->region / 256;
    bool writes = op->kind == TACIT_OP_WRITE;
    if (writes) {
        v->base.counters.plane[op->plane].self_writes++;
    } else {
        v->base.counters.plane[op->plane].self_reads++;
    }
    bool own = region.key.owner == v->base.self && region.key.incarnation == v->base.incarnation;
    bool log = region.key.region_class == TACIT_REGION_LOG;
    if (!there || (writes && (!own || (log && atomic_load(&v->self_generation) == 0))) ||
        !self_holds(v, op)) {
        self_complete(v, op, TACIT_COMPLETION_DENIED);
        return true;
    }
    assert(op->offset <= region.bytes && op->bytes <= region.bytes - op->offset);
    char *at = (char *)region.base + op->offset;
    if (writes) {
        copy_words(at, op->local, op->bytes);
    } else {
        copy_words(op->local, at, op->bytes);
    }
    // The revocation is announced after it has cleared the generation: either it is seen here, or
    // the stores above are seen by whoever has heard of the revocation.
    atomic_thread_fence(memory_order_seq_cst);
    self_complete(v, op, self_holds(v, op) ? TACIT_COMPLETION_OK : TACIT_COMPLETION_DENIED);
    return true;
}

bool tacit_verbs_post(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    struct tacit_verbs *v = tacit_verbs_of(fabric);
    assert(op->plane < TACIT_PLANES && op->bytes > 0 && op->bytes % 8 == 0 && op->offset % 8 == 0);
    assert((uintptr_t)op->local % 8 == 0);
    assert(op->kind == TACIT_OP_READ || op->kind == TACIT_OP_WRITE);
    assert((op->flags & TACIT_OP_QUIET) == 0 ||
           (op->kind == TACIT_OP_WRITE && op->bytes <= TACIT_OP_QUIET_BYTES));
    if (op->host == fabric->self) {
        return post_self(v, op);
    }
    struct verbs_link *link = tacit_verbs_link(v, op->host);
    if (link == NULL || atomic_load(&link->state) != TACIT_VERBS_LINK_UP ||
        pthread_mutex_trylock(&link->lock) != 0) {
        return false;
    }
    // It may have fallen before the lock was taken; nothing may be added after its last results.
    bool posted = atomic_load(&link->state) == TACIT_VERBS_LINK_UP && post_remote(v, link, op);
    (void)pthread_mutex_unlock(&link->lock);
    struct tacit_plane_counters *counters = &fabric->counters.plane[op->plane];
    if (posted && op->kind == TACIT_OP_WRITE) {
        counters->writes++;
        counters->write_bytes += op->bytes;
    } else if (posted) {
        counters->reads++;
        counters->read_bytes += op->bytes;
    }
    return posted;
}

void tacit_verbs_attach(struct tacit_fabric *fabric, void *base, size_t bytes)
{
    struct tacit_verbs *v = tacit_verbs_of(fabric);
    assert(v->attached_count < TACIT_VERBS_ATTACHED);
    struct ibv_mr *mr = ibv_reg_mr(v->pd, base, bytes, IBV_ACCESS_LOCAL_WRITE);
    if (mr != NULL) {
        v->attached[v->attached_count++] = mr;
    } else {
        v->attached_refused = true;
        tacit_verbs_report(v, TACIT_VERBS_REPORT_RESOURCE,
                           "The memory of the protocol (%zu bytes) cannot be registered; is "
                           "RLIMIT_MEMLOCK large enough?",
                           bytes);
    }
}

// ---- results
// ----------------------------------------------------------------------------------------

// The device has done all operations before `end`.
static void take_done(struct verbs_plane *plane, uint32_t end)
{
    for (; plane->ended != end; plane->ended++) {
        struct verbs_op *op = &plane->ops[plane->ended % TACIT_VERBS_OPS];
        if (op->state == TACIT_VERBS_OP_POSTED) {
            op->state = TACIT_VERBS_OP_ENDED;
            op->status = TACIT_COMPLETION_OK;
            if (op->zeros != NULL) {
                memset(op->zeros, 0, op->zeros_bytes);
            }
        }
    }
}

static void take_result(struct verbs_plane *plane, const struct ibv_wc *wc)
{
    uint32_t index = (uint32_t)wc->wr_id;
    if (wc->wr_id >> 32 != plane->epoch || index - plane->ended >= plane->next - plane->ended) {
        return; // of an earlier queue pair, or what follows a refused one
    }
    if (wc->status == IBV_WC_SUCCESS) {
        take_done(plane, index + 1);
        return;
    }
    // Refused by the flags of the queue pair, or by the memory's registration: the host has
    // executed what was before, and does not execute what follows on the wire. After any other
    // failure all get their result when the host has told what became of the grant, or the
    // connection ends (tacit_verbs_plane_stop).
    if (!plane->denied && plane->state == TACIT_VERBS_PLANE_OPEN &&
        (wc->status == IBV_WC_REM_INV_REQ_ERR || wc->status == IBV_WC_REM_ACCESS_ERR)) {
        take_done(plane, index);
        struct verbs_op *op = &plane->ops[index % TACIT_VERBS_OPS];
        op->state = TACIT_VERBS_OP_ENDED;
        op->status = TACIT_COMPLETION_DENIED;
        plane->denied = true;
    }
    if (plane->state == TACIT_VERBS_PLANE_OPEN) {
        plane->state = TACIT_VERBS_PLANE_BROKEN;
    }
}

void tacit_verbs_harvest(struct tacit_verbs *v, struct verbs_plane *plane)
{
    enum verbs_plane_state before = plane->state;
    struct ibv_wc wc[16];
    int got;
    unsigned turns = 0;
    do {
        got = ibv_poll_cq(plane->cq, 16, wc);
        for (int i = 0; i < got; i++) {
            take_result(plane, &wc[i]);
        }
        if (got > 0) {
            add(&plane->tally.completions, (uint64_t)got);
            add(&plane->tally.polls, 1);
        }
    } while (got == 16 && ++turns < TACIT_VERBS_WORK / 16);
    while (plane->ended != plane->next &&
           plane->ops[plane->ended % TACIT_VERBS_OPS].state == TACIT_VERBS_OP_ENDED) {
        plane->ended++;
    }
    if (plane->state == TACIT_VERBS_PLANE_BROKEN && before != plane->state) {
        tacit_verbs_wake_control(v);
    }
}

static bool is_event(const struct verbs_op *op)
{
    return !op->silent && (op->status != TACIT_COMPLETION_OK || (op->flags & TACIT_OP_QUIET) == 0);
}

bool tacit_verbs_plane_has_news(const struct verbs_plane *plane)
{
    for (uint32_t i = plane->first; i != plane->ended; i++) {
        if (is_event(&plane->ops[i % TACIT_VERBS_OPS])) {
            return true;
        }
    }
    return false;
}

static size_t take_ended(struct tacit_verbs *v, struct verbs_link *link, unsigned p,
                         struct tacit_event *events, size_t max)
{
    struct verbs_plane *plane = &link->plane[p];
    size_t count = 0;
    while (plane->first != plane->ended && count < max) {
        const struct verbs_op *op = &plane->ops[plane->first % TACIT_VERBS_OPS];
        plane->first++;
        plane->bounce_first += op->bounce_bytes;
        if (op->silent) {
            continue;
        }
        struct tacit_plane_counters *counters = &v->base.counters.plane[op->plane];
        counters->denied += op->status == TACIT_COMPLETION_DENIED;
        counters->lost += op->status == TACIT_COMPLETION_LOST;
        if (is_event(op)) {
            events[count++] = (struct tacit_event){.kind = TACIT_EVENT_COMPLETION,
                                                   .status = op->status,
                                                   .node = link->node,
                                                   .cookie = op->cookie};
        }
    }
    return count;
}

// Completions, and at the end of a connection DOWN after the last of them.
static size_t poll_link(struct tacit_verbs *v, struct verbs_link *link, struct tacit_event *events,
                        size_t max)
{
    size_t count = 0;
    int state = TACIT_VERBS_LINK_RISING;
    struct tacit_event change = {
        .node = link->node, .incarnation = link->incarnation, .identity = link->identity};
    if (atomic_compare_exchange_strong(&link->state, &state, TACIT_VERBS_LINK_UP)) {
        change.kind = TACIT_EVENT_UP;
        events[count++] = change;
        state = TACIT_VERBS_LINK_UP;
    }
    if ((state != TACIT_VERBS_LINK_UP && state != TACIT_VERBS_LINK_FALLING) ||
        pthread_mutex_trylock(&link->lock) != 0) {
        return count;
    }
    state = atomic_load(&link->state);
    bool some = false;
    for (unsigned p = 0; p < TACIT_PLANES; p++) {
        if (link->plane[p].cq != NULL) {
            tacit_verbs_plane_flush(v, &link->plane[p]);
            tacit_verbs_harvest(v, &link->plane[p]);
            count += take_ended(v, link, p, events + count, max - count);
            some |= link->plane[p].first != link->plane[p].next;
        }
    }
    if (state == TACIT_VERBS_LINK_UP) {
        tacit_verbs_bells_flush(v, link);
    }
    (void)pthread_mutex_unlock(&link->lock);
    if (state == TACIT_VERBS_LINK_FALLING && !some && count < max) {
        change.kind = TACIT_EVENT_DOWN;
        change.hung_up = link->hung_up;
        events[count++] = change;
        atomic_store(&link->state, TACIT_VERBS_LINK_DOWN);
        tacit_verbs_wake_control(v);
    } else if (state == TACIT_VERBS_LINK_UP && count < max &&
               atomic_exchange(&link->regions_news, false)) {
        events[count++] = (struct tacit_event){.kind = TACIT_EVENT_REGIONS, .node = link->node};
    }
    return count;
}

size_t tacit_verbs_poll(struct tacit_fabric *fabric, struct tacit_event *events, size_t max)
{
    struct tacit_verbs *v = tacit_verbs_of(fabric);
    size_t count = 0;
    while (v->self_first != v->self_next && count < max) {
        events[count++] = v->self[v->self_first++ % TACIT_VERBS_SELF_QUEUE];
    }
    (void)pthread_mutex_lock(&v->queue_lock);
    while (v->notices_first != v->notices_next && count < max) {
        events[count++] = v->notices[v->notices_first++ % TACIT_VERBS_NOTICES];
    }
    (void)pthread_mutex_unlock(&v->queue_lock);
    if (count < max && atomic_exchange(&v->regions_news, false)) {
        events[count++] = (struct tacit_event){.kind = TACIT_EVENT_REGIONS, .node = fabric->self};
    }
    for (unsigned i = 0; i < TACIT_NODES_MAX && count < max; i++) {
        struct verbs_link *link = tacit_verbs_link(v, v->poll_from);
        if (link != NULL) {
            count += poll_link(v, link, events + count, max - count);
        }
        v->poll_from = (tacit_node_t)((v->poll_from + 1) % TACIT_NODES_MAX);
    }
    return count;
}
