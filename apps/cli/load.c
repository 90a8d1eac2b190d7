// SPDX-License-Identifier: Apache-2.0
//
// See load.h.
#include "load.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "kv/kv_wire.h"
#include "tacit/client.h"

#define CALL_NS UINT64_C(30000000000)
#define BYTES_MAX 8192u
#define CHUNK 4096u // operations by which a history grows
#define LISTS_MAX 65536u

// Operations of one chunk; a chunk never moves, so that others may look while it grows.
struct chunk {
    struct load_op ops[CHUNK];
};
#define CHUNKS_MAX 4096u

struct client {
    struct load *load;
    unsigned number;
    pthread_t thread;
    bool started;
    struct chunk *chunks[CHUNKS_MAX];
    _Atomic size_t count; // complete operations
    struct histogram latency;
    uint32_t random;
    uint32_t list[CHECKER_KEYS]; // epoch of each list that this client works on
    uint32_t last_pair;          // what it set last
    uint32_t tokens;             // made so far
    _Atomic int state;           // of enum client_state
    struct tacit_error error;
    struct tacit_channel *channel;
    uint32_t session;
    uint8_t request[BYTES_MAX], reply[BYTES_MAX];
};

enum client_state { CLIENT_STARTING = 0, CLIENT_READY, CLIENT_FAILED, CLIENT_DONE };

struct load {
    struct local local;
    unsigned count;
    uint64_t pause_ns;
    atomic_bool stop;
    pthread_mutex_t opening; // the client library opens and closes channels one at a time
    struct client clients[LOAD_CLIENTS_MAX];
    uint32_t *final[LISTS_MAX]; // tokens of each list at the end
    uint32_t final_count[LISTS_MAX];
    struct load_op *flat[LOAD_CLIENTS_MAX];
};

// ---- one request -------------------------------------------------------------------------------

static bool give_up(struct client *client, const char *format, ...)
{
    va_list arguments;
    char text[256];
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)tacit_error_set(&client->error, TACIT_EIO, 0, "client %u: %s", client->number, text);
    atomic_store(&client->state, CLIENT_FAILED);
    return false;
}

static struct tacit_kv_span span(const char *text)
{
    return (struct tacit_kv_span){.bytes = (const uint8_t *)text, .size = (uint32_t)strlen(text)};
}

// Asks and decodes; false: gave up.
static bool ask(struct client *client, enum tacit_kv_command command,
                const struct tacit_kv_span *spans, uint32_t count, struct checker_op *op,
                struct tacit_kv_reply *reply)
{
    size_t size = tacit_kv_request_encode(client->request, BYTES_MAX, command, spans, count);
    struct tacit_channel_reply answer = {.bytes = client->reply, .max = BYTES_MAX};
    op->call_ns = cli_now_ns();
    bool reads = tacit_kv_command_reads(command);
    enum tacit_status status = (reads ? tacit_channel_call_read : tacit_channel_call)(
        client->channel, client->session, client->request, size, CALL_NS, &answer);
    op->return_ns = cli_now_ns();
    op->index = answer.index;
    op->beside_log = reads && client->load->local.config.mode == TACIT_CONFIG_CRASH;
    if (status != TACIT_OK) {
        return give_up(client, "%s was not answered: %s", tacit_kv_command_name(command),
                       tacit_status_name(status));
    }
    if (tacit_kv_reply_decode(reply, client->reply, answer.size) != TACIT_VERDICT_OK) {
        return give_up(client, "%s: the reply makes no sense", tacit_kv_command_name(command));
    }
    if (reply->kind == TACIT_KV_REPLY_ERROR) {
        return give_up(client, "%s: %.*s", tacit_kv_command_name(command),
                       reply->text.size < 100 ? (int)reply->text.size : 100,
                       (const char *)reply->text.bytes);
    }
    return true;
}

