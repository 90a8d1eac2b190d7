// SPDX-License-Identifier: Apache-2.0
//
// Messages about requests between replicas in Byzantine mode: no read outside the input, and what
// is accepted encodes to the same bytes. Then the whole input as a script of such messages and of
// clients' requests for a small store, whose invariants must hold after each.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/byzantine/requests.h"

enum { NODES = 3, CLIENTS = 2, WINDOW = 4, BODY = 64, MEMORY = 1 << 20 };

static _Alignas(64) uint8_t memory[MEMORY];
static struct tacit_signer_job jobs[64]; // under check
static uint32_t job_count;

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool submit(struct tacit_signer *signer, const struct tacit_signer_job *job)
{
    (void)signer;
    must(job->payload_bytes <= TACIT_SIGN_PAYLOAD_MAX && job->charge < TACIT_SIGNER_CHARGES);
    if (job_count == sizeof jobs / sizeof jobs[0]) {
        return false;
    }
    jobs[job_count++] = *job;
    return true;
}

static bool knows(struct tacit_signer *signer, uint16_t author)
{
    (void)signer;
    return author >= TACIT_SIGNER_CLIENT && author < TACIT_SIGNER_CLIENT + CLIENTS;
}

static size_t poll_nothing(struct tacit_signer *signer, struct tacit_signer_done *done, size_t max)
{
    (void)signer;
    (void)done;
    (void)max;
    return 0;
}

static enum tacit_requests_standing on_session(void *context, uint32_t client, uint64_t session,
                                               uint64_t *last)
{
    (void)context;
    *last = session % 3;
    return client == session % 5 ? TACIT_STANDING_CLOSED
                                 : (enum tacit_requests_standing)(session % 2);
}

static enum tacit_requests_standing on_nonce(void *context, uint32_t client, uint64_t nonce)
{
    (void)context;
    return nonce % 4 != client ? TACIT_STANDING_AHEAD
           : nonce % 8 < 4     ? TACIT_STANDING_OPEN
                               : TACIT_STANDING_CLOSED;
}

static void on_send(void *context, tacit_node_t to, const void *message, uint32_t bytes)
{
    (void)context;
    (void)message;
    must(to < NODES && to != 0 && bytes <= 128);
}

static uint64_t on_send_body(void *context, tacit_node_t to, const void *body, uint32_t bytes)
{
    (void)context;
    (void)body;
    must(to < NODES && bytes > 0);
    return 1;
}

static enum tacit_verdict on_body(void *context, tacit_node_t from, uint64_t ticket, uint8_t *out,
                                  uint32_t max, uint32_t *bytes)
{
    (void)context;
    (void)from;
    *bytes = ticket < max ? (uint32_t)ticket : max;
    memset(out, 1, *bytes);
    return ticket % 3 == 0 ? TACIT_VERDICT_EMPTY : TACIT_VERDICT_OK;
}

static void on_ask(void *context, uint32_t client, uint64_t session, uint64_t number)
{
    (void)context;
    (void)session;
    (void)number;
    must(client < CLIENTS);
}

static void on_resume(void *context, uint64_t view, uint64_t slot)
{
    (void)context;
    (void)view;
    (void)slot;
}

static void fuzz_decoders(const uint8_t *data, size_t size)
{
    struct tacit_message_lack lack;
    struct tacit_message_request request;
    struct tacit_message_echo echo;
    uint8_t out[64];
    if (tacit_message_lack_decode(&lack, data, size) == TACIT_VERDICT_OK) {
        tacit_message_lack_encode(out, &lack);
        must(size == TACIT_LACK_BYTES && memcmp(out, data, size) == 0);
    }
    if (tacit_message_echo_decode(&echo, data, size) == TACIT_VERDICT_OK) {
        tacit_message_echo_encode(out, &echo);
        must(size == TACIT_ECHO_BYTES && memcmp(out, data, size) == 0);
    }
    if (tacit_message_request_decode(&request, data, size) == TACIT_VERDICT_OK) {
        tacit_message_request_encode(out, &request);
        must(memcmp(out, data, TACIT_REQUEST_HEADER_BYTES) == 0);
        must(request.beside || request.request + request.bytes == data + size);
    }
}

