// SPDX-License-Identifier: Apache-2.0
//
// Signatures of requests: what a client sent itself is checked in its place, on the account of the
// clients, who take turns; what a peer forwarded is checked in a copy, on that peer's account, and
// displaces nothing before it turned out to be valid.
#include "requests_internal.h"

#include <string.h>

#include "../base/bug.h"

// Cookies: place and turn; or with this bit, turn, peer and slot of a forwarded request.
#define COOKIE_FORWARD (1ull << 55)

static void make_job(struct tacit_signer_job *job, const struct tacit_requests_key *key,
                     const uint8_t *body, uint32_t body_bytes, const uint8_t *signature)
{
    struct tacit_digest digest;
    tacit_body_digest(&digest, body, body_bytes);
    *job = (struct tacit_signer_job){.verify = true,
                                     .author = (uint16_t)(TACIT_SIGNER_CLIENT + key->client),
                                     .domain = TACIT_DOMAIN_REQUEST};
    job->payload_bytes = tacit_statement_request(job->payload, key->client, key->session,
                                                 key->number, key->kind, &digest);
    memcpy(job->signature.bytes, signature, TACIT_SIGNATURE_BYTES);
}

enum submitted { TACIT_SUBMITTED, TACIT_SUBMIT_LATER, TACIT_SUBMIT_NEVER };

static enum submitted submit(struct tacit_requests *requests, const struct tacit_signer_job *job)
{
    struct tacit_signer *signer = requests->signer;
    if (!signer->ops->knows(signer, job->author)) {
        requests->counters.bad_signatures++;
        return TACIT_SUBMIT_NEVER;
    }
    if (!signer->ops->submit(signer, job)) {
        requests->counters.checks_refused++;
        return TACIT_SUBMIT_LATER;
    }
    requests->counters.checks++;
    return TACIT_SUBMITTED;
}

// ---- what clients sent
// ---------------------------------------------------------------------------------
//
// All clients share one queue of the signer. So that many faulty ones cannot keep one out of it,
// few signatures are there at a time, and clients take turns: who comes waits for those few and for
// one of each other client, however many each of them has sent.

static void queue_client(struct tacit_requests *requests, uint32_t client)
{
    uint32_t clients = requests->config.clients;
    requests->clients[client].is_queued = true;
    requests->check_queue[(requests->check_first + requests->check_count++) % clients] = client;
}

// The next place of a client that waits for its check, or NONE.
static uint32_t next_to_check(struct tacit_requests *requests, uint32_t client)
{
    struct tacit_requests_client *record = &requests->clients[client];
    uint32_t first = client * requests->places_each;
    for (uint32_t i = 0; record->to_check > 0 && i < requests->places_each; i++) {
        uint32_t among = (record->look_at + i) % requests->places_each;
        if (requests->entries[first + among].to_check) {
            record->look_at = among + 1;
            return first + among;
        }
    }
    return TACIT_REQUESTS_NONE;
}

static enum submitted check_now(struct tacit_requests *requests, uint32_t place)
{
    struct tacit_requests_entry *entry = &requests->entries[place];
    struct tacit_requests_key key = tacit_requests_key_of(requests, place);
    struct tacit_signer_job job;
    make_job(&job, &key, tacit_requests_body(requests, place), entry->body_bytes,
             tacit_requests_signature(requests, place));
    job.charge = TACIT_SIGNER_CHARGE_CLIENTS;
    job.cookie = TACIT_SIGNER_COOKIE(TACIT_SIGNER_REQUESTS,
                                     (uint64_t)entry->turn << TACIT_REQUESTS_PLACE_BITS | place);
    enum submitted submitted = submit(requests, &job);
    if (submitted == TACIT_SUBMIT_LATER) {
        return submitted;
    }
    entry->to_check = false;
    requests->clients[key.client].to_check--;
    if (submitted == TACIT_SUBMITTED) {
        entry->checking = true;
        requests->checks_out++;
    }
    return submitted;
}

void tacit_requests_check_next(struct tacit_requests *requests)
{
    uint32_t most = TACIT_BUG(CLIENTS_ONE_QUEUE) ? UINT32_MAX : TACIT_CHECKS_OUT;
    while (requests->check_count > 0 && requests->checks_out < most) {
        uint32_t client = requests->check_queue[requests->check_first];
        uint32_t place = next_to_check(requests, client);
        if (place != TACIT_REQUESTS_NONE && check_now(requests, place) == TACIT_SUBMIT_LATER) {
            return; // goes on when one comes back
        }
        requests->check_first = (requests->check_first + 1) % requests->config.clients;
        requests->check_count--;
        requests->clients[client].is_queued = false;
        if (requests->clients[client].to_check > 0) {
            queue_client(requests, client); // behind the others
        }
    }
}

void tacit_requests_check_place(struct tacit_requests *requests, uint32_t place,
                                const uint8_t *signature)
{
    struct tacit_requests_entry *entry = &requests->entries[place];
    uint32_t client = tacit_requests_client_of(requests, place);
    if (entry->is_signed || entry->checking) {
        return;
    }
    memcpy(tacit_requests_signature(requests, place), signature, TACIT_SIGNATURE_BYTES);
    requests->clients[client].to_check += !entry->to_check;
    entry->to_check = true;
    if (!requests->clients[client].is_queued) {
        queue_client(requests, client);
    }
    tacit_requests_check_next(requests);
}