static bool parse_hex(struct tacit_kv_span text, uint32_t *value)
{
    char digits[LOAD_TOKEN_BYTES + 1] = "";
    char *end = NULL;
    if (text.bytes == NULL) {
        *value = 0; // never set
        return true;
    }
    if (text.size != LOAD_TOKEN_BYTES) {
        return false;
    }
    memcpy(digits, text.bytes, LOAD_TOKEN_BYTES);
    *value = (uint32_t)strtoul(digits, &end, 16);
    return *end == '\0';
}

// ---- kinds of operation ------------------------------------------------------------------------

static bool do_incr(struct client *client, struct checker_op *op)
{
    char key[32];
    struct tacit_kv_reply reply = {0};
    (void)snprintf(key, sizeof key, "counter:%u", op->key);
    struct tacit_kv_span spans[1] = {span(key)};
    if (!ask(client, TACIT_KV_INCR, spans, 1, op, &reply)) {
        return false;
    }
    op->result[0] = (uint64_t)reply.integer;
    return reply.kind == TACIT_KV_REPLY_INTEGER || give_up(client, "incr: no integer");
}

static bool do_get_counter(struct client *client, struct checker_op *op)
{
    char key[32];
    char text[32] = "0";
    struct tacit_kv_reply reply = {0};
    (void)snprintf(key, sizeof key, "counter:%u", op->key);
    struct tacit_kv_span spans[1] = {span(key)};
    if (!ask(client, TACIT_KV_GET, spans, 1, op, &reply)) {
        return false;
    }
    if (reply.kind == TACIT_KV_REPLY_BULK && reply.text.size < sizeof text) {
        memcpy(text, reply.text.bytes, reply.text.size);
        text[reply.text.size] = '\0';
    }
    op->result[0] = strtoull(text, NULL, 10);
    return true;
}

static void list_key(char key[32], uint32_t list)
{
    (void)snprintf(key, 32, "list:%u", list);
}

static bool do_append(struct client *client, struct load_op *what)
{
    char key[32];
    char token[16];
    struct tacit_kv_reply reply = {0};
    struct checker_op *op = &what->op;
    op->argument = client->number << 24 | ++client->tokens; // unique, never 0
    list_key(key, what->list);
    (void)snprintf(token, sizeof token, "%08x", op->argument);
    struct tacit_kv_span spans[2] = {span(key), span(token)};
    if (!ask(client, TACIT_KV_APPEND, spans, 2, op, &reply)) {
        return false;
    }
    op->result[0] = (uint64_t)reply.integer / LOAD_TOKEN_BYTES; // the audit adds the hash
    if (op->result[0] >= LOAD_LIST_TOKENS) {
        client->list[op->key]++;
    }
    return (reply.kind == TACIT_KV_REPLY_INTEGER && reply.integer % LOAD_TOKEN_BYTES == 0) ||
           give_up(client, "append: no integer, or not a multiple of the token's length");
}

static bool do_get_list(struct client *client, struct load_op *what, uint32_t *tokens, uint32_t max)
{
    char key[32];
    struct tacit_kv_reply reply = {0};
    struct checker_object object = {{0, 0}};
    uint64_t result[2] = {0, 0};
    list_key(key, what->list);
    struct tacit_kv_span spans[1] = {span(key)};
    if (!ask(client, TACIT_KV_GET, spans, 1, &what->op, &reply)) {
        return false;
    }
    uint32_t count = reply.kind == TACIT_KV_REPLY_BULK ? reply.text.size / LOAD_TOKEN_BYTES : 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t token;
        struct tacit_kv_span part = {.bytes = reply.text.bytes + (size_t)i * LOAD_TOKEN_BYTES,
                                     .size = LOAD_TOKEN_BYTES};
        if (!parse_hex(part, &token)) {
            return give_up(client, "a list holds what nobody appended");
        }
        if (tokens != NULL && i < max) {
            tokens[i] = token;
        }
        checker_apply(&object, CHECKER_APPEND, token, result);
    }
    what->op.result[0] = result[0];
    what->op.result[1] = result[1];
    return true;
}

