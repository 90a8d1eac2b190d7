// SPDX-License-Identifier: Apache-2.0
//
// Fetching a checkpoint; see transfer.h.
#include "transfer.h"

#include <string.h>

#include "../base/bug.h"
#include "read.h"
#include "tacit/layout.h"

#define HEADER_AGAIN_NS 100000u // between two looks at a source that has no checkpoint yet
#define LOOK_BUDGET 64u         // pages compared with the table per turn
#define INSTALL_BUDGET 64u      // pages moved into place per turn

// What a completion is for: the value of its cookie; READ_PAGE + slot for pages.
enum { READ_HEADER = 0, READ_TABLE = 1, WISH = 2, READ_PAGE = 3 };

void tacit_transfer_init(struct tacit_transfer *transfer, struct tacit_bump *bump,
                         struct tacit_fabric *fabric, struct tacit_pages *pages, uint8_t replicas,
                         tacit_time_ns_t patience_ns, struct tacit_marker marker)
{
    *transfer = (struct tacit_transfer){.fabric = fabric,
                                        .pages = pages,
                                        .marker = marker,
                                        .replicas = replicas,
                                        .patience_ns = patience_ns,
                                        .source = TACIT_NODE_NONE};
    transfer->staged = tacit_bump_take(bump, 8ull * ((pages->count + 63u) / 64u), 64);
    transfer->header = tacit_bump_take(bump, 32, 64);
    transfer->table = tacit_bump_take(bump, 8ull * pages->count, 64);
    transfer->staging =
        tacit_bump_take(bump, (size_t)TACIT_TRANSFER_READS * TACIT_PAGE_BYTES, TACIT_PAGE_BYTES);
}

void tacit_transfer_start(struct tacit_transfer *transfer, tacit_index_t want,
                          tacit_time_ns_t now_ns)
{
    if (transfer->step != TACIT_TRANSFER_IDLE && want <= transfer->want) {
        return;
    }
    transfer->want = want;
    transfer->again_ns = now_ns;
    if (transfer->step == TACIT_TRANSFER_IDLE) {
        transfer->transfers++;
        transfer->started_ns = now_ns;
        transfer->step = TACIT_TRANSFER_ASK;
    }
}

static bool post_read(struct tacit_transfer *transfer, uint64_t offset, void *to, uint32_t bytes,
                      uint64_t what)
{
    struct tacit_state_source source = {transfer->source, transfer->source_incarnation};
    bool posted = tacit_state_read(transfer->fabric, source, offset, to, bytes, what);
    transfer->outstanding += posted;
    return posted;
}

// Tells the source what is wanted; 0 withdraws the wish. A lost write is made good by the next
// look.
static void post_wish(struct tacit_transfer *transfer, uint64_t wish)
{
    struct tacit_region_key key = {TACIT_REGION_CONTROL, TACIT_NODE_SELF, 0};
    int32_t region = transfer->fabric->ops->region(transfer->fabric, transfer->source, key);
    if (region < 0) {
        return;
    }
    struct tacit_op op = {.kind = TACIT_OP_WRITE,
                          .plane = TACIT_PLANE_BACKGROUND,
                          .flags = TACIT_OP_QUIET,
                          .host = transfer->source,
                          .region = region,
                          .bytes = 8,
                          .offset = TACIT_CONTROL_CHECKPOINT,
                          .local = &wish,
                          .cookie = TACIT_COOKIE(TACIT_COOKIE_TRANSFER, WISH)};
    if (transfer->fabric->ops->post(transfer->fabric, &op) && wish != 0) {
        transfer->fabric->ops->ring(transfer->fabric, transfer->source);
    }
}

// Gives this attempt up; goes on with `next` when its reads have ended.
static void drain(struct tacit_transfer *transfer, enum tacit_transfer_step next,
                  tacit_time_ns_t now_ns)
{
    transfer->step = TACIT_TRANSFER_DRAIN;
    transfer->after_drain = next;
    transfer->give_up_ns = now_ns + transfer->patience_ns;
    transfer->again_ns = now_ns;
}

void tacit_transfer_cancel(struct tacit_transfer *transfer, tacit_time_ns_t now_ns)
{
    if (transfer->step != TACIT_TRANSFER_IDLE && transfer->step != TACIT_TRANSFER_INSTALL) {
        drain(transfer, TACIT_TRANSFER_IDLE, now_ns);
        transfer->withdrawn = false;
    }
}

