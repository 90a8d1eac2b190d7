// SPDX-License-Identifier: Apache-2.0
//
// Which port, GID and packet size a node uses. rdma_cm finds the device of an address; the rest is
// read from the device here, for queue pairs that are made by hand and for people.
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define GIDS_MAX 256u

uint32_t tacit_verbs_mtu_bytes(enum ibv_mtu mtu)
{
    return mtu >= IBV_MTU_256 && mtu <= IBV_MTU_4096 ? 128u << mtu : 0;
}

const char *tacit_verbs_permission_name(enum tacit_verbs_permission permission)
{
    switch (permission) {
    case TACIT_VERBS_PERMISSION_FLAGS:
        return "flags";
    case TACIT_VERBS_PERMISSION_CYCLE:
        return "cycle";
    case TACIT_VERBS_PERMISSION_DESTROY:
        return "destroy";
    case TACIT_VERBS_PERMISSION_NONE:
    default:
        return "none";
    }
}

// As RoCE writes an address: IPv4 ones mapped into IPv6.
static void gid_of(const struct sockaddr_storage *address, union ibv_gid *gid)
{
    memset(gid, 0, sizeof(*gid));
    if (address->ss_family == AF_INET) {
        gid->raw[10] = gid->raw[11] = 0xff;
        memcpy(gid->raw + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
    } else {
        memcpy(gid->raw, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
    }
}

// Whether the network interface of a GID has the address. Interfaces may have the same address (of
// a VLAN, a bond); then only one of them is meant.
static bool is_on_interface(const struct ibv_gid_entry *entry, const struct sockaddr_storage *own)
{
    char name[IF_NAMESIZE];
    struct ifaddrs *all = NULL;
    bool found = false;
    if (entry->ndev_ifindex == 0 || if_indextoname(entry->ndev_ifindex, name) == NULL ||
        getifaddrs(&all) != 0) {
        return false;
    }
    for (const struct ifaddrs *one = all; one != NULL && !found; one = one->ifa_next) {
        if (one->ifa_addr == NULL || one->ifa_addr->sa_family != own->ss_family ||
            strcmp(one->ifa_name, name) != 0) {
            continue;
        }
        struct sockaddr_storage address;
        union ibv_gid there;
        union ibv_gid wanted;
        memset(&address, 0, sizeof(address));
        memcpy(&address, one->ifa_addr,
               own->ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                         : sizeof(struct sockaddr_in6));
        gid_of(&address, &there);
        gid_of(own, &wanted);
        found = memcmp(there.raw, wanted.raw, sizeof(wanted.raw)) == 0;
    }
    freeifaddrs(all);
    return found;
}

// Better is larger; 0: does not fit. Before all, the GID has the address; then its interface does;
// then it is RoCE v2, which is routed and what rdma_cm takes by itself, too. Where no address is
// given, an IPv4 one is what people know.
static unsigned rank_of(const struct ibv_gid_entry *entry, uint8_t port,
                        const struct sockaddr_storage *own)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    union ibv_gid wanted;
    if (entry->port_num != port || entry->gid_index > UINT8_MAX) {
        return 0;
    }
    unsigned rank = entry->gid_type == IBV_GID_TYPE_ROCE_V2 ? 4 : 2;
    if (own == NULL || entry->gid_type == IBV_GID_TYPE_IB) {
        return rank + (memcmp(entry->gid.raw, mapped, sizeof(mapped)) == 0);
    }
    gid_of(own, &wanted);
    return memcmp(entry->gid.raw, wanted.raw, sizeof(wanted.raw)) != 0
               ? 0
               : rank + (is_on_interface(entry, own) ? 8 : 0);
}

static const char *type_name(uint32_t type)
{
    return type == IBV_GID_TYPE_ROCE_V2   ? "RoCE v2"
           : type == IBV_GID_TYPE_ROCE_V1 ? "RoCE v1"
                                          : "InfiniBand";
}

// The address of the interface, if `own` does not name it.
static void describe_interface(const struct ibv_gid_entry *entry,
                               const struct sockaddr_storage *own, struct tacit_verbs_facts *facts)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (entry->ndev_ifindex == 0 || if_indextoname(entry->ndev_ifindex, facts->interface) == NULL) {
        facts->interface[0] = '\0';
    }
    if (own != NULL) {
        const void *at = own->ss_family == AF_INET
                             ? (const void *)&((const struct sockaddr_in *)own)->sin_addr
                             : (const void *)&((const struct sockaddr_in6 *)own)->sin6_addr;
        (void)inet_ntop(own->ss_family, at, facts->address, sizeof(facts->address));
    } else if (memcmp(entry->gid.raw, mapped, sizeof(mapped)) == 0) {
        (void)inet_ntop(AF_INET, entry->gid.raw + 12, facts->address, sizeof(facts->address));
    } else if (entry->gid_type != IBV_GID_TYPE_IB) {
        (void)inet_ntop(AF_INET6, entry->gid.raw, facts->address, sizeof(facts->address));
    }
}

