// SPDX-License-Identifier: Apache-2.0
//
// The client library: gives the sans-I/O client memory, a clock, randomness and a way to wait. How
// it comes to its fabric is in open.c.
#include "channel.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "../lib/waiting.h"

// Looks before sleeping. A round trip on one machine takes 1 to 20 us; a look some 100 ns. Looks
// that are far apart were interrupted: somebody else wants this processor, perhaps the replica that
// is to answer. Then it sleeps sooner for a while. (Not sched_yield: Linux takes a whole time slice
// from whoever yields, and a client that did so often is not run for milliseconds when a replica
// that died is being taken apart on its processor. Who sleeps is woken on one that is free.)
#define SPINS 256u
#define SPINS_SHARED 16u
#define TORN_NS 20000u
#define SHARED_NS 300000u
#define UNSETTLED_NS 50000000u // after a replica came or went

struct tacit_channel {
    struct tacit_client *client;
    struct tacit_fabric *fabric;
    void (*fabric_close)(struct tacit_fabric *fabric, void *owner);
    void (*refusal)(void *owner, char *out, size_t max);
    void *owner;
    tacit_time_ns_t (*now_ns)(void);
    struct tacit_client_config config;
    enum tacit_channel_waiting waiting;
    bool is_crowded; // fewer processors than replicas that work on a request, and this thread
    uint64_t random; // of the jitter
    uint64_t calls;  // tokens of connect() and call()
    tacit_time_ns_t looked_ns, shared_until_ns;
    uint32_t up;  // replicas, when it last looked
    void *memory; // of the client
};

// SplitMix64: jitter only, no secret.
static uint32_t draw(void *context, uint32_t bound)
{
    struct tacit_channel *channel = context;
    channel->random += 0x9e3779b97f4a7c15u;
    uint64_t z = channel->random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 32) % bound;
}

// Larger than those of earlier channels, also of other processes, if clocks are right within
// reason, and no other's: milliseconds, then random bits.
static uint64_t first_nonce(uint64_t random)
{
    struct timespec time = {0};
    (void)clock_gettime(CLOCK_REALTIME, &time);
    uint64_t ms = (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
    uint64_t since_2026_ms = ms > 1767225600000 ? ms - 1767225600000 : 0;
    return (since_2026_ms << 22 | (random & 0x3fffff)) & ((1ull << 62) - 1);
}

enum tacit_status tacit_channel_build(const struct tacit_channel_parts *parts,
                                      struct tacit_channel **channel_out, struct tacit_error *error)
{
    struct tacit_channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, errno, "client: no memory for a channel");
    }
    channel->config = parts->client;
    uint64_t draws[2]; // start of the jitter, first nonce of sessions
    if (getrandom(draws, sizeof draws, 0) != (ssize_t)sizeof draws) {
        int os_errno = errno;
        free(channel);
        return tacit_error_set(error, TACIT_EIO, os_errno,
                               "client: the kernel gave no random numbers");
    }
    channel->random = draws[0];
    if (channel->config.draw == NULL) {
        channel->config.draw = draw;
        channel->config.draw_context = channel;
        channel->config.first_nonce = first_nonce(draws[1]);
    }
    enum tacit_status status = tacit_client_config_check(&channel->config, error);
    if (status != TACIT_OK) {
        free(channel);
        return status;
    }
    size_t bytes = tacit_client_size(&channel->config);
    channel->memory = aligned_alloc(TACIT_CACHE_LINE, bytes);
    if (channel->memory == NULL) {
        free(channel);
        return tacit_error_set(error, TACIT_ENOMEM, ENOMEM,
                               "client: no memory for %zu bytes of requests in flight", bytes);
    }
    channel->fabric = parts->fabric;
    channel->fabric_close = parts->fabric_close;
    channel->refusal = parts->refusal;
    channel->owner = parts->owner;
    channel->now_ns = parts->now_ns;
    channel->waiting = parts->waiting;
    channel->is_crowded = channel->config.byzantine &&
                          sysconf(_SC_NPROCESSORS_ONLN) < (long)channel->config.replicas + 1;
    tacit_client_init(&channel->client, channel->memory, &channel->config, channel->fabric);
    *channel_out = channel;
    return TACIT_OK;
}

