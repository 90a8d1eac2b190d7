// SPDX-License-Identifier: Apache-2.0
//
// See scratch.h.
#include "scratch.h"

#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

bool scratch_interrupted(void)
{
    return interrupted != 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

void scratch_remove(const char *directory)
{
    (void)nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

enum tacit_status scratch_open(struct local *local, const struct local_plan *plan,
                               struct tacit_error *error)
{
    const char *parent = getenv("TMPDIR");
    char directory[512];
    // Sockets have short names only.
    (void)snprintf(directory, sizeof directory, "%s/tacit-XXXXXX",
                   parent != NULL && strlen(parent) < 40 ? parent : "/tmp");
    if (mkdtemp(directory) == NULL) {
        return tacit_error_set(error, TACIT_EIO, errno, "cannot make the folder %s: %s", directory,
                               strerror(errno));
    }
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    enum tacit_status status = local_create(local, directory, plan, error);
    local->tied = true;
    if (status != TACIT_OK) {
        scratch_remove(directory);
    }
    return status;
}

void scratch_close(struct local *local)
{
    (void)local_down(local);
    if (getenv("TACIT_KEEP") == NULL) { // to look at the logs
        scratch_remove(local->directory);
    } else {
        (void)fprintf(stderr, "tacit: kept %s\n", local->directory);
    }
}

uint64_t scratch_readmit(struct local *local, uint16_t replica, uint64_t timeout_ns,
                         struct tacit_error *error)
{
    struct local_node node = {LOCAL_REPLICA, replica};
    if (!local_wait_gone(local, node, timeout_ns)) { // a killed one's memory takes time to go
        (void)tacit_error_set(error, TACIT_ETIMEDOUT, 0, "replica %u does not end", replica);
        return 0;
    }
    uint64_t start_ns = cli_now_ns();
    if (local_start(local, node, error) != TACIT_OK) {
        return 0;
    }
    if (!local_wait_members(local, 1u << replica, timeout_ns)) {
        (void)tacit_error_set(error, TACIT_ETIMEDOUT, 0,
                              "replica %u was started again and not readmitted within %llu s",
                              replica, (unsigned long long)(timeout_ns / 1000000000u));
        return 0;
    }
    return cli_now_ns() - start_ns;
}

uint16_t scratch_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint16_t port = 0;
    if (probe >= 0 && bind(probe, (const struct sockaddr *)&address, sizeof address) == 0 &&
        getsockname(probe, (struct sockaddr *)&address, &length) == 0) {
        port = ntohs(address.sin_port);
    }
    if (probe >= 0) {
        (void)close(probe);
    }
    return port;
}
