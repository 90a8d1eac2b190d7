// SPDX-License-Identifier: Apache-2.0
//
// A local cluster in which each process has a user of its own, so that the kernel keeps them apart
// as machines would: none reads another's key or state, signals it, or looks into its memory. They
// share a group, which may enter the folder and connect to the sockets, and nothing else.
//
//   DIR, DIR/state, DIR/run      root and the group, 0710: to pass through
//   DIR/*.yaml, DIR/run/group    root and the group, 0640
//   DIR/NAME.key                 the node, 0600
//   DIR/state/NAME               the node, 0700
//   DIR/run/NAME                 the node and the group, 02750: nobody else makes a file there; the
//                                bit says that the sockets are the group's (lib/node.h)
//   DIR/isolate                  the group's number; users follow it
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/statedir.h"
#include "cli.h"
#include "local.h"

#define MEMNODE_USERS (1u + TACIT_REPLICAS_MAX) // users of memory nodes are behind these
#define GATEWAY_USER (MEMNODE_USERS + TACIT_MEMNODES_MAX)
_Static_assert(GATEWAY_USER + 2 * TACIT_SPARES_MAX < LOCAL_ISOLATE_USERS,
               "all users are in the range");

uint32_t local_isolate_uid(const struct local *local, struct local_node node)
{
    uint32_t offset = node.kind == LOCAL_REPLICA         ? 1u + node.id
                      : node.kind == LOCAL_MEMNODE       ? MEMNODE_USERS + node.id
                      : node.kind == LOCAL_SPARE_REPLICA ? GATEWAY_USER + node.id
                      : node.kind == LOCAL_SPARE_MEMNODE ? GATEWAY_USER + TACIT_SPARES_MAX + node.id
                                                         : GATEWAY_USER;
    return local->isolate + offset;
}

// ---- whether it can be done --------------------------------------------------------------------

// Users who own nothing there have to pass: every folder above may be searched by anybody.
static enum tacit_status check_path(const char *what, const char *path, struct tacit_error *error)
{
    char part[TACIT_CONFIG_PATH_BYTES];
    struct stat facts;
    (void)snprintf(part, sizeof part, "%s", path);
    for (size_t i = 1; part[i] != '\0'; i++) {
        if (part[i] != '/') {
            continue;
        }
        part[i] = '\0';
        if (stat(part, &facts) != 0 || (facts.st_mode & S_IXOTH) == 0) {
            return tacit_error_set(error, TACIT_EPERM, 0,
                                   "--isolate: other users may not enter %s, where %s is: choose a "
                                   "folder that all may enter, such as one below /tmp or /srv",
                                   part, what);
        }
        part[i] = '/';
    }
    return TACIT_OK;
}

enum tacit_status local_isolate_check(uint32_t base, const char *directory, const char *programs,
                                      struct tacit_error *error)
{
    if (geteuid() != 0) {
        return tacit_error_set(error, TACIT_EPERM, 0,
                               "--isolate gives each process a user of its own, which only root "
                               "can: run it as root (sudo), or without --isolate");
    }
    for (uint32_t i = 0; i < LOCAL_ISOLATE_USERS; i++) {
        const struct passwd *user = getpwuid(base + i);
        if (user != NULL) {
            return tacit_error_set(error, TACIT_EEXIST, 0,
                                   "--isolate=%u: user %u is %s already; the users %u to %u have "
                                   "to be nobody's: choose another number",
                                   base, base + i, user->pw_name, base,
                                   base + LOCAL_ISOLATE_USERS - 1);
        }
    }
    char last[TACIT_CONFIG_PATH_BYTES];
    (void)snprintf(last, sizeof last, "%s/", programs);
    enum tacit_status status = check_path("the cluster", directory, error);
    return status == TACIT_OK ? check_path("tacit-replica", last, error) : status;
}

// ---- files -------------------------------------------------------------------------------------

static enum tacit_status set_owner(const char *path, uint32_t user, uint32_t group, mode_t mode,
                                   struct tacit_error *error)
{
    // The owner first: a change of it takes away the set-group-ID bit.
    if (lchown(path, user, group) == 0 && chmod(path, mode) == 0) {
        return TACIT_OK;
    }
    return tacit_error_set(error, TACIT_EPERM, errno, "cannot give %s to user %u: %s", path, user,
                           strerror(errno));
}