static void next_source(struct tacit_transfer *transfer, uint32_t up,
                        const tacit_incarnation_t *incarnations, tacit_time_ns_t now_ns)
{
    tacit_node_t self = transfer->fabric->self;
    tacit_node_t from = transfer->source == TACIT_NODE_NONE ? self : transfer->source;
    for (uint8_t i = 1; i <= transfer->replicas; i++) {
        tacit_node_t r = (tacit_node_t)((from + i) % transfer->replicas);
        if (r != self && (up & 1u << r) != 0) {
            if (transfer->source != TACIT_NODE_NONE && transfer->source != r) {
                tacit_mark(&transfer->marker, TACIT_MARK_STATE_SOURCE_CHANGED);
            }
            transfer->source = r;
            transfer->source_incarnation = incarnations[r];
            transfer->step = TACIT_TRANSFER_HEADER;
            transfer->give_up_ns = now_ns + transfer->patience_ns;
            transfer->again_ns = now_ns;
            return;
        }
    }
    transfer->again_ns = now_ns + HEADER_AGAIN_NS;
}

static void read_header(struct tacit_transfer *transfer, tacit_time_ns_t now_ns)
{
    post_wish(transfer, transfer->want + 1);
    if (post_read(transfer, 0, transfer->header, 32, READ_HEADER)) {
        transfer->header_pending = true;
    }
    transfer->again_ns = now_ns + HEADER_AGAIN_NS;
}

static void begin_table(struct tacit_transfer *transfer)
{
    transfer->number = transfer->header[TACIT_STATE_READY / 8];
    transfer->index = transfer->header[TACIT_STATE_INDEX / 8];
    transfer->root = transfer->header[TACIT_STATE_ROOT / 8];
    transfer->step = TACIT_TRANSFER_TABLE;
    transfer->cursor = 0;
}

static void got_header(struct tacit_transfer *transfer, tacit_time_ns_t now_ns)
{
    const uint64_t *header = transfer->header;
    transfer->header_pending = false;
    bool usable = header[TACIT_STATE_READY / 8] != 0 &&
                  header[TACIT_STATE_PAGES / 8] == transfer->pages->count &&
                  header[TACIT_STATE_INDEX / 8] >= transfer->want;
    if (transfer->step == TACIT_TRANSFER_HEADER) {
        if (usable) {
            begin_table(transfer);
        }
    } else if (transfer->step == TACIT_TRANSFER_PAGES && transfer->check_header) {
        transfer->check_header = false;
        if (!usable || header[TACIT_STATE_READY / 8] != transfer->number) {
            // The source went on to another checkpoint: keep what fits, fetch the rest of that one.
            tacit_mark(&transfer->marker, TACIT_MARK_STATE_SOURCE_CHANGED);
            drain(transfer, TACIT_TRANSFER_HEADER, now_ns);
        }
    }
}

// Pages 1 .. of the table of sessions are left out by the seeded bug only.
static bool left_out(const struct tacit_transfer *transfer, uint32_t page)
{
    return TACIT_BUG(STATE_WITHOUT_SESSIONS) && page >= transfer->skip_first &&
           page < transfer->skip_last;
}

static void got_page(struct tacit_transfer *transfer, uint32_t slot)
{
    struct tacit_transfer_read *read = &transfer->reads[slot];
    const uint8_t *bytes = transfer->staging + (size_t)slot * TACIT_PAGE_BYTES;
    uint8_t *shadow = transfer->pages->shadow + (size_t)read->page * TACIT_PAGE_BYTES;
    bool fits = tacit_page_digest(bytes) == transfer->table[read->page];
    if (fits || TACIT_BUG(TORN_PAGE_TAKEN)) {
        memcpy(shadow, bytes, TACIT_PAGE_BYTES);
        transfer->staged[read->page / 64] |= 1ull << read->page % 64;
        transfer->fetched++;
        if (read->shadow) {
            tacit_mark(&transfer->marker, TACIT_MARK_SHADOW_PAGE_READ);
        }
        read->used = false;
        return;
    }
    if (!read->shadow) {
        uint64_t offset = tacit_pages_shadow_offset(transfer->pages->count, read->page);
        read->shadow = true;
        if (post_read(transfer, offset, transfer->staging + (size_t)slot * TACIT_PAGE_BYTES,
                      TACIT_PAGE_BYTES, READ_PAGE + slot)) {
            return;
        }
    }
    // Neither: the page was saved between the two reads, or the checkpoint has gone. Look again.
    read->used = false;
    if (read->page < transfer->cursor) {
        transfer->cursor = read->page;
    }
    transfer->check_header = true;
}

