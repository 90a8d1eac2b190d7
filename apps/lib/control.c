// SPDX-License-Identifier: Apache-2.0
//
// See control.h.
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

#define BACKLOG 16
#define LOST_CHECK_MS 1000 // while members wait for admission
#define NICE 10

struct tacit_control {
    struct tacit_control_config config;
    int listener;
    int event;
    atomic_bool stop;
    pthread_t thread;
    struct tacit_published last; // as logged
    bool has_last;
    unsigned lost_checks; // looks in a row that found too many members waiting
    char json[TACIT_STATUS_JSON_BYTES];
};

// ---- socket ------------------------------------------------------------------------------------

static enum tacit_status socket_error(struct tacit_error *error, const char *what, const char *path)
{
    int os_errno = errno;
    enum tacit_status status = os_errno == EACCES || os_errno == EPERM ? TACIT_EPERM : TACIT_EIO;
    return tacit_error_set(error, status, os_errno, "cannot %s the status socket %s: %s", what,
                           path, strerror(os_errno));
}

// Removes a socket file that nobody listens on.
static enum tacit_status clear_path(const struct sockaddr_un *address, struct tacit_error *error)
{
    struct stat there;
    const char *path = address->sun_path;
    if (lstat(path, &there) != 0) {
        return errno == ENOENT ? TACIT_OK : socket_error(error, "look for", path);
    }
    if (!S_ISSOCK(there.st_mode)) {
        return tacit_error_set(error, TACIT_EEXIST, 0,
                               "%s is in the way of the status socket and is no socket: move it",
                               path);
    }
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) {
        return socket_error(error, "probe", path);
    }
    int result = connect(probe, (const struct sockaddr *)address, sizeof *address);
    bool is_stale = result != 0 && errno == ECONNREFUSED;
    (void)close(probe);
    if (!is_stale) {
        return tacit_error_set(error, TACIT_EBUSY, 0,
                               "another process listens on the status socket %s: is the node "
                               "running already?",
                               path);
    }
    return unlink(path) == 0 || errno == ENOENT ? TACIT_OK : socket_error(error, "replace", path);
}

static enum tacit_status listen_at(const char *path, int *listener, struct tacit_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        return tacit_error_set(error, TACIT_ETOOBIG, 0, "the path %s is too long for a socket",
                               path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    enum tacit_status status = clear_path(&address, error);
    if (status != TACIT_OK) {
        return status;
    }
    *listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*listener < 0) {
        return socket_error(error, "make", path);
    }
    if (bind(*listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(path, 0600) != 0 || listen(*listener, BACKLOG) != 0) {
        status = socket_error(error, "bind", path);
        (void)close(*listener);
        *listener = -1;
    }
    return status;
}

// ---- what the thread does ----------------------------------------------------------------------

static void answer(struct tacit_control *control)
{
    int connection = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0) {
        return;
    }
    struct tacit_published published;
    struct tacit_provider_status fabric;
    (void)tacit_publish_read(control->config.publisher,
                             &published); // a mixture is better than silence
    tacit_provider_status(control->config.provider, control->config.fabric, &fabric);
    size_t length = tacit_status_json(control->json, &control->config.fixed, &published, &fabric,
                                      tacit_shm_now_ns());
    // Fits into an empty socket buffer; who does not read it in time has lost nothing of ours.
    (void)!send(connection, control->json, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)close(connection);
}