void tacit_channel_close(struct tacit_channel *channel)
{
    if (channel == NULL) {
        return;
    }
    if (channel->fabric_close != NULL) {
        channel->fabric_close(channel->fabric, channel->owner);
    }
    free(channel->memory);
    free(channel);
}

void tacit_channel_limits(const struct tacit_channel *channel, struct tacit_channel_limits *limits)
{
    const struct tacit_client_config *config = &channel->config;
    uint64_t windows = (uint64_t)config->sessions * config->pipeline;
    *limits = (struct tacit_channel_limits){
        .request_bytes = config->request_bytes,
        .reply_bytes = config->reply_bytes,
        .sessions = config->sessions,
        .pipeline = config->pipeline,
        .outstanding = windows < config->ring_slots ? (uint32_t)windows : config->ring_slots,
        .replicas = config->replicas,
        .byzantine = config->byzantine,
    };
}

void tacit_channel_status(const struct tacit_channel *channel, struct tacit_channel_status *status)
{
    const struct tacit_client_counters *counters = tacit_client_counters(channel->client);
    *status = (struct tacit_channel_status){
        .outstanding = tacit_client_outstanding(channel->client),
        .sent = counters->sent,
        .resent = counters->resent,
        .time_outs = counters->time_outs,
        .fail_overs = counters->fail_overs,
        .hints = counters->hints,
        .results = counters->results,
        .duplicates = counters->duplicates,
        .malformed = counters->malformed,
    };
    status->leader = tacit_client_leader(channel->client, &status->up);
}

void tacit_channel_members_ask(struct tacit_channel *channel)
{
    tacit_client_members_ask(channel->client);
}

bool tacit_channel_members(const struct tacit_channel *channel, struct tacit_wire_members *members)
{
    return tacit_client_members(channel->client, members);
}

void tacit_channel_order_send(struct tacit_channel *channel, const struct tacit_wire_order *order)
{
    tacit_client_order_send(channel->client, order);
}

uint32_t tacit_channel_order_outcome(const struct tacit_channel *channel, uint64_t nonce)
{
    return tacit_client_order_outcome(channel->client, nonce);
}

tacit_time_ns_t tacit_channel_now_ns(const struct tacit_channel *channel)
{
    return channel->now_ns();
}

uint32_t tacit_channel_outstanding(const struct tacit_channel *channel)
{
    return tacit_client_outstanding(channel->client);
}

enum tacit_status tacit_channel_session_open(struct tacit_channel *channel, uint64_t token,
                                             uint32_t *session)
{
    return tacit_client_session_open(channel->client, token, channel->now_ns(), session);
}

enum tacit_status tacit_channel_session_close(struct tacit_channel *channel, uint32_t session)
{
    return tacit_client_session_close(channel->client, session, channel->now_ns());
}

enum tacit_status tacit_channel_submit(struct tacit_channel *channel, uint32_t session,
                                       const void *request, size_t request_bytes, uint64_t token)
{
    return tacit_client_submit(channel->client, session, request, request_bytes, token,
                               channel->now_ns());
}

enum tacit_status tacit_channel_read(struct tacit_channel *channel, uint32_t session,
                                     const void *request, size_t request_bytes, uint64_t token)
{
    return tacit_client_read(channel->client, session, request, request_bytes, token,
                             channel->now_ns());
}