void tacit_transfer_completion(struct tacit_transfer *transfer, const struct tacit_event *event,
                               tacit_time_ns_t now_ns)
{
    uint64_t what = TACIT_COOKIE_VALUE(event->cookie);
    if (what == WISH) {
        return; // written again with the next look
    }
    TACIT_ASSERT(transfer->outstanding > 0);
    transfer->outstanding--;
    if (transfer->step == TACIT_TRANSFER_DRAIN) {
        return;
    }
    if (event->status != TACIT_COMPLETION_OK) {
        drain(transfer, TACIT_TRANSFER_ASK, now_ns);
        return;
    }
    if (what == READ_HEADER) {
        got_header(transfer, now_ns); // no progress by itself: a stopped source can be read, too
        return;
    }
    transfer->give_up_ns = now_ns + transfer->patience_ns;
    if (what >= READ_PAGE) {
        got_page(transfer, (uint32_t)(what - READ_PAGE));
    }
}

void tacit_transfer_down(struct tacit_transfer *transfer, tacit_node_t node, tacit_time_ns_t now_ns)
{
    if (transfer->step != TACIT_TRANSFER_IDLE && transfer->step != TACIT_TRANSFER_INSTALL &&
        node == transfer->source) {
        drain(transfer, TACIT_TRANSFER_ASK, now_ns);
    }
}

static void poll_drain(struct tacit_transfer *transfer, tacit_time_ns_t now_ns)
{
    if (transfer->outstanding == 0) {
        transfer->step = transfer->after_drain;
        transfer->header_pending = false;
        transfer->check_header = false;
        transfer->give_up_ns = now_ns + transfer->patience_ns;
        memset(transfer->reads, 0, sizeof(transfer->reads));
    } else if (now_ns >= transfer->give_up_ns) {
        transfer->give_up_ns = now_ns + transfer->patience_ns;
        transfer->fabric->ops->reset(transfer->fabric, transfer->source);
    }
}

static void poll_table(struct tacit_transfer *transfer)
{
    uint32_t count = transfer->pages->count;
    while (transfer->cursor < count && transfer->outstanding < TACIT_TRANSFER_READS) {
        uint32_t pages = count - transfer->cursor;
        if (pages > TACIT_TRANSFER_TABLE_CHUNK) {
            pages = TACIT_TRANSFER_TABLE_CHUNK;
        }
        if (!post_read(transfer, TACIT_STATE_TABLE + 8ull * transfer->cursor,
                       transfer->table + transfer->cursor, 8 * pages, READ_TABLE)) {
            return;
        }
        transfer->cursor += pages;
    }
    if (transfer->cursor < count || transfer->outstanding > 0) {
        return;
    }
    if (tacit_pages_root(transfer->table, count, transfer->index) != transfer->root) {
        transfer->step = TACIT_TRANSFER_HEADER; // torn: the source began another checkpoint
        return;
    }
    if (!transfer->withdrawn) {
        transfer->withdrawn = true;
        tacit_pages_withdraw(transfer->pages);
        memset(transfer->staged, 0, 8ull * ((count + 63u) / 64u));
    }
    transfer->step = TACIT_TRANSFER_PAGES;
    transfer->cursor = 0;
    transfer->check_header = false;
}

static struct tacit_transfer_read *free_read(struct tacit_transfer *transfer, uint32_t *slot)
{
    for (*slot = 0; *slot < TACIT_TRANSFER_READS; (*slot)++) {
        if (!transfer->reads[*slot].used) {
            return &transfer->reads[*slot];
        }
    }
    return NULL;
}

static bool in_flight(const struct tacit_transfer *transfer, uint32_t page)
{
    for (uint32_t i = 0; i < TACIT_TRANSFER_READS; i++) {
        if (transfer->reads[i].used && transfer->reads[i].page == page) {
            return true;
        }
    }
    return false;
}

// Whether the page of the checkpoint is here: fetched before, or the live one is the same.
static bool have_page(struct tacit_transfer *transfer, uint32_t page)
{
    size_t offset = (size_t)page * TACIT_PAGE_BYTES;
    uint64_t *word = &transfer->staged[page / 64];
    uint64_t bit = 1ull << page % 64;
    if ((*word & bit) != 0) {
        if (tacit_page_digest(transfer->pages->shadow + offset) == transfer->table[page]) {
            return true;
        }
        *word &= ~bit; // of an older checkpoint
    }
    return tacit_page_digest(transfer->pages->live + offset) == transfer->table[page];
}

