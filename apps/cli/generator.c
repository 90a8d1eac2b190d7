// SPDX-License-Identifier: Apache-2.0
//
// See generator.h. A request in flight is a place: place p belongs to channel p % channels and to
// the session p / channels of it, so that sessions are as independent as separate users.
#include "generator.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "cli.h"
#include "kv/kv_wire.h"

#define CONNECT_NS UINT64_C(20000000000)
#define ANSWER_NS UINT64_C(10000000000)
#define EVENTS_MAX 64u // of one channel in a row
#define KEYS 1000u
#define VALUE_MAX 2048u

struct place {
    uint64_t number;      // of the request
    uint64_t intended_ns; // closed loop: when it was submitted
    uint32_t channel, session;
};

struct generator {
    const struct generator_options *options;
    struct generator_result *result;
    struct tacit_error *error;
    uint32_t channel_count;
    struct tacit_channel *channels[GENERATOR_CHANNELS_MAX];
    struct place places[GENERATOR_FLIGHT_MAX];
    uint32_t free[GENERATOR_FLIGHT_MAX]; // places, last used first
    uint32_t free_count;
    uint64_t asked;
    uint64_t next_ns;  // open loop: intended time of the next request
    uint64_t random;   // of the intended times
    uint64_t begin_ns; // of what is counted
    uint64_t end_ns;
    uint64_t answered_ns; // when something was answered last
    uint8_t request[GENERATOR_REQUEST_MAX];
};

// Uniform in (0, 1]: SplitMix64.
static double draw(struct generator *g)
{
    g->random += 0x9e3779b97f4a7c15u;
    uint64_t z = g->random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((double)((z ^ (z >> 31)) >> 11) + 1.0) / 9007199254740992.0;
}

// Independent users: exponential times between their requests.
static void advance(struct generator *g)
{
    g->next_ns += (uint64_t)(-log(draw(g)) * 1e9 / g->options->rate_per_s);
}

static enum tacit_status submit(struct generator *g, uint64_t intended_ns)
{
    uint32_t p = g->free[g->free_count - 1];
    struct place *place = &g->places[p];
    const struct generator_work *work = &g->options->work;
    size_t bytes = work->ask(work->context, g->asked, g->request);
    enum tacit_status status =
        tacit_channel_submit(g->channels[place->channel], place->session, g->request, bytes, p);
    if (status != TACIT_OK) {
        return tacit_error_set(g->error, status, 0, "a request was not taken: %s",
                               tacit_status_name(status));
    }
    place->number = g->asked++;
    place->intended_ns = intended_ns;
    g->free_count--;
    return TACIT_OK;
}

static enum tacit_status take(struct generator *g, const struct tacit_channel_event *event,
                              uint64_t now_ns)
{
    const struct generator_work *work = &g->options->work;
    const struct place *place = &g->places[event->token];
    if (event->kind != TACIT_CHANNEL_RESULT || event->status != TACIT_OK) {
        return tacit_error_set(g->error, TACIT_EIO, 0, "a request failed: %s",
                               tacit_status_name(event->status));
    }
    if (!work->is_right(work->context, place->number, event->body, event->body_bytes)) {
        return tacit_error_set(g->error, TACIT_EIO, 0, "a wrong answer came back");
    }
    bool came_in_time = now_ns >= g->begin_ns && now_ns < g->end_ns;
    bool is_counted = g->options->rate_per_s > 0
                          ? place->intended_ns >= g->begin_ns && place->intended_ns < g->end_ns
                          : came_in_time;
    g->result->answered += came_in_time;
    if (is_counted) {
        histogram_add(&g->result->latency, now_ns - place->intended_ns);
    }
    g->free[g->free_count++] = (uint32_t)event->token;
    g->answered_ns = now_ns;
    return TACIT_OK;
}

// Submits what is due.
static enum tacit_status push(struct generator *g)
{
    enum tacit_status status = TACIT_OK;
    uint64_t now_ns = cli_now_ns();
    bool is_open = g->options->rate_per_s > 0;
    while (status == TACIT_OK && g->free_count > 0 &&
           (is_open ? g->next_ns <= now_ns && g->next_ns < g->end_ns : now_ns < g->end_ns)) {
        status = submit(g, is_open ? g->next_ns : now_ns);
        if (is_open) {
            advance(g);
        } else {
            now_ns = cli_now_ns();
        }
    }
    return status;
}

// Takes what was answered; with one channel it waits for it.
static enum tacit_status pull(struct generator *g)
{
    struct tacit_channel_event event;
    enum tacit_status status = TACIT_OK;
    bool any = false;
    for (uint32_t c = 0; c < g->channel_count; c++) {
        for (uint32_t i = 0;
             i < EVENTS_MAX && status == TACIT_OK && tacit_channel_poll(g->channels[c], &event);
             i++) {
            status = take(g, &event, cli_now_ns());
            any = true;
        }
    }
    if (any || status != TACIT_OK) {
        return status;
    }
    uint64_t now_ns = cli_now_ns();
    uint64_t until_ns = now_ns + 1000000;
    if (g->options->rate_per_s > 0 && g->next_ns < until_ns && g->next_ns < g->end_ns &&
        g->free_count > 0) {
        until_ns = g->next_ns;
    }
    if (g->channel_count > 1 || until_ns <= now_ns) {
        (void)sched_yield();
    } else if (tacit_channel_wait(g->channels[0], until_ns - now_ns, &event)) {
        status = take(g, &event, cli_now_ns());
    }
    return status;
}

