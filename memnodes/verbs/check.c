// SPDX-License-Identifier: Apache-2.0
//
// Whether this host can run the fabric: looks at what the kernel and the libraries offer, says what
// is missing, and tries the device that a node would use. For `tacit rdma check`.
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "internal.h"

#define MEMLOCK_BYTES (UINT64_C(1) << 30) // a small cluster needs about this much for all its peers
#define PORTS_MAX 8u

static const struct tacit_verbs_wishes no_wishes = {.device = NULL};

static struct tacit_verbs_finding *find(struct tacit_verbs_check *check,
                                        enum tacit_verbs_finding_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static struct tacit_verbs_finding *find(struct tacit_verbs_check *check,
                                        enum tacit_verbs_finding_kind kind, const char *format, ...)
{
    static const unsigned last = TACIT_VERBS_FINDINGS - 1;
    struct tacit_verbs_finding *finding =
        &check->finding[check->count <= last ? check->count : last];
    check->count += check->count <= last;
    finding->kind = kind;
    finding->remedy[0] = '\0';
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(finding->text, sizeof(finding->text), format, arguments);
    va_end(arguments);
    return finding;
}

static void advise(struct tacit_verbs_finding *finding, const char *remedy)
{
    (void)snprintf(finding->remedy, sizeof(finding->remedy), "%s", remedy);
}

// A character device of the kernel that the libraries open.
static bool check_file(struct tacit_verbs_check *check, const char *path, const char *module)
{
    if (access(path, R_OK | W_OK) == 0) {
        find(check, TACIT_VERBS_FINDING_FINE, "%s is there and may be used.", path);
        return true;
    }
    struct tacit_verbs_finding *finding;
    if (errno == EACCES || errno == EPERM) {
        finding =
            find(check, TACIT_VERBS_FINDING_MISSING, "%s may not be used by this user.", path);
        advise(finding, "Add the user to the group that owns it (often rdma), or give it the mode "
                        "0666 by a udev rule, as the package rdma-core does.");
        return false;
    }
    finding = find(check, TACIT_VERBS_FINDING_MISSING, "%s is missing.", path);
    (void)snprintf(finding->remedy, sizeof(finding->remedy),
                   "Load the kernel module: modprobe %s (at every start: a line in "
                   "/etc/modules-load.d/rdma.conf). In a container the device has to be passed in.",
                   module);
    return false;
}

static void check_memlock(struct tacit_verbs_check *check)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur >= MEMLOCK_BYTES) {
        find(check, TACIT_VERBS_FINDING_FINE, "Locked memory is not limited below 1 GiB.");
        return;
    }
    struct tacit_verbs_finding *finding =
        find(check, TACIT_VERBS_FINDING_NOTE, "At most %" PRIu64 " KiB of memory may be locked.",
             (uint64_t)limit.rlim_cur / 1024u);
    advise(finding, "Registered memory is locked, about twice for each peer: set LimitMEMLOCK="
                    "infinity in the systemd unit, or `memlock unlimited` in "
                    "/etc/security/limits.conf.");
}

// Tries the port. True: it can run the fabric.
static bool check_place(struct tacit_verbs_check *check, const struct verbs_place *place,
                        struct tacit_verbs_facts *facts)
{
    facts->permission = tacit_verbs_probe(place);
    if (facts->permission == TACIT_VERBS_PERMISSION_NONE) {
        struct tacit_verbs_finding *finding = find(
            check, TACIT_VERBS_FINDING_MISSING,
            "%s refused queue pairs to itself, or does not enforce who may write.", facts->device);
        advise(finding, "See `dmesg`, and whether locked memory is limited; a RoCE device needs a "
                        "network interface that is up.");
        return false;
    }
    find(check, TACIT_VERBS_FINDING_FINE,
         "%s port %" PRIu32 ": GID %" PRIu32 " (%s, %s), packets of %" PRIu32
         " bytes, permissions by %s (tried).",
         facts->device, facts->port, facts->gid_index, facts->gid, facts->gid_type,
         facts->mtu_bytes, tacit_verbs_permission_name(facts->permission));
    find(check, TACIT_VERBS_FINDING_FINE, "GID %" PRIu32 " is taken as %s.", facts->gid_index,
         facts->gid_why);
    if (facts->mtu_bytes < 1024) {
        struct tacit_verbs_finding *finding =
            find(check, TACIT_VERBS_FINDING_NOTE, "Packets of %" PRIu32 " bytes are small.",
                 facts->mtu_bytes);
        advise(finding, "For RoCE, a larger MTU of the network interface (4200 and more, on the "
                        "switches, too) allows packets of 4096 bytes.");
    }
    check->facts = *facts;
    return true;
}

