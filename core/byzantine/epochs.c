// SPDX-License-Identifier: Apache-2.0
//
// See epochs.h.
#include "epochs.h"

#include <string.h>

#include "../base/bug.h"

#define TELL_DOUBLINGS 5u

struct share { // of one replica about one node
    bool valid;
    uint64_t now; // incarnation that came
    struct tacit_signature signature;
    // What is being signed or checked: takes the place of the above if it proves valid, so that a
    // forged one costs nobody a share. What its signer says and what a leader shows have each a
    // place of their own: neither can keep the other waiting.
    struct pending {
        bool checking;
        uint32_t serial; // of the job
        uint64_t now;
    } said, shown;
};

struct suspect {
    uint64_t old; // the member
    uint64_t now; // largest that was seen; the node is suspected if that is larger
    struct share shares[TACIT_REPLICAS_MAX];
};

struct tacit_epochs {
    struct tacit_epochs_config config;
    struct tacit_links *links;
    struct tacit_signer *signer;
    struct tacit_marker marker;
    struct tacit_epochs_counters counters;
    uint64_t epoch;
    uint32_t serial;
    struct suspect suspects[TACIT_EPOCH_NODES];
    uint32_t valid; // shares: mostly none, and then each turn need not look at all
    tacit_time_ns_t tell_ns;
    uint32_t told;
};

struct tacit_epochs *tacit_epochs_init(struct tacit_bump *bump,
                                       const struct tacit_epochs_config *config,
                                       struct tacit_links *links, struct tacit_signer *signer,
                                       struct tacit_marker marker)
{
    struct tacit_epochs *epochs = tacit_bump_take(bump, sizeof *epochs, TACIT_CACHE_LINE);
    if (bump->base == NULL) {
        return NULL;
    }
    memset(epochs, 0, sizeof *epochs);
    epochs->config = *config;
    epochs->links = links;
    epochs->signer = signer;
    epochs->marker = marker;
    return epochs;
}

void tacit_epochs_enter(struct tacit_epochs *epochs, uint64_t epoch, const uint64_t *members)
{
    epochs->epoch = epoch;
    for (uint32_t i = 0; i < TACIT_EPOCH_NODES; i++) {
        struct suspect *suspect = &epochs->suspects[i];
        if (!TACIT_BUG(SUSPECT_OUTLIVES_EPOCH)) {
            memset(suspect->shares, 0, sizeof suspect->shares);
            epochs->valid = 0;
        }
        suspect->old = members[i];
    }
    epochs->told = 0;
    epochs->tell_ns = 0;
}

void tacit_epochs_seen(struct tacit_epochs *epochs, tacit_node_t node,
                       tacit_incarnation_t incarnation)
{
    if (node < TACIT_EPOCH_NODES && incarnation > epochs->suspects[node].now) {
        epochs->suspects[node].now = incarnation;
        epochs->told = 0;
        epochs->tell_ns = 0;
    }
}

static bool is_known(const struct tacit_epochs *epochs, uint32_t node)
{
    return node < epochs->config.replicas ||
           (node >= TACIT_NODE_MEMNODE && node - TACIT_NODE_MEMNODE < epochs->config.memnodes);
}

// A later incarnation than the member's is there.
static bool is_newcomer(const struct suspect *suspect)
{
    return suspect->now > suspect->old;
}

// ... and may follow it.
static bool is_suspected(const struct tacit_epochs *epochs, uint32_t node)
{
    const struct tacit_epochs_config *config = &epochs->config;
    return is_known(epochs, node) && is_newcomer(&epochs->suspects[node]) &&
           (config->is_open == NULL || TACIT_BUG(SUSPECT_UNASKED) ||
            config->is_open(config->context, (tacit_node_t)node, epochs->suspects[node].now));
}

// ---- shares

static uint64_t cookie_of(uint32_t node, tacit_node_t from, uint32_t serial)
{
    return TACIT_SIGNER_COOKIE(TACIT_SIGNER_EPOCHS,
                               (uint64_t)node << 40 | (uint64_t)from << 32 | serial);
}

static struct pending *pending_of(struct share *share, bool by_signer)
{
    return by_signer || TACIT_BUG(COPY_STOPS_SUSPECT) ? &share->said : &share->shown;
}