bool tacit_channel_poll(struct tacit_channel *channel, struct tacit_channel_event *event)
{
    struct tacit_client_event inner;
    if (!tacit_client_poll(channel->client, channel->now_ns(), &inner)) {
        return false;
    }
    static const enum tacit_channel_event_kind kinds[] = {
        [TACIT_CLIENT_OPENED] = TACIT_CHANNEL_OPENED,
        [TACIT_CLIENT_RESULT] = TACIT_CHANNEL_RESULT,
        [TACIT_CLIENT_CLOSED] = TACIT_CHANNEL_CLOSED,
    };
    *event = (struct tacit_channel_event){
        .kind = kinds[inner.kind],
        .session = inner.session,
        .token = inner.token,
        .status = inner.status,
        .index = inner.index,
        .body = inner.body,
        .body_bytes = inner.body_bytes,
    };
    return true;
}

void tacit_channel_arm(struct tacit_channel *channel)
{
    channel->fabric->ops->arm(channel->fabric);
}

void tacit_channel_sleep(struct tacit_channel *channel, tacit_time_ns_t until_ns)
{
    tacit_time_ns_t deadline_ns = tacit_client_deadline(channel->client);
    channel->fabric->ops->sleep(channel->fabric, deadline_ns < until_ns ? deadline_ns : until_ns);
}

void tacit_channel_disarm(struct tacit_channel *channel)
{
    channel->fabric->ops->disarm(channel->fabric);
}

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint32_t spins(const struct tacit_channel *channel, tacit_time_ns_t now_ns)
{
    bool is_shared = now_ns < channel->shared_until_ns;
    return is_shared ? SPINS_SHARED : SPINS;
}

bool tacit_channel_wait(struct tacit_channel *channel, uint64_t timeout_ns,
                        struct tacit_channel_event *event)
{
    tacit_time_ns_t start_ns = channel->now_ns();
    tacit_time_ns_t end_ns =
        timeout_ns < UINT64_MAX - start_ns ? start_ns + timeout_ns : UINT64_MAX;
    channel->looked_ns = start_ns;
    for (uint32_t looks = 0;; looks++) {
        if (tacit_channel_poll(channel, event)) {
            return true;
        }
        tacit_time_ns_t now_ns = channel->now_ns();
        if (now_ns >= end_ns) {
            return false;
        }
        uint32_t up;
        (void)tacit_client_leader(channel->client, &up);
        if (up != channel->up) { // many wake up at once
            channel->up = up;
            channel->shared_until_ns = now_ns + UNSETTLED_NS;
        } else if (now_ns - channel->looked_ns > TORN_NS &&
                   channel->shared_until_ns < now_ns + SHARED_NS) {
            channel->shared_until_ns = now_ns + SHARED_NS;
        }
        channel->looked_ns = now_ns;
        bool yields = channel->waiting == TACIT_CHANNEL_YIELD ||
                      (channel->waiting == TACIT_CHANNEL_ADAPTIVE && channel->is_crowded &&
                       looks < TACIT_WAITING_YIELDS);
        if (yields) {
            sched_yield();
        } else if (channel->waiting == TACIT_CHANNEL_SPIN ||
                   (!channel->is_crowded && looks < spins(channel, now_ns))) {
            pause_briefly();
        } else {
            tacit_channel_arm(channel);
            bool any = tacit_channel_poll(channel, event);
            if (!any) {
                tacit_channel_sleep(channel, end_ns);
            }
            tacit_channel_disarm(channel);
            if (any) {
                return true;
            }
            channel->looked_ns = channel->now_ns();
            looks = 0;
        }
    }
}

// Waits for the event with this token; events of earlier calls that gave up are dropped.
static bool wait_for(struct tacit_channel *channel, uint64_t token, tacit_time_ns_t end_ns,
                     struct tacit_channel_event *event)
{
    for (;;) {
        tacit_time_ns_t now_ns = channel->now_ns();
        if (!tacit_channel_wait(channel, now_ns < end_ns ? end_ns - now_ns : 0, event)) {
            return false;
        }
        if (event->token == token) {
            return true;
        }
    }
}

static tacit_time_ns_t end_of(const struct tacit_channel *channel, uint64_t timeout_ns)
{
    tacit_time_ns_t now_ns = channel->now_ns();
    return timeout_ns < UINT64_MAX - now_ns ? now_ns + timeout_ns : UINT64_MAX;
}