// Moves fetched pages into place; true when all are.
static bool poll_install(struct tacit_transfer *transfer)
{
    uint32_t count = transfer->pages->count;
    for (uint32_t budget = INSTALL_BUDGET; budget > 0 && transfer->cursor < count;
         transfer->cursor++) {
        uint32_t page = transfer->cursor;
        size_t offset = (size_t)page * TACIT_PAGE_BYTES;
        if ((transfer->staged[page / 64] & 1ull << page % 64) != 0) {
            memcpy(transfer->pages->live + offset, transfer->pages->shadow + offset,
                   TACIT_PAGE_BYTES);
            budget--;
        }
    }
    return transfer->cursor == count;
}

// Compares and fetches; true when every page is here.
static bool poll_pages(struct tacit_transfer *transfer, tacit_time_ns_t now_ns)
{
    if (transfer->check_header) {
        if (!transfer->header_pending && now_ns >= transfer->again_ns) {
            read_header(transfer, now_ns);
        }
        return false;
    }
    for (uint32_t budget = LOOK_BUDGET; budget > 0 && transfer->cursor < transfer->pages->count;
         budget--) {
        uint32_t page = transfer->cursor;
        if (!in_flight(transfer, page) && !left_out(transfer, page) && !have_page(transfer, page)) {
            uint32_t slot;
            struct tacit_transfer_read *read = free_read(transfer, &slot);
            if (read == NULL ||
                !post_read(transfer, tacit_pages_live_offset(transfer->pages->count, page),
                           transfer->staging + (size_t)slot * TACIT_PAGE_BYTES, TACIT_PAGE_BYTES,
                           READ_PAGE + slot)) {
                return false;
            }
            *read = (struct tacit_transfer_read){.used = true, .page = page};
        }
        transfer->cursor++;
    }
    return transfer->cursor == transfer->pages->count && transfer->outstanding == 0;
}

bool tacit_transfer_poll(struct tacit_transfer *transfer, uint32_t up,
                         const tacit_incarnation_t *incarnations, tacit_time_ns_t now_ns)
{
    bool reading = transfer->step == TACIT_TRANSFER_HEADER ||
                   transfer->step == TACIT_TRANSFER_TABLE || transfer->step == TACIT_TRANSFER_PAGES;
    bool is_left = up != 0 && reading && (up >> transfer->source & 1) == 0;
    if (is_left || (reading && now_ns >= transfer->give_up_ns)) {
        drain(transfer, TACIT_TRANSFER_ASK, now_ns);
    }
    switch (transfer->step) {
    case TACIT_TRANSFER_IDLE:
        return false;
    case TACIT_TRANSFER_DRAIN:
        poll_drain(transfer, now_ns);
        return false;
    case TACIT_TRANSFER_ASK:
        if (now_ns >= transfer->again_ns) {
            next_source(transfer, up, incarnations, now_ns);
        }
        return false;
    case TACIT_TRANSFER_HEADER:
        if (!transfer->header_pending && now_ns >= transfer->again_ns) {
            read_header(transfer, now_ns);
        }
        return false;
    case TACIT_TRANSFER_TABLE:
        poll_table(transfer);
        return false;
    case TACIT_TRANSFER_PAGES:
        if (!poll_pages(transfer, now_ns)) {
            return false;
        }
        if (transfer->index < transfer->want) {
            transfer->step = TACIT_TRANSFER_HEADER; // the demand was raised meanwhile
            transfer->again_ns = now_ns;
            return false;
        }
        post_wish(transfer, 0);
        transfer->step = TACIT_TRANSFER_INSTALL;
        transfer->cursor = 0;
        break;
    case TACIT_TRANSFER_INSTALL:
        break;
    }
    if (!poll_install(transfer)) {
        return false;
    }
    transfer->withdrawn = false;
    transfer->step = TACIT_TRANSFER_IDLE;
    tacit_mark(&transfer->marker, TACIT_MARK_STATE_INSTALLED);
    return true;
}

tacit_time_ns_t tacit_transfer_deadline(const struct tacit_transfer *transfer)
{
    if (transfer->step == TACIT_TRANSFER_IDLE) {
        return UINT64_MAX;
    }
    if (transfer->step == TACIT_TRANSFER_INSTALL) {
        return 0;
    }
    // With reads under way their completions wake the poller.
    return transfer->outstanding > 0 ? transfer->give_up_ns : transfer->again_ns;
}