// Each client sets a pair of its own, all read all.
static bool do_set_pair(struct client *client, struct checker_op *op)
{
    char keys[2][32];
    char value[16];
    struct tacit_kv_reply reply = {0};
    op->key = (uint8_t)client->number;
    op->argument = client->last_pair + 1;
    (void)snprintf(keys[0], sizeof keys[0], "pair:%u:left", op->key);
    (void)snprintf(keys[1], sizeof keys[1], "pair:%u:right", op->key);
    (void)snprintf(value, sizeof value, "%08x", op->argument);
    struct tacit_kv_span spans[4] = {span(keys[0]), span(value), span(keys[1]), span(value)};
    if (!ask(client, TACIT_KV_MSET, spans, 4, op, &reply)) {
        return false;
    }
    op->result[0] = op->result[1] = client->last_pair; // what it replaced: nobody else sets it
    client->last_pair = op->argument;
    return reply.kind == TACIT_KV_REPLY_OK || give_up(client, "mset: not OK");
}

static bool do_get_pair(struct client *client, struct checker_op *op)
{
    char keys[2][32];
    struct tacit_kv_reply reply = {0};
    op->key = (uint8_t)(client->random >> 20 & 0xffu) % (uint8_t)client->load->count;
    (void)snprintf(keys[0], sizeof keys[0], "pair:%u:left", op->key);
    (void)snprintf(keys[1], sizeof keys[1], "pair:%u:right", op->key);
    struct tacit_kv_span spans[2] = {span(keys[0]), span(keys[1])};
    if (!ask(client, TACIT_KV_MGET, spans, 2, op, &reply)) {
        return false;
    }
    if (reply.kind != TACIT_KV_REPLY_ARRAY || reply.elements != 2) {
        return give_up(client, "mget: not two elements");
    }
    for (unsigned i = 0; i < 2; i++) {
        uint32_t value;
        if (!parse_hex(tacit_kv_reply_next(&reply), &value)) {
            return give_up(client, "a pair holds what nobody set");
        }
        op->result[i] = value;
    }
    return true;
}

// ---- a client ----------------------------------------------------------------------------------

static struct load_op *next_op(struct client *client, size_t at)
{
    if (at / CHUNK >= CHUNKS_MAX) {
        (void)give_up(client, "its history is full");
        return NULL;
    }
    struct chunk **chunk = &client->chunks[at / CHUNK];
    if (*chunk == NULL) {
        *chunk = calloc(1, sizeof **chunk);
    }
    if (*chunk == NULL) {
        (void)give_up(client, "no memory for its history");
        return NULL;
    }
    return &(*chunk)->ops[at % CHUNK];
}

static bool work(struct client *client, struct load_op *what)
{
    struct checker_op *op = &what->op;
    client->random = client->random * 1664525u + 1013904223u;
    uint32_t dice = client->random >> 16 & 0x7fu;
    op->client = client->number;
    op->key = (uint8_t)(client->random >> 24 & 7u);
    op->kind = (uint8_t)(dice < 40    ? CHECKER_INCR
                         : dice < 64  ? CHECKER_APPEND
                         : dice < 84  ? CHECKER_SET_PAIR
                         : dice < 98  ? CHECKER_GET_COUNTER
                         : dice < 108 ? CHECKER_GET_LIST
                                      : CHECKER_GET_PAIR);
    what->list = client->list[op->key] * CHECKER_KEYS + op->key;
    if (what->list >= LISTS_MAX) {
        return give_up(client, "no list is left");
    }
    switch (op->kind) {
    case CHECKER_INCR:
        return do_incr(client, op);
    case CHECKER_APPEND:
        return do_append(client, what);
    case CHECKER_SET_PAIR:
        return do_set_pair(client, op);
    case CHECKER_GET_COUNTER:
        return do_get_counter(client, op);
    case CHECKER_GET_LIST:
        return do_get_list(client, what, NULL, 0);
    default:
        return do_get_pair(client, op);
    }
}

static bool work_until_stopped(struct client *client)
{
    while (!atomic_load_explicit(&client->load->stop, memory_order_relaxed)) {
        size_t at = atomic_load_explicit(&client->count, memory_order_relaxed);
        struct load_op *what = next_op(client, at);
        if (what == NULL || !work(client, what)) {
            return false;
        }
        histogram_add(&client->latency, what->op.return_ns - what->op.call_ns);
        atomic_store_explicit(&client->count, at + 1, memory_order_release);
        if (client->load->pause_ns != 0) {
            cli_sleep_ns(client->load->pause_ns);
        }
    }
    return true;
}

