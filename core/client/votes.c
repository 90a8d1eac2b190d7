// SPDX-License-Identifier: Apache-2.0
//
// What Byzantine mode adds to a client: an answer counts when f+1 replicas gave it, so at least one
// of them is correct. Replicas send each other's weight in digests: only the designated replier of
// a request sends the body, so that is the one body that is kept while the votes come in (before it
// is here, the first one of another, which may be equal). All other bodies are of use at once or
// not at all: where everybody sends the body (a short one, or a request that says FULL) the vote
// that completes the agreement brings it.
#include <string.h>

#include "base/assert.h"
#include "base/bug.h"
#include "byzantine/payload.h"
#include "client/internal.h"

#define MUTE_SPAN 64u // requests that do not rely on a replier that failed once
#define MUTE_SPAN_MAX 4096u
#define DONE_A_POLL 64u
#define SIGNED_AT_ONCE 4u // requests; who waited for so many time-outs in vain is no more held back
#define IN_VAIN 2u
#define BODY_WAIT_PART 2u       // of what the answer took
#define BODY_WAIT_LEAST_PART 4u // of the first time-out that is configured

static struct tacit_client_vote *votes_of(struct tacit_client *client,
                                          const struct tacit_client_record *record)
{
    return client->votes + (size_t)(record - client->records) * client->config.replicas;
}

static uint8_t *body_of(struct tacit_client *client, const struct tacit_client_record *record)
{
    return client->bodies + (size_t)(record - client->records) * client->config.reply_bytes;
}

static uint32_t replier_of(const struct tacit_client *client,
                           const struct tacit_client_record *record)
{
    return (uint32_t)(record->number % client->config.replicas);
}

static void amend(struct tacit_client *client, struct tacit_client_record *record, uint8_t flags,
                  const uint8_t *signature)
{
    uint8_t *message = tacit_client_image(client, record) + TACIT_RING_HEADER;
    record->payload_bytes =
        (uint32_t)tacit_wire_request_amend(message, record->payload_bytes, flags, signature);
}

void tacit_client_votes_begin(struct tacit_client *client, struct tacit_client_record *record)
{
    record->turn = ++client->turns;
    memset(votes_of(client, record), 0, client->config.replicas * sizeof(struct tacit_client_vote));
}

void tacit_client_votes_prepare(struct tacit_client *client, struct tacit_client_record *record)
{
    uint32_t replier = replier_of(client, record);
    struct tacit_client_manners *manners = &client->manners[replier];
    if (manners->mute > 0 || !client->links[replier].up) {
        manners->mute -= manners->mute > 0;
        amend(client, record, TACIT_REQUEST_FULL, NULL);
    }
}

// Hands the request to the signer, once. False: it has no place for it now.
static bool ask_for_signature(struct tacit_client *client, struct tacit_client_record *record)
{
    const uint8_t *message = tacit_client_image(client, record) + TACIT_RING_HEADER;
    uint64_t index = (uint64_t)(record - client->records);
    struct tacit_wire_request request;
    enum tacit_verdict verdict =
        tacit_wire_request_decode(&request, message, record->payload_bytes);
    TACIT_ASSERT(verdict == TACIT_VERDICT_OK); // the own message
    struct tacit_digest digest;
    tacit_body_digest(&digest, request.body, request.body_bytes);
    struct tacit_signer_job job = {
        .charge = TACIT_SIGNER_CHARGE_CLIENTS,
        .author = (uint16_t)(TACIT_SIGNER_CLIENT + client->config.client_id),
        .domain = TACIT_DOMAIN_REQUEST,
        .cookie =
            TACIT_SIGNER_COOKIE(TACIT_SIGNER_CLIENT_CORE, (uint64_t)record->turn << 16 | index),
    };
    job.payload_bytes =
        tacit_statement_request(job.payload, client->config.client_id, request.session,
                                request.number, request.kind, &digest);
    if (!client->config.signer->ops->submit(client->config.signer, &job)) {
        return false;
    }
    record->signing = TACIT_SIGNING_ASKED;
    client->signing++;
    return true;
}