static void on_signed(struct tacit_requests *requests, uint32_t place, const uint8_t *signature,
                      tacit_time_ns_t now_ns)
{
    struct tacit_requests_entry *entry = &requests->entries[place];
    requests->clients[tacit_requests_client_of(requests, place)].to_check -= entry->to_check;
    entry->to_check = false;
    entry->is_signed = true;
    memcpy(tacit_requests_signature(requests, place), signature, TACIT_SIGNATURE_BYTES);
    tacit_requests_serve_lacks(requests, place);
    tacit_requests_improved(requests, place, now_ns);
}

// ---- forwarded requests
// --------------------------------------------------------------------------------

static uint8_t *forward_bytes(const struct tacit_requests *requests, tacit_node_t from,
                              uint32_t slot)
{
    return requests->forward_bytes +
           ((size_t)from * TACIT_FORWARDS_EACH + slot) * requests->forward_stride;
}

// Whether a forwarded request is of use; then its key.
static bool is_wanted(struct tacit_requests *requests, uint16_t client,
                      const struct tacit_wire_request *request, struct tacit_requests_key *key)
{
    *key = (struct tacit_requests_key){.kind = request->kind,
                                       .client = client,
                                       .session = request->session,
                                       .number = request->number};
    if (tacit_requests_judge(requests, key) != TACIT_PUT_TAKEN) {
        return false;
    }
    uint32_t place = tacit_requests_find(requests, key);
    return place == TACIT_REQUESTS_NONE || !requests->entries[place].is_signed ||
           requests->entries[place].body_bytes != request->body_bytes ||
           memcmp(tacit_requests_body(requests, place), request->body, request->body_bytes) != 0;
}

// A valid one that finds no room in the store (a newer one has its place, and a replayed one must
// not displace that) still is what its client asked for: a slot that waits for it is endorsed.
// Else a client could take each view from its leader by giving different requests to replicas.
static void bring(struct tacit_requests *requests, const struct tacit_requests_key *key,
                  const struct tacit_wire_request *request)
{
    struct tacit_requests_entry *entry = &requests->entries[tacit_requests_place(requests, key)];
    if (!tacit_requests_is_awaited(requests, key) || TACIT_BUG(LACKED_NOT_BROUGHT)) {
        return;
    }
    entry->has_brought = true;
    entry->brought = *key;
    tacit_body_digest(&entry->brought_digest, request->body, request->body_bytes);
    requests->counters.forwards_taken++;
    tacit_mark(&requests->marker, TACIT_MARK_FORWARD_BROUGHT);
    tacit_requests_wake(requests, key);
}

static void take_forwarded(struct tacit_requests *requests, uint16_t client, const uint8_t *bytes,
                           uint32_t size, tacit_time_ns_t now_ns)
{
    struct tacit_wire_request request;
    struct tacit_requests_key key;
    if (tacit_wire_request_decode(&request, bytes, size) != TACIT_VERDICT_OK ||
        !is_wanted(requests, client, &request, &key)) {
        return; // executed meanwhile
    }
    uint32_t place = tacit_requests_find(requests, &key);
    bool same = place != TACIT_REQUESTS_NONE &&
                requests->entries[place].body_bytes == request.body_bytes &&
                memcmp(tacit_requests_body(requests, place), request.body, request.body_bytes) == 0;
    if (!same) {
        bool conflict = place != TACIT_REQUESTS_NONE;
        place = tacit_requests_store(requests, &key, &request, true);
        if (place == TACIT_REQUESTS_NONE) {
            bring(requests, &key, &request);
            return;
        }
        if (conflict) {
            requests->counters.conflicts++;
            tacit_mark(&requests->marker, TACIT_MARK_REQUEST_CONFLICT);
        }
    }
    requests->counters.forwards_taken++;
    tacit_mark(&requests->marker, TACIT_MARK_FORWARD_TAKEN);
    on_signed(requests, place, request.signature, now_ns);
}

// Copies a forwarded request into a slot of its peer. False: there is nothing to check.
static bool copy_forwarded(struct tacit_requests *requests, tacit_node_t from, uint32_t slot,
                           const struct tacit_message_request *message)
{
    uint8_t *bytes = forward_bytes(requests, from, slot);
    uint32_t size = message->bytes;
    if (size > requests->forward_stride) {
        requests->counters.malformed++;
        return false;
    }
    if (!message->beside) {
        memcpy(bytes, message->request, size);
    } else if (requests->calls.body(requests->calls.context, from, message->ticket, bytes,
                                    requests->forward_stride, &size) != TACIT_VERDICT_OK ||
               size != message->bytes) {
        return false; // overwritten; it is forwarded again
    }
    struct tacit_wire_request request;
    struct tacit_requests_key key;
    if (tacit_wire_request_decode(&request, bytes, size) != TACIT_VERDICT_OK ||
        (request.flags & TACIT_REQUEST_SIGNED) == 0 ||
        request.body_bytes > requests->config.request_bytes) {
        requests->counters.malformed++;
        return false;
    }
    return is_wanted(requests, message->client, &request, &key);
}