// Reads each list that any client may have appended to; the first client does it when all have
// stopped.
static bool read_lists(struct client *client)
{
    struct load *load = client->load;
    uint32_t epochs = 0;
    for (unsigned c = 0; c < load->count; c++) {
        for (unsigned k = 0; k < CHECKER_KEYS; k++) {
            uint32_t used = load->clients[c].list[k] + 1;
            epochs = used > epochs ? used : epochs;
        }
    }
    for (uint32_t list = 0; list < epochs * CHECKER_KEYS && list < LISTS_MAX; list++) {
        size_t at = atomic_load_explicit(&client->count, memory_order_relaxed);
        struct load_op *what = next_op(client, at);
        uint32_t *tokens = calloc(BYTES_MAX / LOAD_TOKEN_BYTES, sizeof *tokens);
        if (what == NULL || tokens == NULL) {
            free(tokens);
            return give_up(client, "no memory for the lists");
        }
        what->op = (struct checker_op){.client = client->number,
                                       .kind = CHECKER_GET_LIST,
                                       .key = (uint8_t)(list % CHECKER_KEYS)};
        what->list = list;
        load->final[list] = tokens;
        if (!do_get_list(client, what, tokens, BYTES_MAX / LOAD_TOKEN_BYTES)) {
            return false;
        }
        load->final_count[list] = (uint32_t)what->op.result[0];
        atomic_store_explicit(&client->count, at + 1, memory_order_release);
    }
    return true;
}

static bool open_channel(struct client *client)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    local_path(&client->load->local, path, "client-%u.yaml", LOCAL_LOAD_CLIENT + client->number);
    struct tacit_channel_options options = {.node_path = path};
    (void)pthread_mutex_lock(&client->load->opening);
    enum tacit_status status = tacit_channel_open(&options, &client->channel, &client->error);
    (void)pthread_mutex_unlock(&client->load->opening);
    if (status == TACIT_OK) {
        status = tacit_channel_connect(client->channel, CALL_NS, &client->session, &client->error);
    }
    atomic_store(&client->state, status == TACIT_OK ? CLIENT_READY : CLIENT_FAILED);
    return status == TACIT_OK;
}

static bool all_others_done(const struct load *load)
{
    for (unsigned c = 1; c < load->count; c++) {
        int state = atomic_load(&load->clients[c].state);
        if (state != CLIENT_DONE && state != CLIENT_FAILED) {
            return false;
        }
    }
    return true;
}

static void *run(void *context)
{
    struct client *client = context;
    struct load *load = client->load;
    bool ok = open_channel(client) && work_until_stopped(client);
    if (ok && client->number == 0) {
        while (!all_others_done(load)) {
            cli_sleep_ns(1000000);
        }
        ok = read_lists(client);
    }
    if (ok) {
        atomic_store(&client->state, CLIENT_DONE);
    }
    (void)pthread_mutex_lock(&load->opening);
    tacit_channel_close(client->channel);
    (void)pthread_mutex_unlock(&load->opening);
    return NULL;
}

// ---- all of them -------------------------------------------------------------------------------

enum tacit_status load_start(struct load **load, const struct local *local, unsigned count,
                             uint64_t pause_ns, struct tacit_error *error)
{
    struct load *made = count == 0 || count > LOAD_CLIENTS_MAX ? NULL : calloc(1, sizeof *made);
    if (made == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory for %u clients", count);
    }
    made->local = *local;
    made->count = count;
    made->pause_ns = pause_ns;
    (void)pthread_mutex_init(&made->opening, NULL);
    bool waiting = true;
    for (unsigned c = 0; c < count; c++) {
        struct client *client = &made->clients[c];
        client->load = made;
        client->number = c;
        client->random = 12345u + 7919u * c;
        client->started = pthread_create(&client->thread, NULL, run, client) == 0;
        if (!client->started) {
            (void)give_up(client, "its thread could not be started");
        }
    }
    while (waiting) {
        waiting = false;
        for (unsigned c = 0; c < count; c++) {
            waiting |= atomic_load(&made->clients[c].state) == CLIENT_STARTING;
        }
        cli_sleep_ns(1000000);
    }
    if (load_failed(made)) {
        enum tacit_status status = load_stop(made, error);
        load_free(made);
        return status;
    }
    *load = made;
    return TACIT_OK;
}