static enum tacit_status work(struct generator *g)
{
    const struct generator_options *options = g->options;
    enum tacit_status status = TACIT_OK;
    uint64_t start_ns = cli_now_ns();
    g->begin_ns = start_ns + options->warm_up_ns;
    g->end_ns = g->begin_ns + options->duration_ns;
    g->next_ns = start_ns;
    g->answered_ns = start_ns;
    g->result->duration_ns = options->duration_ns;
    while (status == TACIT_OK) {
        bool is_open = options->rate_per_s > 0;
        uint64_t now_ns = cli_now_ns();
        bool is_asked = is_open ? g->next_ns >= g->end_ns : now_ns >= g->end_ns;
        if (is_asked && g->free_count == options->in_flight) {
            break;
        }
        if (options->interrupted()) {
            return tacit_error_set(g->error, TACIT_ECLOSED, 0, "interrupted");
        }
        if (g->free_count < options->in_flight && now_ns > g->answered_ns + ANSWER_NS) {
            return tacit_error_set(g->error, TACIT_ETIMEDOUT, 0,
                                   "nothing was answered for 10 s, with %u requests in flight",
                                   options->in_flight - g->free_count);
        }
        if (g->free_count == options->in_flight) {
            g->answered_ns = now_ns; // nothing is owed
        }
        status = push(g);
        if (status == TACIT_OK) {
            status = pull(g);
        }
    }
    return status;
}

// Places p, p + channels, ... share a session only if there are more of them than sessions.
static enum tacit_status open_all(struct generator *g, const struct local *local)
{
    enum tacit_status status = TACIT_OK;
    uint32_t in_flight = g->options->in_flight;
    g->channel_count = (in_flight + GENERATOR_CHANNEL_FLIGHT - 1) / GENERATOR_CHANNEL_FLIGHT;
    for (uint32_t c = 0; c < g->channel_count && status == TACIT_OK; c++) {
        char path[TACIT_CONFIG_PATH_BYTES];
        local_path(local, path, "client-%u.yaml", LOCAL_LOAD_CLIENT + c);
        struct tacit_channel_options options = {.node_path = path};
        status = tacit_channel_open(&options, &g->channels[c], g->error);
    }
    for (uint32_t p = 0; p < in_flight && status == TACIT_OK; p++) {
        struct place *place = &g->places[p];
        // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): one at least, as something is in flight
        place->channel = p % g->channel_count;
        status = tacit_channel_connect(g->channels[place->channel], CONNECT_NS, &place->session,
                                       g->error);
        g->free[g->free_count++] = p;
    }
    return status;
}

enum tacit_status generator_run(const struct local *local, const struct generator_options *options,
                                struct generator_result *result, struct tacit_error *error)
{
    struct generator *g = calloc(1, sizeof *g);
    if (g == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory for requests");
    }
    memset(result, 0, sizeof *result);
    g->options = options;
    g->result = result;
    g->error = error;
    g->random = 1;
    (void)prctl(PR_SET_TIMERSLACK, 1); // intended times are kept to the microsecond
    enum tacit_status status = open_all(g, local);
    if (status == TACIT_OK) {
        status = work(g);
    }
    for (uint32_t c = 0; c < g->channel_count && g->channels[c] != NULL; c++) {
        struct tacit_channel_status counters;
        tacit_channel_status(g->channels[c], &counters);
        result->time_outs += counters.time_outs;
        result->resent += counters.resent;
        tacit_channel_close(g->channels[c]);
    }
    free(g);
    return status;
}

// ---- what is asked -----------------------------------------------------------------------------

static size_t flip_ask(const void *context, uint64_t i, uint8_t *out)
{
    const uint64_t *bytes = context;
    memset(out, (int)(i & 0xff), *bytes);
    memcpy(out, &i, sizeof i);
    return *bytes;
}

static bool flip_is_right(const void *context, uint64_t i, const uint8_t *reply, size_t bytes)
{
    const uint64_t *wanted = context;
    uint8_t reversed[sizeof i];
    if (bytes != *wanted) {
        return false;
    }
    for (size_t b = 0; b < sizeof i; b++) {
        reversed[b] = reply[bytes - 1 - b];
    }
    return memcmp(reversed, &i, sizeof i) == 0;
}

struct generator_work generator_flip(const uint64_t *bytes)
{
    return (struct generator_work){.ask = flip_ask, .is_right = flip_is_right, .context = bytes};
}

static size_t set_ask(const void *context, uint64_t i, uint8_t *out)
{
    const uint64_t *bytes = context;
    uint8_t value[VALUE_MAX];
    char key[24];
    int key_bytes = snprintf(key, sizeof key, "key:%012llu", (unsigned long long)(i % KEYS));
    memset(value, (int)('a' + i % 26), *bytes);
    struct tacit_kv_span arguments[2] = {
        {.bytes = (const uint8_t *)key, .size = (uint32_t)key_bytes},
        {.bytes = value, .size = (uint32_t)*bytes}};
    return tacit_kv_request_encode(out, GENERATOR_REQUEST_MAX, TACIT_KV_SET, arguments, 2);
}

static bool set_is_right(const void *context, uint64_t i, const uint8_t *bytes, size_t size)
{
    struct tacit_kv_reply reply;
    (void)context;
    (void)i;
    return tacit_kv_reply_decode(&reply, bytes, size) == TACIT_VERDICT_OK &&
           reply.kind == TACIT_KV_REPLY_OK;
}

struct generator_work generator_set(const uint64_t *bytes)
{
    return (struct generator_work){.ask = set_ask, .is_right = set_is_right, .context = bytes};
}