void tacit_requests_on_forward(struct tacit_requests *requests, tacit_node_t from,
                               const struct tacit_message_request *message, tacit_time_ns_t now_ns)
{
    uint32_t slot = 0;
    while (slot < TACIT_FORWARDS_EACH && requests->forwards[from][slot].used) {
        slot++;
    }
    if (slot == TACIT_FORWARDS_EACH) {
        requests->counters.checks_refused++;
        return;
    }
    if (!copy_forwarded(requests, from, slot, message)) {
        return;
    }
    const uint8_t *bytes = forward_bytes(requests, from, slot);
    if (TACIT_BUG(FORWARD_UNCHECKED)) {
        take_forwarded(requests, message->client, bytes, message->bytes, now_ns);
        return;
    }
    struct tacit_wire_request request;
    (void)tacit_wire_request_decode(&request, bytes, message->bytes); // OK: checked above
    struct tacit_requests_key key = {.kind = request.kind,
                                     .client = message->client,
                                     .session = request.session,
                                     .number = request.number};
    struct tacit_requests_forward *forward = &requests->forwards[from][slot];
    uint32_t turn = ++requests->turns & TACIT_REQUESTS_TURNS;
    struct tacit_signer_job job;
    make_job(&job, &key, request.body, request.body_bytes, request.signature);
    job.charge = (uint8_t)from;
    job.cookie = TACIT_SIGNER_COOKIE(TACIT_SIGNER_REQUESTS, COOKIE_FORWARD | (uint64_t)turn << 16 |
                                                                (uint64_t)from << 8 | slot);
    if (submit(requests, &job) == TACIT_SUBMITTED) {
        *forward = (struct tacit_requests_forward){
            .used = true, .client = message->client, .turn = turn, .bytes = message->bytes};
    }
}

void tacit_requests_signer(struct tacit_requests *requests, const struct tacit_signer_done *done,
                           tacit_time_ns_t now_ns)
{
    uint64_t value = TACIT_SIGNER_COOKIE_VALUE(done->cookie);
    requests->counters.bad_signatures += !done->valid;
    if ((value & COOKIE_FORWARD) != 0) {
        uint32_t slot = (uint32_t)(value & 0xffu);
        tacit_node_t from = (tacit_node_t)(value >> 8 & 0xffu);
        TACIT_ASSERT(from < requests->config.replicas && slot < TACIT_FORWARDS_EACH);
        struct tacit_requests_forward *forward = &requests->forwards[from][slot];
        if (!forward->used || forward->turn != (uint32_t)(value >> 16 & TACIT_REQUESTS_TURNS)) {
            return;
        }
        forward->used = false;
        if (done->valid) {
            take_forwarded(requests, forward->client, forward_bytes(requests, from, slot),
                           forward->bytes, now_ns);
        }
        return;
    }
    uint32_t place = (uint32_t)(value & ((1u << TACIT_REQUESTS_PLACE_BITS) - 1));
    TACIT_ASSERT(place < requests->config.clients * requests->places_each);
    struct tacit_requests_entry *entry = &requests->entries[place];
    TACIT_ASSERT(requests->checks_out > 0);
    requests->checks_out--;
    tacit_requests_check_next(requests);
    if (entry->kind == 0 || entry->turn != (uint32_t)(value >> TACIT_REQUESTS_PLACE_BITS)) {
        return; // executed or displaced meanwhile
    }
    entry->checking = false;
    if (done->valid && !entry->is_signed) {
        on_signed(requests, place, done->signature.bytes, now_ns);
    }
}

void tacit_requests_send(struct tacit_requests *requests, tacit_node_t to, uint32_t place)
{
    const struct tacit_requests_entry *entry = &requests->entries[place];
    struct tacit_wire_request request = {
        .kind = entry->kind,
        .flags = TACIT_REQUEST_SIGNED,
        .session = entry->session,
        .number = entry->number,
        .body = tacit_requests_body(requests, place),
        .body_bytes = entry->body_bytes,
        .signature = tacit_requests_signature(requests, place),
    };
    uint8_t *inner = requests->out + TACIT_REQUEST_HEADER_BYTES;
    size_t size = tacit_wire_request_encode(inner, requests->forward_stride, &request);
    TACIT_ASSERT(size > 0);
    struct tacit_message_request message = {
        .client = (uint16_t)tacit_requests_client_of(requests, place), .bytes = (uint32_t)size};
    uint32_t bytes = TACIT_REQUEST_HEADER_BYTES + (uint32_t)size;
    if (bytes > requests->config.message_bytes) {
        message.beside = true;
        message.ticket =
            requests->calls.send_body(requests->calls.context, to, inner, (uint32_t)size);
        bytes = TACIT_REQUEST_HEADER_BYTES;
    }
    tacit_message_request_encode(requests->out, &message);
    requests->calls.send(requests->calls.context, to, requests->out, bytes);
    requests->counters.forwarded++;
}