// Of the port's GIDs the best, or the one that is asked for; NULL and why. *fitting: how many there
// were to choose from.
static const struct ibv_gid_entry *choose_gid(const struct ibv_gid_entry *entries, ssize_t count,
                                              uint8_t port, const struct sockaddr_storage *own,
                                              const struct tacit_verbs_wishes *wishes,
                                              unsigned *fitting, char why[TACIT_VERBS_WHY_BYTES])
{
    char list[120] = "";
    size_t used = 0;
    unsigned best_rank = 0;
    const struct ibv_gid_entry *best = NULL;
    *fitting = 0;
    for (ssize_t i = 0; i < count; i++) {
        unsigned rank = rank_of(&entries[i], port, own);
        if (rank == 0) {
            continue;
        }
        int wrote = used >= sizeof(list) ? 0
                                         : snprintf(list + used, sizeof(list) - used, "%s%u (%s)",
                                                    used == 0 ? "" : ", ", entries[i].gid_index,
                                                    type_name(entries[i].gid_type));
        used += wrote > 0 ? (size_t)wrote : 0;
        (*fitting)++;
        rank += wishes->has_gid_index && entries[i].gid_index == wishes->gid_index ? 16 : 0;
        if (rank > best_rank) {
            best = &entries[i];
            best_rank = rank;
        }
    }
    if (best == NULL) {
        (void)snprintf(why, TACIT_VERBS_WHY_BYTES, "%s",
                       "none of its GIDs belongs to that address (or it has none): has the network "
                       "interface an address?");
    } else if (wishes->has_gid_index && best->gid_index != wishes->gid_index) {
        (void)snprintf(why, TACIT_VERBS_WHY_BYTES,
                       "the configuration asks for GID %u; those with the address are: %s",
                       wishes->gid_index, list);
        best = NULL;
    }
    return best;
}

// Why that GID, after "is taken as".
static const char *explain_gid(const struct sockaddr_storage *own,
                               const struct tacit_verbs_wishes *wishes, unsigned fitting)
{
    if (wishes->has_gid_index) {
        return "the one that is asked for";
    }
    if (own == NULL) {
        return fitting == 1 ? "the only one of the port"
                            : "the first of the best kind: RoCE v2 before v1, IPv4 before IPv6";
    }
    return fitting == 1 ? "the only one with this address"
                        : "the best of those with this address: that of the interface which has "
                          "it, RoCE v2 before v1";
}

// False, and why: it cannot be used now, whatever the GID.
static bool is_fit(struct ibv_context *device, uint8_t port, struct ibv_port_attr *attr,
                   char why[TACIT_VERBS_WHY_BYTES])
{
    const char *reason = NULL;
    if (device->device->transport_type != IBV_TRANSPORT_IB) {
        reason = "it is no InfiniBand or RoCE device (iWARP queue pairs cannot be replaced while a "
                 "connection stays)";
    } else if (ibv_query_port(device, port, attr) != 0) {
        reason = "it does not tell the state of its port";
    } else if (attr->state == IBV_PORT_DOWN) {
        reason = "its port is down: is the cable in, the interface up?";
    } else if (attr->state != IBV_PORT_ACTIVE) {
        reason = "its port is not active: does a subnet manager run?";
    }
    (void)snprintf(why, TACIT_VERBS_WHY_BYTES, "%s", reason == NULL ? "" : reason);
    return reason == NULL;
}

bool tacit_verbs_place_find(struct ibv_context *device, uint8_t port,
                            const struct sockaddr_storage *own,
                            const struct tacit_verbs_wishes *wishes, struct verbs_place *place,
                            struct tacit_verbs_facts *facts, char why[TACIT_VERBS_WHY_BYTES])
{
    struct ibv_port_attr attr = {.state = IBV_PORT_NOP};
    struct ibv_gid_entry entries[GIDS_MAX];
    unsigned fitting = 0;
    memset(place, 0, sizeof(*place));
    memset(facts, 0, sizeof(*facts));
    if (!is_fit(device, port, &attr, why)) {
        return false;
    }
    ssize_t count = ibv_query_gid_table(device, entries, GIDS_MAX, 0);
    const struct ibv_gid_entry *best = choose_gid(entries, count, port, own, wishes, &fitting, why);
    if (best == NULL) {
        return false;
    }
    *place = (struct verbs_place){.device = device,
                                  .port = port,
                                  .gid_index = (uint8_t)best->gid_index,
                                  .is_global = attr.link_layer == IBV_LINK_LAYER_ETHERNET,
                                  .is_wished = wishes->has_gid_index,
                                  .lid = attr.lid,
                                  .gid = best->gid,
                                  .mtu = attr.active_mtu};
    (void)snprintf(facts->device, sizeof(facts->device), "%s", ibv_get_device_name(device->device));
    (void)snprintf(facts->gid_type, sizeof(facts->gid_type), "%s", type_name(best->gid_type));
    (void)inet_ntop(AF_INET6, best->gid.raw, facts->gid, sizeof(facts->gid));
    describe_interface(best, own, facts);
    (void)snprintf(facts->gid_why, sizeof(facts->gid_why), "%s", explain_gid(own, wishes, fitting));
    facts->port = port;
    facts->gid_index = best->gid_index;
    facts->mtu_bytes = tacit_verbs_mtu_bytes(attr.active_mtu);
    return true;
}