static bool submit(struct tacit_epochs *epochs, uint32_t node, tacit_node_t from,
                   tacit_node_t charge, uint64_t now, const struct tacit_signature *signature)
{
    struct suspect *suspect = &epochs->suspects[node];
    struct pending *pending = pending_of(&suspect->shares[from], charge == from);
    struct tacit_signer_job job = {.verify = signature != NULL,
                                   .charge = (uint8_t)charge,
                                   .author = tacit_author_of(epochs->config.authors, from),
                                   .domain = TACIT_DOMAIN_SUSPECT,
                                   .cookie = cookie_of(node, from, epochs->serial + 1)};
    job.payload_bytes =
        tacit_statement_suspect(job.payload, epochs->epoch, (tacit_node_t)node, suspect->old, now);
    if (signature != NULL) {
        job.signature = *signature;
    }
    if (!epochs->signer->ops->submit(epochs->signer, &job)) {
        return false;
    }
    *pending = (struct pending){.checking = true, .serial = ++epochs->serial, .now = now};
    return true;
}

// A share that somebody showed: the newest incarnation of each signer counts.
static void take(struct tacit_epochs *epochs, tacit_node_t charge, uint32_t node, tacit_node_t from,
                 uint64_t now, const struct tacit_signature *signature)
{
    struct share *share = &epochs->suspects[node].shares[from];
    if (from == epochs->config.self || pending_of(share, charge == from)->checking ||
        (share->valid && share->now >= now)) {
        return;
    }
    (void)submit(epochs, node, from, charge, now, signature);
}

void tacit_epochs_message(struct tacit_epochs *epochs, tacit_node_t from, const uint8_t *message,
                          uint32_t bytes)
{
    uint16_t node = 0;
    uint64_t words[3] = {0}; // epoch, old, now
    struct tacit_signature signature;
    if (bytes == TACIT_SUSPECT_BYTES) {
        memcpy(&node, message + 2, sizeof node);
        memcpy(words, message + 8, sizeof words);
        memcpy(signature.bytes, message + 32, TACIT_SIGNATURE_BYTES);
    }
    if (bytes != TACIT_SUSPECT_BYTES || !is_known(epochs, node)) {
        epochs->counters.malformed++;
        return;
    }
    if (words[0] == epochs->epoch && words[1] == epochs->suspects[node].old &&
        words[2] > words[1] && tacit_incarnation_is_node(words[2])) {
        take(epochs, from, node, from, words[2], &signature);
    }
}

bool tacit_epochs_signer(struct tacit_epochs *epochs, const struct tacit_signer_done *done)
{
    uint64_t value = TACIT_SIGNER_COOKIE_VALUE(done->cookie);
    uint32_t node = (uint32_t)(value >> 40 & 0xff);
    uint32_t from = (uint32_t)(value >> 32 & 0xff);
    if (node >= TACIT_EPOCH_NODES || from >= epochs->config.replicas) {
        return false;
    }
    struct share *share = &epochs->suspects[node].shares[from];
    bool is_said = share->said.checking && share->said.serial == (uint32_t)value;
    struct pending *pending = is_said ? &share->said : &share->shown;
    if (!pending->checking || pending->serial != (uint32_t)value) {
        return false; // of an older epoch
    }
    pending->checking = false;
    if (!done->valid && !TACIT_BUG(SUSPECT_UNCHECKED)) {
        epochs->counters.bad_signatures++;
        return false;
    }
    if (share->valid && share->now >= pending->now) {
        return true; // the other one was faster
    }
    epochs->valid += !share->valid;
    share->valid = true;
    share->now = pending->now;
    share->signature = done->signature;
    if (from == epochs->config.self) {
        epochs->tell_ns = 0;
        epochs->told = 0;
    }
    return true;
}

// ---- changes

static uint32_t signers(const struct tacit_epochs *epochs, uint32_t node, uint64_t now)
{
    uint32_t count = 0;
    for (tacit_node_t r = 0; r < epochs->config.replicas; r++) {
        const struct share *share = &epochs->suspects[node].shares[r];
        count += share->valid && share->now == now;
    }
    return count;
}

static uint32_t quorum(const struct tacit_epochs *epochs)
{
    return epochs->config.replicas / 2u + !TACIT_BUG(EPOCH_F_SUFFICES);
}

// The incarnation that f+1 replicas saw in the node's place, 0: none.
static uint64_t due(const struct tacit_epochs *epochs, uint32_t node)
{
    uint64_t best = 0;
    for (tacit_node_t r = 0; is_known(epochs, node) && r < epochs->config.replicas; r++) {
        const struct share *share = &epochs->suspects[node].shares[r];
        if (share->valid && share->now > best &&
            signers(epochs, node, share->now) >= quorum(epochs)) {
            best = share->now;
        }
    }
    return best;
}

bool tacit_epochs_is_due(const struct tacit_epochs *epochs)
{
    bool any = false;
    for (uint32_t node = 0; epochs->valid >= quorum(epochs) && node < TACIT_EPOCH_NODES && !any;
         node++) {
        any = due(epochs, node) != 0;
    }
    return any;
}