static enum tacit_status flatten(struct load *load, struct tacit_error *error)
{
    for (unsigned c = 0; c < load->count; c++) {
        struct client *client = &load->clients[c];
        size_t count = atomic_load(&client->count);
        load->flat[c] = calloc(count + 1, sizeof *load->flat[c]);
        if (load->flat[c] == NULL) {
            return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory for the history");
        }
        for (size_t i = 0; i < count; i++) {
            load->flat[c][i] = client->chunks[i / CHUNK]->ops[i % CHUNK];
        }
    }
    return TACIT_OK;
}

enum tacit_status load_stop(struct load *load, struct tacit_error *error)
{
    enum tacit_status status = TACIT_OK;
    atomic_store(&load->stop, true);
    for (unsigned c = 0; c < load->count; c++) {
        struct client *client = &load->clients[c];
        if (client->started) {
            (void)pthread_join(client->thread, NULL);
            client->started = false;
        }
        if (atomic_load(&client->state) == CLIENT_FAILED && status == TACIT_OK) {
            status = client->error.status;
            *error = client->error;
        }
    }
    return status == TACIT_OK ? flatten(load, error) : status;
}

void load_free(struct load *load)
{
    if (load == NULL) {
        return;
    }
    for (unsigned c = 0; c < load->count; c++) {
        for (size_t i = 0; i < CHUNKS_MAX; i++) {
            free(load->clients[c].chunks[i]);
        }
        free(load->flat[c]);
    }
    for (size_t i = 0; i < LISTS_MAX; i++) {
        free(load->final[i]);
    }
    (void)pthread_mutex_destroy(&load->opening);
    free(load);
}

// ---- looking -----------------------------------------------------------------------------------

uint64_t load_acknowledged(const struct load *load)
{
    uint64_t sum = 0;
    for (unsigned c = 0; c < load->count; c++) {
        sum += atomic_load_explicit(&load->clients[c].count, memory_order_acquire);
    }
    return sum;
}

void load_histogram(const struct load *load, struct histogram *out)
{
    memset(out, 0, sizeof *out);
    for (unsigned c = 0; c < load->count; c++) {
        histogram_merge(out, &load->clients[c].latency);
    }
}

bool load_failed(const struct load *load)
{
    for (unsigned c = 0; c < load->count; c++) {
        if (atomic_load(&load->clients[c].state) == CLIENT_FAILED) {
            return true;
        }
    }
    return false;
}

const struct load_op *load_history(const struct load *load, unsigned client, size_t *count)
{
    *count = atomic_load(&load->clients[client].count);
    return load->flat[client];
}

unsigned load_clients(const struct load *load)
{
    return load->count;
}

const uint32_t *load_list(const struct load *load, uint32_t list, uint32_t *tokens)
{
    *tokens = list < LISTS_MAX ? load->final_count[list] : 0;
    return list < LISTS_MAX ? load->final[list] : NULL;
}

uint32_t load_lists(const struct load *load)
{
    uint32_t lists = 0;
    while (lists < LISTS_MAX && load->final[lists] != NULL) {
        lists++;
    }
    return lists;
}

