// SPDX-License-Identifier: Apache-2.0
//
// Shared objects that a replica must refuse: ODD_APP 0 exports nothing, 1 is of another version, 2
// says no when it is given the option "refuse".
#include <stdio.h>
#include <string.h>

#include "tacit/app.h"

#if ODD_APP != 0
static enum tacit_status init(struct tacit_app_host *host, const char *options,
                              struct tacit_error *error)
{
    (void)host;
    if (strcmp(options, "refuse") == 0) {
        error->status = TACIT_EINVAL;
        (void)snprintf(error->text, sizeof error->text, "moody does not like the option %s",
                       options);
        return TACIT_EINVAL;
    }
    return TACIT_OK;
}

static size_t apply(struct tacit_app_host *host, const struct tacit_request *request, void *reply,
                    size_t reply_max)
{
    (void)host;
    (void)request;
    (void)reply;
    (void)reply_max;
    return 0;
}

extern const struct tacit_app tacit_app;
__attribute__((visibility("default")))
const struct tacit_app tacit_app = {.version = ODD_APP == 1 ? 999 : TACIT_APP_VERSION,
                                    .name = "moody",
                                    .init = init,
                                    .apply = apply};
#else
extern const int odd_nothing;
const int odd_nothing = 1;
#endif