static struct tacit_requests *store_open(struct tacit_signer *signer)
{
    static const struct tacit_requests_config config = {.replicas = NODES,
                                                        .clients = CLIENTS,
                                                        .sessions_per_client = 2,
                                                        .session_pipeline = 2,
                                                        .client_requests = 3,
                                                        .request_bytes = BODY,
                                                        .message_bytes = 128,
                                                        .window = WINDOW,
                                                        .lack_after_ns = 5,
                                                        .retry_ns = 7};
    static const struct tacit_requests_calls calls = {.session = on_session,
                                                      .nonce = on_nonce,
                                                      .send = on_send,
                                                      .send_body = on_send_body,
                                                      .body = on_body,
                                                      .ask = on_ask,
                                                      .resume = on_resume};
    struct tacit_bump measure = {.base = NULL};
    struct tacit_marker marker = {0};
    (void)tacit_requests_init(&measure, &config, signer, &calls, marker);
    must(measure.used <= MEMORY);
    struct tacit_bump bump = {.base = (char *)memory};
    return tacit_requests_init(&bump, &config, signer, &calls, marker);
}

static void finish_job(struct tacit_requests *requests, uint8_t draw, uint64_t now_ns)
{
    if (job_count == 0) {
        return;
    }
    uint32_t at = draw % job_count;
    struct tacit_signer_done done = {
        .cookie = jobs[at].cookie, .valid = draw >= 128, .signature = jobs[at].signature};
    jobs[at] = jobs[--job_count];
    tacit_requests_signer(requests, &done, now_ns);
}

static void step(struct tacit_requests *requests, uint8_t op, const uint8_t *bytes, uint32_t size,
                 uint64_t now_ns)
{
    struct tacit_wire_request request;
    struct tacit_requests_key missing;
    uint8_t batch[256];
    switch (op % 8) {
    case 0:
        if (tacit_wire_request_decode(&request, bytes, size) == TACIT_VERDICT_OK) {
            (void)tacit_requests_put(requests, op / 8 % (CLIENTS + 1), &request, now_ns);
        }
        break;
    case 1:
        finish_job(requests, op, now_ns);
        break;
    case 2:
        if (tacit_requests_endorse(requests, bytes, size, &missing) == TACIT_ENDORSE_WAIT) {
            tacit_requests_wait(requests, 0, op / 8, &missing, now_ns);
        }
        break;
    case 3:
        (void)tacit_requests_fill(requests, batch, sizeof batch, 3);
        break;
    case 4:
        tacit_requests_enter_view(requests, op / 8, now_ns);
        break;
    case 5:
        tacit_requests_name(requests, op / 8 % CLIENTS);
        tacit_requests_checkpoint(requests, now_ns);
        break;
    default:
        tacit_requests_message(requests, op / 8 % (NODES + 1), bytes, size, now_ns);
        break;
    }
    (void)tacit_requests_poll(requests, now_ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tacit_signer_ops ops = {submit, knows, poll_nothing};
    struct tacit_signer signer = {.ops = &ops};
    fuzz_decoders(data, size);
    job_count = 0;
    struct tacit_requests *requests = store_open(&signer);
    uint64_t now_ns = 0;
    // {op, length, bytes} ...
    for (size_t at = 0; size - at >= 2;) {
        uint32_t length = data[at + 1];
        length = length < size - at - 2 ? length : (uint32_t)(size - at - 2);
        step(requests, data[at], data + at + 2, length, now_ns++);
        must(tacit_requests_check(requests) == NULL);
        at += 2 + (size_t)length;
    }
    return 0;
}