size_t tacit_epochs_proposal(const struct tacit_epochs *epochs,
                             uint8_t out[TACIT_EPOCH_BATCH_BYTES])
{
    uint8_t body[TACIT_EPOCH_BATCH_BYTES / 2 + 128];
    for (uint32_t node = 0; node < TACIT_EPOCH_NODES; node++) {
        uint64_t now = due(epochs, node);
        if (now == 0) {
            continue;
        }
        struct tacit_certificate certificate = {0};
        for (tacit_node_t r = 0; r < epochs->config.replicas; r++) {
            const struct share *share = &epochs->suspects[node].shares[r];
            if (share->valid && share->now == now && certificate.count < quorum(epochs)) {
                certificate.shares[certificate.count++] =
                    (struct tacit_share){.signer = (uint8_t)r, .signature = share->signature};
            }
        }
        struct tacit_wire_item item = {.kind = TACIT_ITEM_REPLACE,
                                       .subject = (uint16_t)node,
                                       .session = epochs->suspects[node].old,
                                       .number = now,
                                       .body = body};
        item.body_bytes = (uint32_t)tacit_certificate_encode(body, sizeof body, &certificate);
        size_t used = 0;
        if (tacit_wire_item_encode(out, TACIT_EPOCH_BATCH_BYTES, &used, &item)) {
            return used;
        }
    }
    return 0;
}

enum tacit_epochs_endorsement tacit_epochs_endorse(struct tacit_epochs *epochs, tacit_node_t leader,
                                                   const struct tacit_wire_item *item)
{
    struct tacit_certificate certificate;
    size_t used;
    uint32_t node = item->subject;
    if (!is_known(epochs, node) || item->number <= item->session ||
        !tacit_incarnation_is_node(item->number) || item->session != epochs->suspects[node].old ||
        tacit_certificate_decode(&certificate, item->body, item->body_bytes,
                                 (uint8_t)quorum(epochs), epochs->config.replicas,
                                 &used) != TACIT_VERDICT_OK ||
        used != item->body_bytes) {
        return TACIT_EPOCHS_NEVER;
    }
    if (signers(epochs, node, item->number) >= quorum(epochs) || TACIT_BUG(REPLACE_UNCHECKED)) {
        return TACIT_EPOCHS_OK;
    }
    for (uint32_t i = 0; i < certificate.count; i++) {
        take(epochs, leader == epochs->config.self ? certificate.shares[i].signer : leader, node,
             certificate.shares[i].signer, item->number, &certificate.shares[i].signature);
    }
    return TACIT_EPOCHS_WAIT;
}

// ---- turns

static void tell(struct tacit_epochs *epochs, uint32_t node, const struct share *share)
{
    uint8_t message[TACIT_SUSPECT_BYTES] = {TACIT_MESSAGE_SUSPECT};
    uint16_t subject = (uint16_t)node;
    uint64_t words[3] = {epochs->epoch, epochs->suspects[node].old, share->now};
    memcpy(message + 2, &subject, sizeof subject);
    memcpy(message + 8, words, sizeof words);
    memcpy(message + 32, share->signature.bytes, TACIT_SIGNATURE_BYTES);
    tacit_links_send_all(epochs->links, message, sizeof message);
}

bool tacit_epochs_poll(struct tacit_epochs *epochs, bool pending, tacit_time_ns_t now_ns)
{
    bool worked = false;
    if (pending || now_ns < epochs->tell_ns) {
        return false;
    }
    for (uint32_t node = 0; node < TACIT_EPOCH_NODES; node++) {
        const struct share *own = &epochs->suspects[node].shares[epochs->config.self];
        uint64_t now = epochs->suspects[node].now;
        if (!is_suspected(epochs, node) || own->said.checking) {
            continue;
        }
        if (own->valid && own->now == now) {
            tell(epochs, node, own);
        } else if (submit(epochs, node, epochs->config.self, epochs->config.self, now, NULL)) {
            epochs->counters.suspected++;
        }
        worked = true;
    }
    epochs->tell_ns = now_ns + (epochs->config.retry_ns << epochs->told);
    epochs->told += epochs->told < TELL_DOUBLINGS;
    return worked;
}

tacit_time_ns_t tacit_epochs_deadline(const struct tacit_epochs *epochs, bool pending)
{
    bool any = false; // if its seat is not open, it may be later
    for (uint32_t i = 0; i < epochs->config.replicas && !pending; i++) {
        any = any || is_newcomer(&epochs->suspects[i]);
    }
    for (uint32_t i = 0; i < epochs->config.memnodes && !pending; i++) {
        any = any || is_newcomer(&epochs->suspects[TACIT_NODE_MEMNODE + i]);
    }
    return any ? epochs->tell_ns : UINT64_MAX;
}

const struct tacit_epochs_counters *tacit_epochs_counters(const struct tacit_epochs *epochs)
{
    return &epochs->counters;
}