enum tacit_status tacit_channel_connect(struct tacit_channel *channel, uint64_t timeout_ns,
                                        uint32_t *session, struct tacit_error *error)
{
    tacit_time_ns_t end_ns = end_of(channel, timeout_ns);
    uint64_t token = ++channel->calls;
    enum tacit_status status = tacit_channel_session_open(channel, token, session);
    if (status != TACIT_OK) {
        return tacit_error_set(error, status, 0,
                               "client: all %u sessions of this channel are in use",
                               channel->config.sessions);
    }
    struct tacit_channel_event event;
    if (wait_for(channel, token, end_ns, &event) && event.kind == TACIT_CHANNEL_OPENED) {
        return TACIT_OK;
    }
    (void)tacit_channel_session_close(channel, *session);
    uint32_t up = 0;
    (void)tacit_client_leader(channel->client, &up);
    char refusal[256] = "";
    if (up == 0 && channel->refusal != NULL) {
        channel->refusal(channel->owner, refusal, sizeof refusal);
    }
    if (up == 0 && refusal[0] != '\0') {
        return tacit_error_set(error, TACIT_EAUTH, 0,
                               "client: no replica can be reached: %s. Do the replicas use the "
                               "same cluster file, with this client's key in it?",
                               refusal);
    }
    if (up == 0) {
        return tacit_error_set(error, TACIT_ETIMEDOUT, 0,
                               "client: no replica can be reached; are they running?");
    }
    return tacit_error_set(error, TACIT_ETIMEDOUT, 0,
                           "client: %d of %u replicas are connected, but none leads; is a majority "
                           "running?",
                           __builtin_popcount(up), channel->config.replicas);
}

typedef enum tacit_status (*submit_fn)(struct tacit_channel *channel, uint32_t session,
                                       const void *request, size_t request_bytes, uint64_t token);

static enum tacit_status call_by(struct tacit_channel *channel, submit_fn submit, uint32_t session,
                                 const void *request, size_t request_bytes, uint64_t timeout_ns,
                                 struct tacit_channel_reply *reply)
{
    tacit_time_ns_t end_ns = end_of(channel, timeout_ns);
    uint64_t token = ++channel->calls;
    struct tacit_channel_event event;
    enum tacit_status status;
    // The window may still be full of calls that gave up: then the first of them has to end.
    while ((status = submit(channel, session, request, request_bytes, token)) == TACIT_EBUSY) {
        tacit_time_ns_t now_ns = channel->now_ns();
        if (!tacit_channel_wait(channel, now_ns < end_ns ? end_ns - now_ns : 0, &event)) {
            return TACIT_ETIMEDOUT;
        }
    }
    if (status != TACIT_OK) {
        return status;
    }
    if (!wait_for(channel, token, end_ns, &event)) {
        return TACIT_ETIMEDOUT;
    }
    reply->size = event.body_bytes;
    reply->index = event.index;
    if (event.status != TACIT_OK) {
        return event.status;
    }
    if (event.body_bytes > reply->max) {
        return TACIT_ETOOBIG;
    }
    if (event.body_bytes > 0) {
        memcpy(reply->bytes, event.body, event.body_bytes);
    }
    return TACIT_OK;
}

enum tacit_status tacit_channel_call(struct tacit_channel *channel, uint32_t session,
                                     const void *request, size_t request_bytes, uint64_t timeout_ns,
                                     struct tacit_channel_reply *reply)
{
    return call_by(channel, tacit_channel_submit, session, request, request_bytes, timeout_ns,
                   reply);
}

enum tacit_status tacit_channel_call_read(struct tacit_channel *channel, uint32_t session,
                                          const void *request, size_t request_bytes,
                                          uint64_t timeout_ns, struct tacit_channel_reply *reply)
{
    return call_by(channel, tacit_channel_read, session, request, request_bytes, timeout_ns, reply);
}
