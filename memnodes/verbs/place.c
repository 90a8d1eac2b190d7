// SPDX-License-Identifier: Apache-2.0
//
// Which port, GID and packet size a node uses. rdma_cm finds the device of an address; the rest is
// read from the device here, for queue pairs that are made by hand and for people.
#include <arpa/inet.h>
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

// Better is larger; 0: does not fit. RoCE v2 is routed and what rdma_cm uses by default; among
// equals an IPv4 address is what people know.
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
    return memcmp(entry->gid.raw, wanted.raw, sizeof(wanted.raw)) == 0 ? rank : 0;
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

bool tacit_verbs_place_find(struct ibv_context *device, uint8_t port,
                            const struct sockaddr_storage *own, struct verbs_place *place,
                            struct tacit_verbs_facts *facts, const char **why)
{
    struct ibv_port_attr attr = {.state = IBV_PORT_NOP};
    struct ibv_gid_entry entries[GIDS_MAX];
    memset(place, 0, sizeof(*place));
    memset(facts, 0, sizeof(*facts));
    if (device->device->transport_type != IBV_TRANSPORT_IB) {
        *why = "it is no InfiniBand or RoCE device (iWARP queue pairs cannot be replaced while a "
               "connection stays)";
        return false;
    }
    if (ibv_query_port(device, port, &attr) != 0) {
        *why = "it does not tell the state of its port";
        return false;
    }
    if (attr.state != IBV_PORT_ACTIVE) {
        *why = attr.state == IBV_PORT_DOWN ? "its port is down: is the cable in, the interface up?"
                                           : "its port is not active: does a subnet manager run?";
        return false;
    }
    ssize_t count = ibv_query_gid_table(device, entries, GIDS_MAX, 0);
    const struct ibv_gid_entry *best = NULL;
    for (ssize_t i = 0; i < count; i++) {
        if (rank_of(&entries[i], port, own) != 0 &&
            (best == NULL || rank_of(&entries[i], port, own) > rank_of(best, port, own))) {
            best = &entries[i];
        }
    }
    if (best == NULL) {
        *why =
            "none of its GIDs belongs to that address (or it has none): has the network interface "
            "an address?";
        return false;
    }
    *place = (struct verbs_place){.device = device,
                                  .port = port,
                                  .gid_index = (uint8_t)best->gid_index,
                                  .is_global = attr.link_layer == IBV_LINK_LAYER_ETHERNET,
                                  .lid = attr.lid,
                                  .gid = best->gid,
                                  .mtu = attr.active_mtu};
    (void)snprintf(facts->device, sizeof(facts->device), "%s", ibv_get_device_name(device->device));
    (void)snprintf(facts->gid_type, sizeof(facts->gid_type), "%s", type_name(best->gid_type));
    (void)inet_ntop(AF_INET6, best->gid.raw, facts->gid, sizeof(facts->gid));
    describe_interface(best, own, facts);
    facts->port = port;
    facts->gid_index = best->gid_index;
    facts->mtu_bytes = tacit_verbs_mtu_bytes(attr.active_mtu);
    return true;
}