static void note_mute(struct tacit_client *client, const struct tacit_client_record *record)
{
    struct tacit_client_manners *manners = &client->manners[replier_of(client, record)];
    uint32_t span = manners->mute_span == 0 ? MUTE_SPAN : 2 * manners->mute_span;
    manners->mute_span = span < MUTE_SPAN_MAX ? span : MUTE_SPAN_MAX;
    manners->mute = manners->mute_span;
    client->counters.bodies_late++;
}

// Where f+1 have answered the group is well, and only the replier late: that it is asked for in
// vain says nothing about the time-out, which has grown with the slowest answers. To ask all costs
// some bytes, and no signature.
static void await_body(struct tacit_client *client, struct tacit_client_record *record,
                       tacit_time_ns_t now_ns)
{
    tacit_time_ns_t wait_ns = (now_ns - record->first_sent_ns) / BODY_WAIT_PART;
    tacit_time_ns_t least_ns = client->config.retry_ns / BODY_WAIT_LEAST_PART;
    wait_ns = wait_ns > least_ns ? wait_ns : least_ns;
    if (!TACIT_BUG(BODY_WAITED_FOR)) {
        tacit_client_send_by(client, record, now_ns + wait_ns);
    }
}

void tacit_client_votes_body_late(struct tacit_client *client, struct tacit_client_record *record)
{
    record->asked_all = true;
    note_mute(client, record);
    amend(client, record, TACIT_REQUEST_FULL, NULL);
    tacit_client_send_round(client, record);
}

bool tacit_client_votes_time_out(struct tacit_client *client, struct tacit_client_record *record)
{
    if (record->agreed) {
        note_mute(client, record);
    }
    if (record->agreed || record->attempts > 1) {
        amend(client, record, TACIT_REQUEST_FULL, NULL);
    }
    // When many are late at once, either the group has much to do, and signatures would give it
    // more, or its leader is silent, and a few of them are enough to have it left.
    bool held_back = record->signing == TACIT_SIGNING_NOT && !record->agreed &&
                     client->signing >= SIGNED_AT_ONCE && record->attempts <= IN_VAIN &&
                     !TACIT_BUG(CLIENT_SIGNS_ALL);
    if (held_back) {
        return record->attempts > 1; // it may have been overwritten before it was read
    }
    // A signature that does not come keeps nothing back for longer than one time-out.
    return record->signing != TACIT_SIGNING_NOT || !ask_for_signature(client, record);
}

void tacit_client_votes_down(struct tacit_client *client, uint32_t replica)
{
    for (uint32_t i = 0; i < client->record_count; i++) {
        struct tacit_client_record *record = &client->records[i];
        if (record->kind == 0) {
            continue;
        }
        record->sent_mask &= (uint16_t) ~(1u << replica);
        // The others have only promised a digest.
        if (replier_of(client, record) == replica &&
            !(record->kept && record->kept_by == replica)) {
            amend(client, record, TACIT_REQUEST_FULL, NULL);
            tacit_client_send_round(client, record);
        }
    }
}

void tacit_client_votes_poll(struct tacit_client *client)
{
    struct tacit_signer *signer = client->config.signer;
    struct tacit_signer_done done[8];
    for (uint32_t taken = 0; taken < DONE_A_POLL;) {
        size_t count = signer->ops->poll(signer, done, sizeof done / sizeof done[0]);
        for (size_t i = 0; i < count; i++) {
            uint64_t value = TACIT_SIGNER_COOKIE_VALUE(done[i].cookie);
            uint64_t index = value & 0xffffu;
            if (TACIT_SIGNER_COOKIE_OWNER(done[i].cookie) != TACIT_SIGNER_CLIENT_CORE ||
                index >= client->record_count) {
                continue;
            }
            struct tacit_client_record *record = &client->records[index];
            if (record->kind == 0 || record->turn != (uint32_t)(value >> 16) ||
                record->signing != TACIT_SIGNING_ASKED) {
                continue; // answered meanwhile
            }
            record->signing = TACIT_SIGNING_DONE;
            client->counters.signatures++;
            amend(client, record, TACIT_REQUEST_SIGNED, done[i].signature.bytes);
            tacit_client_send_round(client, record);
        }
        taken += (uint32_t)count;
        if (count < sizeof done / sizeof done[0]) {
            return;
        }
    }
}

