// SPDX-License-Identifier: Apache-2.0
//
// Liars in a local cluster: replicas that run another program (tests/attack), which a page in the
// cluster's folder tells how to lie. Builds without tests have no such program.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli.h"
#include "local.h"

bool local_attack_page(const struct local *local, uint16_t replica,
                       char out[TACIT_CONFIG_PATH_BYTES])
{
    local_path(local, out, "attack/replica-%u", replica);
    return access(out, F_OK) == 0;
}

void local_attack_clear(const struct local *local, uint16_t replica)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    if (local_attack_page(local, replica, path)) {
        (void)unlink(path);
    }
}

#ifdef TACIT_WITH_TESTS

#include "tests/attack/attacks.h"
#include "tests/attack/page.h"

// The page of a liar, mapped; NULL: it is honest.
static struct attack_page *map_page(const struct local *local, uint16_t replica)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    int file = local_attack_page(local, replica, path) ? open(path, O_RDWR | O_CLOEXEC) : -1;
    struct attack_page *page = NULL;
    if (file >= 0) {
        void *memory = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        page = memory == MAP_FAILED ? NULL : memory;
        (void)close(file);
    }
    return page;
}

static void unmap(struct attack_page *page)
{
    if (page != NULL) {
        (void)munmap(page, sizeof *page);
    }
}

static enum tacit_status make_page(const struct local *local, uint16_t replica,
                                   struct tacit_error *error)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    const struct attack_page empty = {.magic = ATTACK_PAGE_MAGIC};
    local_attack_clear(local, replica);
    (void)local_attack_page(local, replica, path);
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool made = file >= 0 && write(file, &empty, sizeof empty) == (ssize_t)sizeof empty;
    if (file >= 0) {
        (void)close(file);
    }
    return made ? TACIT_OK : tacit_error_set(error, TACIT_EIO, 0, "cannot write %s", path);
}

enum tacit_status local_attack_set(const struct local *local, uint16_t replica, const char *name,
                                   struct tacit_error *error)
{
    const struct local_node node = {LOCAL_REPLICA, replica};
    char path[TACIT_CONFIG_PATH_BYTES + 32];
    uint32_t index = attack_find(name);
    bool runs = local_pid(local, node) != 0;
    if (index == attack_count()) {
        return tacit_error_set(error, TACIT_EINVAL, 0, "there is no attack %s: accepted are %s",
                               name, attack_names());
    }
    if (!local_is_byzantine(local)) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "replicas that lie need --mode byzantine: in crash mode they are "
                               "trusted");
    }
    (void)snprintf(path, sizeof path, "%s/" LOCAL_ATTACKER, local->programs);
    if (access(path, X_OK) != 0) {
        return tacit_error_set(error, TACIT_ENOENT, 0,
                               "%s is not there: what attacks is part of a build tree with tests, "
                               "not of an installation",
                               path);
    }
    struct attack_page *page = map_page(local, replica);
    enum tacit_status status = TACIT_OK;
    if (runs && page == NULL) {
        return tacit_error_set(error, TACIT_EBUSY, 0,
                               "replica %u runs the honest program: `tacit local restart replica "
                               "%u --attack %s` starts the other one",
                               replica, replica, name);
    }
    if (!runs) {
        unmap(page);
        status = make_page(local, replica, error);
        page = status == TACIT_OK ? map_page(local, replica) : NULL;
        status =
            status == TACIT_OK && page == NULL
                ? tacit_error_set(error, TACIT_EIO, 0, "cannot map the page of replica %u", replica)
                : status;
    }
    if (status == TACIT_OK) {
        if (index != ATTACK_NONE) {
            atomic_store(&page->lied, 1); // from now on nothing that it says counts
        }
        atomic_store(&page->attack, index);
    }
    unmap(page);
    return status;
}

uint32_t local_liars(const struct local *local)
{
    uint32_t liars = 0;
    for (uint32_t r = 0; r < local->config.replica_count; r++) {
        struct attack_page *page = map_page(local, (uint16_t)r);
        liars |= page != NULL && atomic_load(&page->lied) != 0 ? 1u << r : 0;
        unmap(page);
    }
    return liars;
}

bool local_attack_text(const struct local *local, uint16_t replica, char *out, size_t out_bytes)
{
    struct attack_page *page = map_page(local, replica);
    if (page == NULL) {
        return false;
    }
    const struct attack *attack = attack_at(atomic_load(&page->attack));
    size_t used = (size_t)snprintf(
        out, out_bytes, "%s (%s)%s; so far:", attack->name, attack->text,
        atomic_load(&page->has_died) != 0 ? ", fell over its own lies and is mute" : "");
    unsigned long long muted = (unsigned long long)atomic_load(&page->muted);
    bool any = muted != 0;
    if (any && used < out_bytes) {
        used += (size_t)snprintf(out + used, out_bytes - used, " kept back %llu", muted);
    }
    for (uint32_t i = 0; i < ADVERSARY_ATTACKS && used < out_bytes; i++) {
        unsigned long long done = (unsigned long long)atomic_load(&page->done[i]);
        if (done != 0) {
            any = true;
            used += (size_t)snprintf(out + used, out_bytes - used, " %s %llu",
                                     adversary_attack_name((enum adversary_attack)i), done);
        }
    }
    if (!any && used < out_bytes) {
        (void)snprintf(out + used, out_bytes - used, " nothing");
    }
    unmap(page);
    return true;
}

uint64_t local_attack_done(const struct local *local, uint16_t replica)
{
    struct attack_page *page = map_page(local, replica);
    uint64_t sum = page == NULL ? 0 : atomic_load(&page->muted);
    for (uint32_t i = 0; page != NULL && i < ADVERSARY_ATTACKS; i++) {
        sum += atomic_load(&page->done[i]);
    }
    unmap(page);
    return sum;
}

const char *local_attack_name(uint32_t index)
{
    return index < attack_count() ? attack_at(index)->name : NULL;
}

void local_attack_list(void)
{
    for (uint32_t i = 0; i < attack_count(); i++) {
        (void)printf("%-15s %s\n", attack_at(i)->name, attack_at(i)->text);
    }
}

#else

enum tacit_status local_attack_set(const struct local *local, uint16_t replica, const char *name,
                                   struct tacit_error *error)
{
    (void)local;
    (void)replica;
    return tacit_error_set(error, TACIT_EINVAL, 0,
                           "attack %s: replicas that lie are part of builds with tests only "
                           "(-DBUILD_TESTING=ON)",
                           name);
}

uint32_t local_liars(const struct local *local)
{
    (void)local;
    return 0;
}

bool local_attack_text(const struct local *local, uint16_t replica, char *out, size_t out_bytes)
{
    (void)local;
    (void)replica;
    (void)out;
    (void)out_bytes;
    return false;
}

uint64_t local_attack_done(const struct local *local, uint16_t replica)
{
    (void)local;
    (void)replica;
    return 0;
}

const char *local_attack_name(uint32_t index)
{
    (void)index;
    return NULL;
}

void local_attack_list(void)
{
}

#endif