static int by_value(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

// The silences between these times, which are in order, the first one since from_ns.
static void note_silences(struct load_outage *outage, uint64_t from_ns, const uint64_t *returns,
                          size_t count, const struct stall_list *stalls)
{
    uint64_t before_ns = from_ns;
    for (size_t i = 0; i < count; i++) {
        uint64_t gap_ns = returns[i] - before_ns;
        if (gap_ns > outage->silence_ns) {
            outage->silence_ns = gap_ns;
            outage->silence_from_ns = before_ns;
        }
        if (gap_ns > outage->own_silence_ns) {
            uint64_t own_ns = gap_ns - stalls_overlap(stalls, before_ns, returns[i]);
            outage->own_silence_ns =
                own_ns > outage->own_silence_ns ? own_ns : outage->own_silence_ns;
        }
        before_ns = returns[i];
    }
}

struct load_outage load_outage(const struct load *load, uint64_t from_ns, uint64_t to_ns)
{
    static const struct stall_list none;
    return load_outage_beside(load, from_ns, to_ns, &none);
}

struct load_outage load_outage_beside(const struct load *load, uint64_t from_ns, uint64_t to_ns,
                                      const struct stall_list *stalls)
{
    struct load_outage outage = {0};
    uint64_t longest[LOAD_CLIENTS_MAX] = {0};
    size_t total = 0;
    size_t used = 0;
    for (unsigned c = 0; c < load->count; c++) {
        total += atomic_load_explicit(&load->clients[c].count, memory_order_acquire);
    }
    uint64_t *returns = malloc((total + 1) * sizeof *returns);
    if (returns == NULL) {
        return outage;
    }
    for (unsigned c = 0; c < load->count; c++) {
        const struct client *client = &load->clients[c];
        size_t count = atomic_load_explicit(&client->count, memory_order_acquire);
        for (size_t i = count; i-- > 0;) {
            const struct checker_op *op = &client->chunks[i / CHUNK]->ops[i % CHUNK].op;
            if (op->return_ns < from_ns) {
                break; // a client's operations are in order
            }
            if (op->return_ns <= to_ns && used < total) {
                uint64_t wait_ns = op->return_ns - op->call_ns;
                longest[c] = wait_ns > longest[c] ? wait_ns : longest[c];
                if (wait_ns > outage.longest_wait_ns) {
                    outage.longest_wait_ns = wait_ns;
                    outage.wait_from_ns = op->call_ns;
                }
                returns[used++] = op->return_ns;
            }
        }
    }
    qsort(returns, used, sizeof *returns, by_value);
    note_silences(&outage, from_ns, returns, used, stalls);
    for (unsigned c = 0; c < load->count; c++) {
        outage.clients_waited += longest[c] > outage.longest_wait_ns / 2;
    }
    free(returns);
    return outage;
}

void load_resumed(const struct load *load, uint64_t sent_ns, uint64_t led_ns,
                  uint64_t resumed_ns[LOAD_CLIENTS_MAX])
{
    for (unsigned c = 0; c < load->count; c++) {
        const struct client *client = &load->clients[c];
        size_t count = atomic_load_explicit(&client->count, memory_order_acquire);
        resumed_ns[c] = UINT64_MAX;
        for (size_t i = count; i-- > 0;) {
            const struct checker_op *op = &client->chunks[i / CHUNK]->ops[i % CHUNK].op;
            if (op->call_ns < sent_ns || op->return_ns < led_ns) {
                break; // a client's operations are in order
            }
            resumed_ns[c] = op->return_ns;
        }
    }
}

void load_bins(const struct load *load, uint64_t from_ns, uint64_t bin_ns, struct load_bin *bins,
               size_t count)
{
    memset(bins, 0, count * sizeof *bins);
    for (unsigned c = 0; c < load->count; c++) {
        const struct client *client = &load->clients[c];
        size_t done = atomic_load_explicit(&client->count, memory_order_acquire);
        for (size_t i = done; i-- > 0;) {
            const struct checker_op *op = &client->chunks[i / CHUNK]->ops[i % CHUNK].op;
            if (op->return_ns < from_ns) {
                break; // a client's operations are in order
            }
            size_t bin = (op->return_ns - from_ns) / bin_ns;
            if (bin < count) {
                uint64_t wait_ns = op->return_ns - op->call_ns;
                bins[bin].answered++;
                bins[bin].slowest_ns =
                    wait_ns > bins[bin].slowest_ns ? wait_ns : bins[bin].slowest_ns;
            }
        }
    }
}