// "Please sign". At most one of a replica each time-out, and one more at the end of it: a liar must
// not make this client sign all, and who is asked for good reason must not wait for time-outs,
// which would grow with that.
static void on_asked(struct tacit_client *client, struct tacit_client_record *record,
                     uint32_t replica, tacit_time_ns_t now_ns)
{
    struct tacit_client_manners *manners = &client->manners[replica];
    if (now_ns < manners->asked_ns) {
        if (!manners->is_asked_again && !TACIT_BUG(ASKED_TOO_SOON)) {
            manners->is_asked_again = true;
            tacit_client_send_by(client, record, manners->asked_ns);
        }
        return;
    }
    manners->is_asked_again = false;
    manners->asked_ns = now_ns + client->config.retry_ns;
    client->counters.asked++;
    if (record->signing == TACIT_SIGNING_DONE) {
        tacit_client_send_round(client, record);
    } else if (record->signing == TACIT_SIGNING_NOT) {
        (void)ask_for_signature(client, record); // refused: the time-out tries again
    }
}

// ---- votes. Where all send the body, most are compared as they are, and no digest is made.

static void keep_body(struct tacit_client *client, struct tacit_client_record *record,
                      uint32_t replica, const struct tacit_wire_reply *reply)
{
    if (reply->body_bytes > 0) {
        memcpy(body_of(client, record), reply->body, reply->body_bytes);
    }
    record->kept = true;
    record->kept_digested = false;
    record->kept_by = (uint8_t)replica;
    record->kept_bytes = reply->body_bytes;
}

static bool is_kept(struct tacit_client *client, const struct tacit_client_record *record,
                    const struct tacit_wire_reply *reply)
{
    return record->kept && record->kept_bytes == reply->body_bytes &&
           (reply->body_bytes == 0 ||
            memcmp(body_of(client, record), reply->body, reply->body_bytes) == 0);
}

static const struct tacit_digest *digest_of(struct tacit_client *client,
                                            struct tacit_client_record *record,
                                            const struct tacit_client_vote *vote)
{
    if (!vote->of_kept) {
        return &vote->digest;
    }
    if (!record->kept_digested) {
        record->kept_digested = true;
        tacit_body_digest(&record->kept_digest, body_of(client, record), record->kept_bytes);
    }
    return &record->kept_digest;
}

// The designated replier's body takes the place of another one.
static void replace_body(struct tacit_client *client, struct tacit_client_record *record,
                         uint32_t replica, const struct tacit_wire_reply *reply)
{
    struct tacit_client_vote *votes = votes_of(client, record);
    for (uint32_t i = 0; i < client->config.replicas; i++) {
        votes[i].digest = *digest_of(client, record, &votes[i]);
        votes[i].of_kept = false;
    }
    keep_body(client, record, replica, reply);
}