// A state directory and what root wrote into it. The node may write there, too, so root follows
// none of its links, and gives away only what is root's own and has this one name.
static enum tacit_status give_state(const char *path, uint32_t user, struct tacit_error *error)
{
    enum tacit_status status = tacit_directory_make(path, error);
    DIR *folder = status == TACIT_OK ? opendir(path) : NULL;
    if (folder == NULL) {
        return status != TACIT_OK ? status
                                  : tacit_error_set(error, TACIT_EIO, errno, "cannot open %s: %s",
                                                    path, strerror(errno));
    }
    const struct dirent *entry;
    int failed = 0; // why a file could not be given away: its node could not start
    while ((entry = readdir(folder)) != NULL) {
        struct stat facts;
        int file = openat(dirfd(folder), entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (file >= 0 && fstat(file, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_uid == 0 &&
            facts.st_nlink == 1 && fchownat(file, "", user, user, AT_EMPTY_PATH) != 0) {
            failed = errno;
        }
        if (file >= 0) {
            (void)close(file);
        }
    }
    (void)closedir(folder);
    if (failed != 0) {
        return tacit_error_set(error, TACIT_EIO, failed, "cannot give what is in %s to user %u: %s",
                               path, user, strerror(failed));
    }
    return set_owner(path, user, user, 0700, error);
}

// Name of a node's files: the gateway is a client.
static void file_name(struct local_node node, char out[TACIT_CONFIG_NAME_BYTES])
{
    if (node.kind == LOCAL_GATEWAY) {
        (void)snprintf(out, TACIT_CONFIG_NAME_BYTES, "client-%u", LOCAL_GATEWAY_CLIENT);
    } else {
        local_name(node, out);
    }
}

enum tacit_status local_isolate_node(const struct local *local, struct local_node node,
                                     struct tacit_error *error)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    char name[TACIT_CONFIG_NAME_BYTES];
    uint32_t user = local_isolate_uid(local, node);
    file_name(node, name);
    local_path(local, path, "%s.yaml", name);
    enum tacit_status status = set_owner(path, 0, local->isolate, 0640, error);
    if (status == TACIT_OK) {
        local_path(local, path, "%s.key", name);
        status = set_owner(path, user, user, 0600, error);
    }
    if (status == TACIT_OK) {
        local_path(local, path, "state/%s", name);
        status = give_state(path, user, error);
    }
    if (status == TACIT_OK && node.kind != LOCAL_GATEWAY) {
        local_path(local, path, "run/%s", name);
        status = tacit_directory_make(path, error);
        status = status == TACIT_OK ? set_owner(path, user, local->isolate, 02750, error) : status;
    }
    if (status == TACIT_OK && node.kind == LOCAL_REPLICA &&
        local_attack_page(local, node.id, path)) {
        status = set_owner(path, user, user, 0600, error);
    }
    return status;
}

enum tacit_status local_isolate_folder(const struct local *local, struct tacit_error *error)
{
    static const struct {
        const char *path;
        mode_t mode;
    } shared[] = {{".", 0710},      {"state", 0710},        {"run", 0710},
                  {"attack", 0710}, {"cluster.yaml", 0640}, {"run/group", 0640}};
    char path[TACIT_CONFIG_PATH_BYTES];
    enum tacit_status status = TACIT_OK;
    for (size_t i = 0; i < sizeof shared / sizeof shared[0] && status == TACIT_OK; i++) {
        local_path(local, path, "%s", shared[i].path);
        if (access(path, F_OK) == 0) {
            status = set_owner(path, 0, local->isolate, shared[i].mode, error);
        }
    }
    return status;
}

// ---- what is remembered ------------------------------------------------------------------------

void local_isolate_plan(struct local *local)
{
    struct tacit_config *config = &local->config;
    for (uint32_t i = 0; i < config->replica_count; i++) {
        (void)snprintf(config->replicas[i].address, sizeof config->replicas[i].address,
                       "socket:replica-%u/sock", i);
    }
    for (uint32_t i = 0; i < config->memnode_count; i++) {
        (void)snprintf(config->memnodes[i].address, sizeof config->memnodes[i].address,
                       "socket:memnode-%u/sock", i);
    }
    for (uint32_t i = 0; i < config->spare_replica_count; i++) {
        (void)snprintf(config->spare_replicas[i].address, sizeof config->spare_replicas[i].address,
                       "socket:spare-replica-%u/sock", i + 1);
    }
    for (uint32_t i = 0; i < config->spare_memnode_count; i++) {
        (void)snprintf(config->spare_memnodes[i].address, sizeof config->spare_memnodes[i].address,
                       "socket:spare-memnode-%u/sock", i + 1);
    }
}

enum tacit_status local_isolate_note(const struct local *local, struct tacit_error *error)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%u\n", local->isolate);
    return tacit_file_replace(local->directory, "isolate", text, error);
}

uint32_t local_isolate_recall(const struct local *local)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    char text[16] = "";
    uint64_t base = 0;
    local_path(local, path, "isolate");
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(text, sizeof text, file) == NULL) {
            text[0] = '\0'; // as if it were not there
        }
        (void)fclose(file);
        text[strcspn(text, "\n")] = '\0';
    }
    return cli_number(text, LOCAL_ISOLATE_MIN, LOCAL_ISOLATE_MAX, &base) ? (uint32_t)base : 0;
}

// ---- in the new process ------------------------------------------------------------------------

bool local_isolate_enter(const struct local *local, struct local_node node)
{
    gid_t group = local->isolate;
    uid_t user = local_isolate_uid(local, node);
    const struct rlimit nice = {30, 30}; // protocol threads ask for a better rank (lib/README.md)
    (void)setrlimit(RLIMIT_NICE, &nice);
    return setgroups(1, &group) == 0 && setresgid(user, user, user) == 0 &&
           setresuid(user, user, user) == 0 && setuid(0) != 0 &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}