// The first port of the devices that fits; what does not is noted.
static bool check_devices(struct tacit_verbs_check *check, struct ibv_device **list, int count)
{
    bool usable = false;
    for (int i = 0; i < count && !usable; i++) {
        const char *name = ibv_get_device_name(list[i]);
        struct ibv_context *device = ibv_open_device(list[i]);
        struct ibv_device_attr attr = {.phys_port_cnt = 0};
        if (device == NULL || ibv_query_device(device, &attr) != 0) {
            find(check, TACIT_VERBS_FINDING_NOTE, "%s cannot be opened: %s.", name,
                 strerror(errno));
        }
        for (uint8_t port = 1; port <= attr.phys_port_cnt && port <= PORTS_MAX && !usable; port++) {
            struct verbs_place place;
            struct tacit_verbs_facts facts;
            char why[TACIT_VERBS_WHY_BYTES];
            if (tacit_verbs_place_find(device, port, NULL, &no_wishes, &place, &facts, why)) {
                usable = check_place(check, &place, &facts);
            } else {
                find(check, TACIT_VERBS_FINDING_NOTE, "%s port %u does not fit: %s.", name, port,
                     why);
            }
        }
        if (device != NULL) {
            (void)ibv_close_device(device);
        }
    }
    return usable;
}

// The device that rdma_cm finds for the address, as tacit_verbs_open() does.
static bool check_address(struct tacit_verbs_check *check, const char *address)
{
    struct sockaddr_storage own;
    if (!tacit_verbs_numeric_address(address, 0, &own)) {
        find(check, TACIT_VERBS_FINDING_MISSING, "\"%s\" is no numeric IPv4 or IPv6 address.",
             address);
        return false;
    }
    bool usable = false;
    struct rdma_cm_id *id = NULL;
    struct rdma_event_channel *events = rdma_create_event_channel();
    if (events == NULL || rdma_create_id(events, &id, NULL, RDMA_PS_TCP) != 0) {
        find(check, TACIT_VERBS_FINDING_MISSING,
             "The RDMA connection manager is not available: %s.", strerror(errno));
    } else if (rdma_bind_addr(id, (struct sockaddr *)&own) != 0 || id->verbs == NULL) {
        struct tacit_verbs_finding *finding =
            find(check, TACIT_VERBS_FINDING_MISSING, "No RDMA device has the address %s.", address);
        advise(finding, "It has to be the address of the device's own network interface: see `rdma "
                        "link` and `ip address`.");
    } else {
        struct verbs_place place;
        struct tacit_verbs_facts facts;
        char why[TACIT_VERBS_WHY_BYTES];
        if (tacit_verbs_place_find(id->verbs, id->port_num, &own, &no_wishes, &place, &facts,
                                   why)) {
            usable = check_place(check, &place, &facts);
        } else {
            find(check, TACIT_VERBS_FINDING_MISSING, "%s port %u does not fit: %s.",
                 ibv_get_device_name(id->verbs->device), id->port_num, why);
        }
    }
    if (id != NULL) {
        (void)rdma_destroy_id(id);
    }
    if (events != NULL) {
        rdma_destroy_event_channel(events);
    }
    return usable;
}

void tacit_verbs_check(const char *address, struct tacit_verbs_check *check)
{
    memset(check, 0, sizeof(*check));
    int count = 0;
    struct ibv_device **list = ibv_get_device_list(&count);
    check_memlock(check);
    if (list == NULL || count == 0) {
        struct tacit_verbs_finding *finding =
            find(check, TACIT_VERBS_FINDING_MISSING, "There is no RDMA device.");
        advise(finding,
               "A card: install rdma-core and ibverbs-providers, load its driver, see `rdma "
               "link`. Without one: modprobe rdma_rxe && rdma link add rxe0 type rxe netdev "
               "INTERFACE (Soft-RoCE; needs a kernel with that module).");
        (void)check_file(check, "/dev/infiniband/rdma_cm", "rdma_ucm");
    } else {
        find(check, TACIT_VERBS_FINDING_FINE, "RDMA devices: %d, the first is %s.", count,
             ibv_get_device_name(list[0]));
        bool manages = check_file(check, "/dev/infiniband/rdma_cm", "rdma_ucm");
        bool fits =
            address != NULL ? check_address(check, address) : check_devices(check, list, count);
        if (!fits && address == NULL) {
            find(check, TACIT_VERBS_FINDING_MISSING, "No port of any device fits.");
        }
        check->usable = manages && fits;
    }
    if (list != NULL) {
        ibv_free_device_list(list);
    }
}
