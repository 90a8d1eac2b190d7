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

#include "cli.h"
#include "local.h"

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

bool cli_fabric(const char *text, struct local_plan *plan, char complaint[CLI_COMPLAINT_BYTES])
{
    static const char verbs[] = "verbs:";
    if (strcmp(text, "shm") == 0) {
        plan->fabric = TACIT_CONFIG_SHM;
        return true;
    }
    plan->fabric = TACIT_CONFIG_VERBS;
    if (strncmp(text, verbs, strlen(verbs)) == 0 && strlen(text) > strlen(verbs) &&
        strlen(text) < sizeof plan->host) {
        (void)snprintf(plan->host, sizeof plan->host, "%s", text + strlen(verbs));
        return true;
    }
    if (strcmp(text, "verbs") == 0) {
        if (first_address(plan->host, sizeof plan->host)) {
            return true;
        }
        (void)snprintf(complaint, CLI_COMPLAINT_BYTES,
                       "--fabric verbs: no RDMA device of this machine has an IPv4 address; "
                       "for a software one: rdma link add rxe0 type rxe netdev INTERFACE, or name "
                       "an address with verbs:ADDRESS");
        return false;
    }
    (void)snprintf(complaint, CLI_COMPLAINT_BYTES,
                   "--fabric %.60s: accepted are shm, verbs and verbs:ADDRESS", text);
    return false;
}