static void log_changes(struct tacit_control *control)
{
    struct tacit_published now;
    if (!tacit_publish_read(control->config.publisher, &now)) {
        return;
    }
    const struct tacit_status_report *a = &control->last.report;
    const struct tacit_status_report *b = &now.report;
    if (!control->has_last || a->role != b->role || a->leader != b->leader) {
        char leader[16] = "none";
        if (b->leader != TACIT_NODE_NONE) {
            (void)snprintf(leader, sizeof leader, "%u", b->leader);
        }
        tacit_log(TACIT_LOG_INFO, "role",
                  "role=%s leader=%s incarnation=%u applied=%llu elections_won=%llu",
                  tacit_role_name(b->role), leader, b->incarnation, (unsigned long long)b->applied,
                  (unsigned long long)b->elections_won);
    }
    if (!control->has_last || a->trusted != b->trusted || a->up != b->up ||
        a->memnodes_up != b->memnodes_up || a->waiting != b->waiting) {
        tacit_log(TACIT_LOG_INFO, "peers",
                  "up=0x%x trusted=0x%x memnodes_up=0x%x waiting=0x%x suspicions=%llu deaths=%llu",
                  b->up, b->trusted, b->memnodes_up, b->waiting,
                  (unsigned long long)now.detector.suspicions,
                  (unsigned long long)now.detector.deaths);
    }
    if (control->has_last && a->condemned != b->condemned) {
        tacit_log(TACIT_LOG_WARN, "condemned",
                  "replicas=0x%x text=\"proven to lie: nothing of them is believed any more\"",
                  b->condemned);
    }
    if (control->has_last && (a->view != b->view || a->view_entered != b->view_entered)) {
        tacit_log(TACIT_LOG_INFO, "view", "view=%llu entered=%s leader=%u applied=%llu",
                  (unsigned long long)b->view, b->view_entered ? "yes" : "no", b->leader,
                  (unsigned long long)b->applied);
    }
    if (control->has_last && a->state_transfers != b->state_transfers) {
        tacit_log(TACIT_LOG_INFO, "state", "transfers=%llu pages=%llu applied=%llu",
                  (unsigned long long)b->state_transfers,
                  (unsigned long long)b->state_pages_fetched, (unsigned long long)b->applied);
    }
    control->last = now;
    control->has_last = true;
}

// More than f members without their memory: no majority of those who know is left, and none comes
// back by itself. Said once a minute as long as it is so.
static void check_lost(struct tacit_control *control)
{
    const struct tacit_status_report *report = &control->last.report;
    uint32_t waiting = (uint32_t)__builtin_popcount(report->waiting);
    if (waiting <= control->config.f || report->leader != TACIT_NODE_NONE) {
        control->lost_checks = 0;
        return;
    }
    if (control->lost_checks++ % 60 == 5) {
        tacit_log(TACIT_LOG_ERROR, "group_lost",
                  "text=\"%u members have lost their memory, more than f = %u: nothing can be "
                  "decided any more. An operator has to found a new group: tacit bootstrap "
                  "--replace\"",
                  waiting, control->config.f);
    }
}

static void *run(void *context)
{
    struct tacit_control *control = context;
    // Whoever looks at a group in trouble must not hold up the thread that gets it out of it.
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
    struct pollfd fds[2] = {{.fd = control->listener, .events = POLLIN},
                            {.fd = control->event, .events = POLLIN}};
    while (!atomic_load(&control->stop)) {
        bool waits = control->has_last && control->last.report.waiting != 0;
        int ready = poll(fds, 2, waits ? LOST_CHECK_MS : -1);
        if (ready < 0 && errno != EINTR) {
            break;
        }
        if (ready > 0 && (fds[0].revents & POLLIN) != 0) {
            answer(control);
        }
        if (ready > 0 && (fds[1].revents & POLLIN) != 0) {
            uint64_t count;
            (void)!read(control->event, &count, sizeof count);
        }
        log_changes(control);
        if (ready == 0) {
            check_lost(control);
        }
    }
    return NULL;
}

// ---- life --------------------------------------------------------------------------------------

enum tacit_status tacit_control_open(const struct tacit_control_config *config,
                                     struct tacit_control **out, struct tacit_error *error)
{
    struct tacit_control *control = calloc(1, sizeof *control);
    if (control == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory for the control thread");
    }
    control->config = *config;
    control->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum tacit_status status =
        control->event < 0
            ? tacit_error_set(error, TACIT_EIO, errno, "eventfd failed: %s", strerror(errno))
            : listen_at(config->path, &control->listener, error);
    if (status != TACIT_OK) {
        if (control->event >= 0) {
            (void)close(control->event);
        }
        free(control);
        return status;
    }
    // Signals are for the program's own threads.
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&control->thread, NULL, run, control);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        (void)close(control->listener);
        (void)unlink(config->path);
        (void)close(control->event);
        free(control);
        return tacit_error_set(error, TACIT_EIO, failed, "cannot start the control thread: %s",
                               strerror(failed));
    }
    *out = control;
    return TACIT_OK;
}

void tacit_control_notify(struct tacit_control *control)
{
    uint64_t one = 1;
    (void)!write(control->event, &one,
                 sizeof one); // non-blocking; a full counter has been rung already
}

void tacit_control_close(struct tacit_control *control)
{
    if (control == NULL) {
        return;
    }
    atomic_store(&control->stop, true);
    tacit_control_notify(control);
    (void)pthread_join(control->thread, NULL);
    (void)unlink(control->config.path);
    (void)close(control->listener);
    (void)close(control->event);
    free(control);
}
