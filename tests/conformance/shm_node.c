// SPDX-License-Identifier: Apache-2.0
//
// Processes that run a node of the shared-memory provider; see shm_node.h.
#include "shm_node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "processes.h"

#define FIRST_USER 61000u // of nobody else
#define SHARED_GROUP 61999u

bool shm_place_open(struct shm_place *place)
{
    place->separate_users = geteuid() == 0;
    (void)snprintf(place->directory, sizeof place->directory, "/tmp/tacit-shm-XXXXXX");
    if (mkdtemp(place->directory) == NULL) {
        return false;
    }
    return !place->separate_users ||
           (chown(place->directory, 0, SHARED_GROUP) == 0 && chmod(place->directory, 0770) == 0);
}

void shm_place_close(struct shm_place *place)
{
    DIR *directory = opendir(place->directory);
    if (directory == NULL) {
        return;
    }
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (entry->d_name[0] != '.') {
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
        }
    }
    closedir(directory);
    (void)rmdir(place->directory);
}

static bool key_of(void *context, enum tacit_shm_kind kind, uint16_t id,
                   tacit_incarnation_t incarnation, struct tacit_public_key *key)
{
    (void)context;
    (void)incarnation;
    conf_node_public_key(key, kind, id);
    return true;
}

static void report(void *context, enum tacit_shm_report_kind kind, const char *text)
{
    (void)context;
    if (getenv("TACIT_TEST_VERBOSE") != NULL) {
        (void)fprintf(stderr, "# process %d, report %d: %s\n", (int)getpid(), (int)kind, text);
    }
}

void shm_node_config(struct tacit_shm_config *config, struct shm_node_memory *memory,
                     const struct shm_place *place, unsigned name, tacit_incarnation_t incarnation,
                     unsigned replicas)
{
    struct tacit_error error;
    if (tacit_crypto_init(&error) != TACIT_OK) {
        abort();
    }
    memset(config, 0, sizeof *config);
    config->kind = (enum tacit_shm_kind)conf_node_kind((tacit_node_t)name, &config->id);
    config->incarnation = incarnation;
    for (unsigned i = 0; i <= replicas; i++) {
        tacit_node_t node = (tacit_node_t)(i < replicas ? i : TACIT_NODE_MEMNODE);
        (void)snprintf(memory->paths[i], sizeof memory->paths[i], "%s/%u", place->directory, node);
        memory->peers[i] = (struct tacit_shm_peer){.node = node, .path = memory->paths[i]};
        if (node == name) {
            config->path = memory->paths[i];
        }
    }
    config->peers = memory->peers;
    config->peers_count = replicas + 1;
    config->socket_gid = place->separate_users ? SHARED_GROUP : 0;
    memcpy(config->layouts, conf_layouts, sizeof config->layouts);
    memset(config->group.bytes, 0x47, sizeof config->group.bytes);
    memset(config->cluster.bytes, 0x43, sizeof config->cluster.bytes);
    conf_node_keypair(&memory->keypair, config->kind, config->id);
    config->keypair = &memory->keypair;
    config->key_of = key_of;
    config->report = report;
}

void shm_node_confine(const struct shm_place *place, unsigned name, pid_t parent)
{
    gid_t group = SHARED_GROUP;
    if (place->separate_users &&
        (setgroups(1, &group) != 0 ||
         setresgid(FIRST_USER + name, FIRST_USER + name, FIRST_USER + name) != 0 ||
         setresuid(FIRST_USER + name, FIRST_USER + name, FIRST_USER + name) != 0)) {
        abort();
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); // after the change of user, which clears it
    (void)prctl(PR_SET_DUMPABLE, 0);
    if (getppid() != parent) {
        _exit(1);
    }
}

// ---- attacks ----

enum attack {
    PTRACE = 1u << 0,
    PROC_MEM = 1u << 1,
    VM_WRITE = 1u << 2,
    FD_OPEN = 1u << 3,   // opened another process' descriptor through /proc
    FD_MAP = 1u << 4,    // ... and mapped it writable
    FD_STEAL = 1u << 5,  // pidfd_getfd
    PROTECT = 1u << 6,   // made a read-only mapping writable
    OWN_FD = 1u << 7,    // has a descriptor of a region open that it did not make
    MAP_FILES = 1u << 8, // opened a mapping's file for writing
};

static bool may_map_writable(int fd)
{
    void *base = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base != MAP_FAILED) {
        munmap(base, 4096);
    }
    uint64_t word = 0;
    bool punched = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0;
    return base != MAP_FAILED || punched ||
           pwrite(fd, &word, sizeof word, 0) == (ssize_t)sizeof word || ftruncate(fd, 0) == 0;
}

static uint64_t attack_descriptors(pid_t pid)
{
    uint64_t done = 0;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    for (int i = 0; i < 256; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, i);
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0) {
            done |= FD_OPEN | (may_map_writable(fd) ? (uint64_t)FD_MAP : 0);
            close(fd);
        }
        fd = (int)syscall(SYS_pidfd_getfd, pidfd, i, 0);
        if (fd >= 0) {
            done |= FD_STEAL;
            close(fd);
        }
    }
    if (pidfd >= 0) {
        close(pidfd);
    }
    return done;
}

// Mappings that this process only reads.
static uint64_t attack_mappings(void)
{
    uint64_t done = 0, seen = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        char rights[8];
        if (strstr(line, "memfd:tacit") == NULL ||
            sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || rights[1] != '-') {
            continue;
        }
        seen++;
        if (mprotect((void *)from, to - from, PROT_READ | PROT_WRITE) == 0) {
            done |= PROTECT;
        }
        char path[96];
        (void)snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", from, to);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && may_map_writable(fd)) {
            done |= MAP_FILES;
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
    return seen == 0 ? UINT64_MAX : done; // nothing seen: the test itself is broken
}

// Descriptors of sealed memory must not give write access either, be they our own.
static uint64_t attack_own_descriptors(void)
{
    uint64_t done = 0;
    for (int fd = 3; fd < 256; fd++) {
        int seals = fcntl(fd, F_GET_SEALS);
        if (seals > 0 && may_map_writable(fd)) {
            done |= OWN_FD;
        }
    }
    return done;
}

uint64_t shm_node_attack(pid_t pid, uint64_t *tried)
{
    uint64_t done = 0, word = 0;
    *tried = 0x1ff;
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0) {
        done |= PTRACE;
        (void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
    }
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        done |= PROC_MEM;
        close(fd);
    }
    struct iovec here = {.iov_base = &word, .iov_len = sizeof word};
    struct iovec there = {.iov_base = &word, .iov_len = sizeof word}; // same program, same place
    if (process_vm_writev(pid, &here, 1, &there, 1, 0) > 0) {
        done |= VM_WRITE;
    }
    return done | attack_descriptors(pid) | attack_mappings() | attack_own_descriptors();
}
