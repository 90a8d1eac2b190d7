// SPDX-License-Identifier: Apache-2.0
//
// A client of the counter: sends its arguments as requests, one after the other, and prints each
// reply. A number in front repeats them. Each request is executed exactly once, whatever crashes
// meanwhile.
//
//     counter_client NODE_FILE [TIMES] REQUEST...     counter_client client-1.yaml 1000 "add 1"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tacit/client.h>

#define TIMEOUT_NS UINT64_C(30000000000)

static int send_all(struct tacit_channel *channel, uint32_t session, char **requests, int count)
{
    for (int i = 0; i < count; i++) {
        char text[128];
        struct tacit_channel_reply reply = {.bytes = text, .max = sizeof text};
        enum tacit_status status = tacit_channel_call(channel, session, requests[i],
                                                      strlen(requests[i]), TIMEOUT_NS, &reply);
        if (status != TACIT_OK) {
            fprintf(stderr, "%s: %s\n", requests[i], tacit_status_name(status));
            return 1;
        }
        printf("%.*s\n", (int)reply.size, text);
        fflush(stdout); // who reads may act on each line
    }
    return 0;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    long times = argc > 2 ? strtol(argv[2], &end, 10) : 0;
    int first = end != NULL && *end == '\0' ? 3 : 2;
    if (argc <= first) {
        fprintf(stderr, "usage: %s NODE_FILE [TIMES] REQUEST...\n", argv[0]);
        return 2;
    }
    struct tacit_channel_options options = {.node_path = argv[1]};
    struct tacit_channel *channel = NULL;
    struct tacit_error error;
    uint32_t session;
    if (tacit_channel_open(&options, &channel, &error) != TACIT_OK ||
        tacit_channel_connect(channel, TIMEOUT_NS, &session, &error) != TACIT_OK) {
        fprintf(stderr, "%s\n", error.text);
        tacit_channel_close(channel);
        return 1;
    }
    int result = 0;
    for (long i = 0; i < (first == 3 ? times : 1) && result == 0; i++) {
        result = send_all(channel, session, argv + first, argc - first);
    }
    tacit_channel_close(channel);
    return result;
}
