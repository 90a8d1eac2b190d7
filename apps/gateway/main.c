// SPDX-License-Identifier: Apache-2.0
//
// tacit-gateway: lets unmodified Redis clients use the replicated key-value store.
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../lib/waiting.h"
#include "client/channel.h"
#include "cluster_backend.h"
#include "front.h"
#include "resp.h"
#include "server.h"

#define PORT_DEFAULT 6379u
#define TIMEOUT_MS 10000u
// Commands of one connection that wait for their answers: so many, if memory for that many replies
// of all connections is not beyond reason, but never fewer than a session of the group takes.
#define PIPELINE 32u
#define REPLIES_BYTES (256ull << 20)
#define STALL_NS (30ull * 1000 * 1000 * 1000)

enum {
    TACIT_KEY_UNIX = 256,
    TACIT_KEY_ID,
    TACIT_KEY_GROUP,
    TACIT_KEY_WAITING,
    TACIT_KEY_NO_TCP,
    TACIT_KEY_TIMEOUT
};

struct arguments {
    struct tacit_channel_options channel;
    struct tacit_server_config server;
    unsigned timeout_ms;
};

static const struct argp_option options[] = {
    {"node", 'n', "FILE", 0, "Node file of the client whose identity the gateway uses", 0},
    {"cluster", 'c', "FILE", 0, "Cluster file (instead of a node file, with --key and --id)", 0},
    {"key", 'k', "FILE", 0, "The client's private key", 0},
    {"id", TACIT_KEY_ID, "NUMBER", 0, "The client's id in the cluster file", 0},
    {"group", TACIT_KEY_GROUP, "FILE", 0, "File with the group's id", 0},
    {"port", 'p', "PORT", 0, "TCP port (default 6379; 0: any, printed at start)", 1},
    {"bind", 'b', "ADDRESS", 0, "Address to listen on (default 127.0.0.1)", 1},
    {"no-tcp", TACIT_KEY_NO_TCP, NULL, 0, "Listen on the Unix socket only", 1},
    {"unix", TACIT_KEY_UNIX, "PATH", 0, "Also listen on this Unix socket", 1},
    {"timeout", TACIT_KEY_TIMEOUT, "MS", 0,
     "Answer a command with an error when the replicas have not answered it for so many "
     "milliseconds (default 10000; 0: wait for ever)",
     2},
    {"waiting", TACIT_KEY_WAITING, "HOW", 0, "adaptive (default), yield or spin", 2},
    {0},
};

static unsigned parse_number(struct argp_state *state, const char *what, const char *text,
                             unsigned max)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value > max) {
        argp_error(state, "%s is \"%s\"; accepted are 0 to %u", what, text, max);
    }
    return (unsigned)value;
}

