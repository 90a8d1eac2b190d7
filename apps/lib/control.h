// SPDX-License-Identifier: Apache-2.0
//
// The control thread of a replica: answers on the status socket and logs what changed. It touches
// nothing of the protocol thread's but what that thread published.
#ifndef TACIT_APPS_LIB_CONTROL_H
#define TACIT_APPS_LIB_CONTROL_H

#include "../client/provider.h"
#include "publish.h"
#include "status_json.h"

struct tacit_control;

struct tacit_control_config {
    const char *path; // of the status socket
    struct tacit_status_fixed fixed;
    struct tacit_publisher *publisher;
    const struct tacit_provider_config *provider;
    const struct tacit_fabric *fabric; // for its status
    uint32_t f; // more members than this that wait for admission: the group is lost
};

// Listens on the status socket (one JSON object a connection, then it is closed) and starts the
// thread. The strings stay the caller's until close. A socket file that nobody listens on is
// replaced. Errors: TACIT_EBUSY, TACIT_EEXIST (the path is no socket), TACIT_EPERM, TACIT_EIO,
// TACIT_ENOMEM.
enum tacit_status tacit_control_open(const struct tacit_control_config *config,
                                     struct tacit_control **out, struct tacit_error *error);
// Something changed: look at what was published and log it. Any thread; never blocks.
void tacit_control_notify(struct tacit_control *control);
// Ends the thread and removes the socket. NULL: nothing.
void tacit_control_close(struct tacit_control *control);

#endif
