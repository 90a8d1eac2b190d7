// SPDX-License-Identifier: Apache-2.0
//
// The smallest application with state of its own: one number. A request is a line of text, "add N"
// or "get"; the reply is the number afterwards, as text. Built as a shared object for
// `tacit-replica --app ./counter.so`; tacit/app.h has the rules that it keeps.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tacit/app.h>

// All that is replicated. It lives in the arena, so that Tacit can copy it to a restarted replica.
struct counter {
    int64_t total;
};

static enum tacit_status init(struct tacit_app_host *host, const char *options,
                              struct tacit_error *error)
{
    struct counter *counter = host->arena; // all zero until now
    char *end = NULL;
    int64_t first = strtoll(options, &end, 10);
    if (*end != '\0') {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "counter: the option \"%s\" is no number to begin with", options);
    }
    host->touch(host, counter, sizeof *counter);
    counter->total = first;
    return TACIT_OK;
}

// Reads the request; false if it is none. Clients may send anything, of any length.
static bool read_request(const struct tacit_request *request, int64_t *add)
{
    char text[32];
    if (request->size >= sizeof text) {
        return false;
    }
    memcpy(text, request->bytes, request->size);
    text[request->size] = '\0';
    if (strcmp(text, "get") == 0) {
        *add = 0;
        return true;
    }
    char *end = text;
    *add = strncmp(text, "add ", 4) == 0 ? strtoll(text + 4, &end, 10) : 0;
    return end > text + 4 && *end == '\0';
}

static size_t apply(struct tacit_app_host *host, const struct tacit_request *request, void *reply,
                    size_t reply_max)
{
    struct counter *counter = host->arena;
    int64_t add = 0, total = 0;
    if (!read_request(request, &add)) {
        return (size_t)snprintf(reply, reply_max, "error: accepted are \"add N\" and \"get\"");
    }
    if (__builtin_add_overflow(counter->total, add, &total)) {
        return (size_t)snprintf(reply, reply_max, "error: too large");
    }
    host->touch(host, counter, sizeof *counter); // before the change, each time
    counter->total = total;
    return (size_t)snprintf(reply, reply_max, "%lld", (long long)total);
}

// The name that tacit-replica looks for.
extern const struct tacit_app tacit_app;
const struct tacit_app tacit_app = {
    .version = TACIT_APP_VERSION, .name = "counter", .init = init, .apply = apply};
