// SPDX-License-Identifier: Apache-2.0
//
// The option --fabric of commands that make a cluster on this machine.
#include <glob.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "local.h"
#include "options.h"

// The network interface behind the first port of an RDMA device, from a file such as
// /sys/class/infiniband/rxe0/ports/1/gid_attrs/ndevs/0.
static bool interface_of(const char *path, char name[IF_NAMESIZE])
{
    FILE *file = fopen(path, "re");
    bool read = file != NULL && fgets(name, IF_NAMESIZE, file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    if (read) {
        name[strcspn(name, "\n")] = '\0';
    }
    return read;
}

static bool address_of(const char *name, char *out, size_t out_bytes)
{
    struct ifaddrs *all = NULL;
    bool found = false;
    if (getifaddrs(&all) != 0) {
        return false;
    }
    for (const struct ifaddrs *one = all; one != NULL && !found; one = one->ifa_next) {
        found = one->ifa_addr != NULL && one->ifa_addr->sa_family == AF_INET &&
                strcmp(one->ifa_name, name) == 0 &&
                getnameinfo(one->ifa_addr, sizeof(struct sockaddr_in), out, (socklen_t)out_bytes,
                            NULL, 0, NI_NUMERICHOST) == 0;
    }
    freeifaddrs(all);
    return found;
}

// The first IPv4 address of an RDMA device.
static bool first_address(char *out, size_t out_bytes)
{
    glob_t paths;
    char name[IF_NAMESIZE];
    bool found = false;
    if (glob("/sys/class/infiniband/*/ports/1/gid_attrs/ndevs/0", 0, NULL, &paths) != 0) {
        return false;
    }
    for (size_t i = 0; i < paths.gl_pathc && !found; i++) {
        found = interface_of(paths.gl_pathv[i], name) && address_of(name, out, out_bytes);
    }
    globfree(&paths);
    return found;
}

void cli_option_fabric(struct argp_state *state, const char *value, struct local_plan *plan)
{
    static const char verbs[] = "verbs:";
    const size_t prefix = strlen(verbs);
    if (strcmp(value, "shm") == 0) {
        plan->fabric = TACIT_CONFIG_SHM;
        return;
    }
    plan->fabric = TACIT_CONFIG_VERBS;
    if (strncmp(value, verbs, prefix) == 0 && value[prefix] != '\0' &&
        strlen(value + prefix) < sizeof plan->host) {
        (void)snprintf(plan->host, sizeof plan->host, "%s", value + prefix);
    } else if (strcmp(value, "verbs") != 0) {
        argp_error(state, "--fabric %s: accepted are shm, verbs and verbs:ADDRESS", value);
    } else if (!first_address(plan->host, sizeof plan->host)) {
        argp_error(state,
                   "--fabric verbs: no RDMA device of this machine has an IPv4 address; for a "
                   "software one: rdma link add rxe0 type rxe netdev INTERFACE, or name an address "
                   "with verbs:ADDRESS");
    }
}