// The part of a reply that has to be equal. False: no correct replica sends this.
static bool make_vote(struct tacit_client *client, struct tacit_client_record *record,
                      uint32_t replica, const struct tacit_wire_reply *reply,
                      struct tacit_client_vote *vote)
{
    *vote = (struct tacit_client_vote){.kind = reply->kind, .session = reply->session};
    bool result = reply->kind == TACIT_REPLY_RESULT || reply->kind == TACIT_REPLY_RESULT_DIGEST;
    if (!result) {
        return true; // where it was refused is each replica's own affair
    }
    if (record->kind != TACIT_REQUEST_APPLY) {
        // A repeated OPEN or CLOSE is answered without its slot: the session says it all.
        return reply->kind == TACIT_REPLY_RESULT && reply->body_bytes == 0;
    }
    vote->kind = TACIT_REPLY_RESULT;
    vote->index = TACIT_BUG(CLIENT_INDEX_IGNORED) ? 0 : reply->index;
    if (reply->kind == TACIT_REPLY_RESULT_DIGEST) {
        memcpy(vote->digest.bytes, reply->body, TACIT_DIGEST_BYTES);
        return true;
    }
    if (reply->body_bytes > client->config.reply_bytes) {
        return false;
    }
    if (!record->kept) {
        keep_body(client, record, replica, reply);
    }
    vote->of_kept = is_kept(client, record, reply);
    if (!vote->of_kept) {
        tacit_body_digest(&vote->digest, reply->body, reply->body_bytes);
    }
    return true;
}

static bool is_equal(struct tacit_client *client, struct tacit_client_record *record,
                     const struct tacit_client_vote *a, const struct tacit_client_vote *b)
{
    return a->kind == b->kind && a->session == b->session && a->index == b->index &&
           ((a->of_kept && b->of_kept) ||
            memcmp(digest_of(client, record, a), digest_of(client, record, b), sizeof a->digest) ==
                0);
}

// Counts a replica's newest vote. True: f+1 replicas say the same.
static bool count_vote(struct tacit_client *client, struct tacit_client_record *record,
                       uint32_t replica, const struct tacit_client_vote *vote)
{
    struct tacit_client_vote *votes = votes_of(client, record);
    uint32_t equal = 0;
    if (votes[replica].kind != 0 && is_equal(client, record, &votes[replica], vote)) {
        equal += TACIT_BUG(CLIENT_REPLY_TWICE) ? 1 : 0;
    } else {
        client->counters.changed += votes[replica].kind != 0;
        votes[replica] = *vote;
    }
    for (uint32_t i = 0; i < client->config.replicas; i++) {
        equal += is_equal(client, record, &votes[i], vote);
    }
    return equal >= (TACIT_BUG(CLIENT_F_REPLIES) ? client->config.faults
                                                 : (uint32_t)client->config.faults + 1);
}

bool tacit_client_votes_take(struct tacit_client *client, struct tacit_client_record *record,
                             uint32_t replica, const struct tacit_wire_reply *reply,
                             tacit_time_ns_t now_ns, struct tacit_wire_reply *answer)
{
    if (reply->kind == TACIT_REPLY_HINT) {
        return false;
    }
    if (reply->kind == TACIT_REPLY_SIGN) {
        on_asked(client, record, replica, now_ns);
        return false;
    }
    struct tacit_client_vote vote;
    if (!make_vote(client, record, replica, reply, &vote)) {
        client->counters.malformed++;
        return false;
    }
    bool agreed = count_vote(client, record, replica, &vote);
    bool replier = replica == replier_of(client, record);
    bool whole = reply->kind != TACIT_REPLY_RESULT_DIGEST;
    if (replier && whole) {
        client->manners[replica].mute_span /= 2; // it does its duty
    }
    if (!agreed) {
        if (replier && reply->kind == TACIT_REPLY_RESULT) {
            record->kept_by = (uint8_t)replica;
            if (!is_kept(client, record, reply)) {
                replace_body(client, record, replica, reply);
            }
        }
        return false;
    }
    *answer = *reply;
    if (whole) {
        return true;
    }
    const struct tacit_client_vote kept = {.of_kept = true};
    if (!record->kept ||
        (memcmp(digest_of(client, record, &kept), &vote.digest, sizeof vote.digest) != 0 &&
         !TACIT_BUG(CLIENT_BODY_UNCHECKED))) {
        if (!record->agreed) {
            record->agreed = true;
            await_body(client, record, now_ns);
        }
        return false;
    }
    answer->kind = TACIT_REPLY_RESULT;
    answer->body = body_of(client, record);
    answer->body_bytes = record->kept_bytes;
    return true;
}