static enum tacit_channel_waiting parse_waiting(struct argp_state *state, const char *text)
{
    if (strcmp(text, "adaptive") == 0) {
        return TACIT_CHANNEL_ADAPTIVE;
    }
    if (strcmp(text, "yield") == 0) {
        return TACIT_CHANNEL_YIELD;
    }
    if (strcmp(text, "spin") != 0) {
        argp_error(state, "waiting is \"%s\"; accepted are adaptive, yield and spin", text);
    }
    return TACIT_CHANNEL_SPIN;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'n':
        arguments->channel.node_path = text;
        return 0;
    case 'c':
        arguments->channel.cluster_path = text;
        return 0;
    case 'k':
        arguments->channel.key_path = text;
        return 0;
    case TACIT_KEY_ID:
        arguments->channel.client_id =
            (uint16_t)parse_number(state, "the client's id", text, TACIT_CLIENTS_MAX - 1);
        return 0;
    case TACIT_KEY_GROUP:
        arguments->channel.group_path = text;
        return 0;
    case 'p':
        arguments->server.port = (uint16_t)parse_number(state, "the port", text, 65535);
        return 0;
    case 'b':
        arguments->server.address = text;
        return 0;
    case TACIT_KEY_NO_TCP:
        arguments->server.address = NULL;
        return 0;
    case TACIT_KEY_UNIX:
        arguments->server.unix_path = text;
        return 0;
    case TACIT_KEY_TIMEOUT:
        arguments->timeout_ms = parse_number(state, "the time-out", text, 3600000);
        return 0;
    case TACIT_KEY_WAITING:
        arguments->channel.waiting = parse_waiting(state, text);
        arguments->server.waiting = arguments->channel.waiting;
        return 0;
    case ARGP_KEY_END:
        if (arguments->channel.node_path == NULL && arguments->channel.cluster_path == NULL) {
            argp_error(state, "name a node file (--node), or --cluster, --key and --id");
        }
        if (arguments->server.address == NULL && arguments->server.unix_path == NULL) {
            argp_error(state, "--no-tcp needs --unix");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static uint32_t pipeline_of(const struct tacit_channel_limits *limits)
{
    uint64_t most = REPLIES_BYTES / (limits->sessions * tacit_resp_reply_max(limits->reply_bytes));
    most = most < PIPELINE ? most : PIPELINE;
    return most > limits->pipeline ? (uint32_t)most : limits->pipeline;
}

static enum tacit_status serve(struct arguments *arguments, struct tacit_channel *channel,
                               struct tacit_error *error)
{
    struct tacit_channel_limits limits;
    tacit_channel_limits(channel, &limits);
    struct tacit_front_config config = {.connections = limits.sessions,
                                        .pipeline = pipeline_of(&limits),
                                        .request_bytes = limits.request_bytes,
                                        .reply_bytes = limits.reply_bytes,
                                        .timeout_ns =
                                            (tacit_time_ns_t)arguments->timeout_ms * 1000000u};
    struct tacit_cluster_backend backend;
    uint32_t lanes = tacit_cluster_backend_lanes(tacit_waiting_is_crowded(limits.replicas));
    if (!tacit_cluster_backend_open(&backend, channel, limits.sessions, lanes)) {
        return tacit_error_set(error, TACIT_ENOMEM, errno, "gateway: no memory");
    }
    struct tacit_front_backend ops = tacit_cluster_backend_ops(&backend);
    struct tacit_server *server = NULL;
    backend.front = tacit_front_open(&config, &ops);
    enum tacit_status status = TACIT_OK;
    if (backend.front == NULL) {
        status = tacit_error_set(error, TACIT_ENOMEM, errno,
                                 "gateway: no memory for %u connections", limits.sessions);
    }
    arguments->server.connections = limits.sessions;
    arguments->server.stall_ns = STALL_NS;
    if (status == TACIT_OK) {
        status = tacit_server_open(&arguments->server, backend.front, &backend, &server, error);
    }
    if (status == TACIT_OK) {
        if (arguments->server.address != NULL) {
            printf("tacit-gateway: ready on %s port %u", arguments->server.address,
                   tacit_server_port(server));
        } else {
            printf("tacit-gateway: ready on %s", arguments->server.unix_path);
        }
        printf(", at most %u connections\n", limits.sessions);
        fflush(stdout);
        tacit_server_run(server);
        tacit_server_close(server);
    }
    tacit_front_close(backend.front);
    tacit_cluster_backend_close(&backend);
    return status;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Serve the replicated key-value store to Redis clients (RESP2). Commands of a "
               "connection are executed in order, each once, also across the crash of a leader.",
    };
    struct arguments arguments = {.server = {.address = "127.0.0.1", .port = PORT_DEFAULT},
                                  .timeout_ms = TIMEOUT_MS};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return 2;
    }
    // Blocked before any thread is made, so that the loop alone learns of them.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); // a write beyond the limit fails with a message
    arguments.server.stop_file = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (arguments.server.stop_file < 0) {
        fprintf(stderr, "tacit-gateway: cannot wait for signals: %s\n", strerror(errno));
        return 1;
    }
    struct tacit_error error = {.status = TACIT_OK};
    struct tacit_channel *channel = NULL;
    enum tacit_status status = tacit_channel_open(&arguments.channel, &channel, &error);
    if (status == TACIT_OK) {
        status = serve(&arguments, channel, &error);
    }
    tacit_channel_close(channel);
    close(arguments.server.stop_file);
    if (status != TACIT_OK) {
        fprintf(stderr, "tacit-gateway: %s\n", error.text);
        return 1;
    }
    return 0;
}
