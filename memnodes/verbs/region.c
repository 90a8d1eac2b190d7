// SPDX-License-Identifier: Apache-2.0
//
// Regions: those of this host, with a registration for each peer and plane that grants exactly what
// the access table says (contract 10 and `struct tacit_host_layout`), and the directory of those
// that other hosts have told this process about.
//
// CONTROL, REQUESTS and REPLIES regions keep their memory when their writer comes anew: it is
// zeroed after the old writer has lost its registration and before the new one gets any. A LOG
// region is memory of its own for each incarnation, freed after every peer has said that it uses it
// no more, or has had its time.
#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

static size_t class_bytes(const struct tacit_host_layout *layout, uint8_t region_class)
{
    switch (region_class) {
    case TACIT_REGION_PAGE:
        return layout->page_bytes;
    case TACIT_REGION_CONTROL:
        return layout->control_bytes;
    case TACIT_REGION_LOG:
        return layout->log_bytes;
    case TACIT_REGION_REQUESTS:
        return layout->requests_bytes;
    case TACIT_REGION_REPLIES:
        return layout->replies_bytes;
    case TACIT_REGION_STATE:
        return layout->state_bytes;
    case TACIT_REGION_REGISTERS:
        return layout->registers_bytes;
    default:
        return 0;
    }
}

// There is one PAGE and one STATE, whatever the key says.
static bool is_named(const struct tacit_region_key *region, const struct tacit_region_key *key)
{
    if (region->region_class != key->region_class) {
        return false;
    }
    if (key->region_class == TACIT_REGION_PAGE || key->region_class == TACIT_REGION_STATE) {
        return true;
    }
    return region->owner == key->owner && region->incarnation == key->incarnation;
}

// Places `key` in the table; -1: no room or no memory. Under no lock: only the control thread adds.
static int region_make(struct tacit_verbs *v, struct tacit_region_key key)
{
    size_t bytes = class_bytes(&v->layout, key.region_class);
    for (unsigned i = 0; i < TACIT_VERBS_OWN_REGIONS; i++) {
        struct verbs_region *region = &v->regions[i];
        if (region->used) {
            continue;
        }
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        size_t mapped = (bytes + page - 1) / page * page;
        void *base = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (base == MAP_FAILED) {
            return -1;
        }
        // A child would share registered pages until one of both writes them, and one would lose
        // them.
        (void)madvise(base, mapped, MADV_DONTFORK);
        (void)pthread_mutex_lock(&v->regions_lock);
        *region = (struct verbs_region){.used = true,
                                        .key = key,
                                        .base = base,
                                        .bytes = bytes,
                                        .mapped_bytes = mapped,
                                        .use = region->use,
                                        .birth = ++v->births};
        (void)pthread_mutex_unlock(&v->regions_lock);
        return (int)i;
    }
    return -1;
}

// A look at a place of the table; `retired` is set by the other thread.
static struct verbs_region region_look(struct tacit_verbs *v, unsigned index)
{
    (void)pthread_mutex_lock(&v->regions_lock);
    struct verbs_region region = v->regions[index];
    (void)pthread_mutex_unlock(&v->regions_lock);
    return region;
}

static int region_find(const struct tacit_verbs *v, uint8_t region_class, tacit_node_t owner)
{
    for (unsigned i = 0; i < TACIT_VERBS_OWN_REGIONS; i++) {
        const struct verbs_region *region = &v->regions[i];
        if (region->used && region->key.region_class == region_class &&
            region->key.owner == owner) {
            return (int)i;
        }
    }
    return -1;
}

enum tacit_status tacit_verbs_regions_open(struct tacit_verbs *v, struct tacit_error *error)
{
    static const uint8_t classes[] = {TACIT_REGION_PAGE, TACIT_REGION_STATE, TACIT_REGION_CONTROL,
                                      TACIT_REGION_LOG, TACIT_REGION_REGISTERS};
    for (unsigned i = 0; i < sizeof(classes); i++) {
        bool replicas = classes[i] != TACIT_REGION_PAGE && classes[i] != TACIT_REGION_STATE;
        size_t bytes = class_bytes(&v->layout, classes[i]);
        struct tacit_region_key key = {classes[i], v->base.self, v->base.incarnation};
        if (bytes == 0 || (replicas && v->config.kind != TACIT_VERBS_REPLICA)) {
            continue;
        }
        if (region_make(v, key) < 0) {
            return tacit_error_set(error, TACIT_ENOMEM, 0, "No memory for a region of %zu bytes.",
                                   bytes);
        }
    }
    v->bells = mmap(NULL, sizeof(*v->bells) * TACIT_NODES_MAX, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (v->bells == MAP_FAILED) {
        v->bells = NULL;
        return tacit_error_set(error, TACIT_ENOMEM, 0, "No memory for doorbells.");
    }
    (void)madvise(v->bells, sizeof(*v->bells) * TACIT_NODES_MAX, MADV_DONTFORK);
    return TACIT_OK;
}

void tacit_verbs_regions_close(struct tacit_verbs *v)
{
    for (unsigned i = 0; i < TACIT_VERBS_OWN_REGIONS; i++) {
        if (v->regions[i].used) {
            (void)munmap(v->regions[i].base, v->regions[i].mapped_bytes);
        }
    }
    if (v->bells != NULL) {
        (void)munmap(v->bells, sizeof(*v->bells) * TACIT_NODES_MAX);
    }
}

// ---- registration
// -----------------------------------------------------------------------------------

// What the peer of `link` may do with an own region on a plane; -1: it has no business with it.
static int rights(const struct verbs_region *region, const struct verbs_link *link, unsigned plane)
{
    const int reads = IBV_ACCESS_REMOTE_READ;
    const int writes = reads | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_LOCAL_WRITE;
    bool is_owner = region->key.owner == link->node && region->key.incarnation == link->incarnation;
    bool is_replica = link->kind == TACIT_VERBS_REPLICA;
    switch (region->key.region_class) {
    case TACIT_REGION_PAGE:
    case TACIT_REGION_STATE:
        return is_replica ? reads : -1;
    case TACIT_REGION_CONTROL:
        return is_replica && is_owner ? writes : -1;
    case TACIT_REGION_REGISTERS:
        return !is_replica ? -1 : is_owner ? writes : reads;
    case TACIT_REGION_LOG:
        return !is_replica ? -1 : is_owner && plane == TACIT_PLANE_DATA ? writes : reads;
    case TACIT_REGION_REQUESTS:
        return link->kind == TACIT_VERBS_CLIENT && is_owner ? writes : -1;
    case TACIT_REGION_REPLIES:
        return is_replica && is_owner ? writes : -1;
    default:
        return -1;
    }
}

// Registers an own region for the peer of `link`, as far as the peer may use it. False: refused.
static bool register_one(struct tacit_verbs *v, struct verbs_link *link, unsigned index)
{
    const struct verbs_region *region = &v->regions[index];
    for (unsigned p = 0; p < TACIT_PLANES; p++) {
        struct verbs_host_plane *host = &link->host[p];
        int access = rights(region, link, p);
        if (access < 0 || host->mr[index] != NULL) {
            continue;
        }
        host->mr[index] = ibv_reg_mr(host->pd, region->base, region->bytes, (unsigned)access);
        if (host->mr[index] == NULL) {
            return false;
        }
    }
    return true;
}

static void unregister_one(struct verbs_link *link, unsigned index)
{
    for (unsigned p = 0; p < TACIT_PLANES; p++) {
        struct verbs_host_plane *host = &link->host[p];
        if (host->mr[index] != NULL) {
            (void)ibv_dereg_mr(host->mr[index]);
            host->mr[index] = NULL;
        }
    }
    link->gone_waiting[index] = false;
}

void tacit_verbs_regions_unregister(struct verbs_link *link)
{
    for (unsigned i = 0; i < TACIT_VERBS_OWN_REGIONS; i++) {
        unregister_one(link, i);
    }
}

static bool tell(struct tacit_verbs *v, struct verbs_link *link, struct verbs_message *message)
{
    link->told++;
    link->told_ns = tacit_verbs_now_ns();
    return tacit_verbs_send(v, link->connection, message);
}

bool tacit_verbs_regions_announce(struct tacit_verbs *v, struct verbs_link *link, unsigned only)
{
    struct verbs_message message = {.type = TACIT_VERBS_REGIONS};
    for (unsigned i = 0; i < TACIT_VERBS_OWN_REGIONS; i++) {
        const struct verbs_region looked = region_look(v, i);
        const struct verbs_region *region = &looked;
        if (!region->used || region->retired || (only != UINT32_MAX && i != only)) {
            continue;
        }
        if (!register_one(v, link, i)) {
            return false;
        }
        if (link->host[0].mr[i] == NULL) {
            continue;
        }
        struct verbs_region_entry *entry = &message.regions.entry[message.regions.count++];
        *entry = (struct verbs_region_entry){
            .region_class = region->key.region_class,
            .is_receivers =
                region->key.owner == link->node && region->key.incarnation == link->incarnation,
            .owner = region->key.owner,
            .incarnation = region->key.incarnation,
            .index = (uint16_t)i,
            .bytes = region->bytes,
            .address = (uintptr_t)region->base,
            .rkey = {link->host[0].mr[i]->rkey, link->host[1].mr[i]->rkey},
        };
        if (message.regions.count == TACIT_VERBS_MESSAGE_REGIONS) {
            if (!tell(v, link, &message)) {
                return false;
            }
            message.regions.count = 0;
        }
    }
    return message.regions.count == 0 || tell(v, link, &message);
}

// ---- regions that peers write
// -----------------------------------------------------------------------

// A region whose memory serves one writer after the other.
static bool region_renew(struct tacit_verbs *v, struct verbs_link *link, uint8_t region_class,
                         bool always)
{
    struct tacit_region_key key = {region_class, link->node, link->incarnation};
    if (class_bytes(&v->layout, region_class) == 0) {
        return true;
    }
    int index = region_find(v, region_class, link->node);
    if (index < 0) {
        return region_make(v, key) >= 0;
    }
    struct verbs_region *region = &v->regions[index];
    (void)pthread_mutex_lock(&v->regions_lock);
    if (always || region->key.incarnation != link->incarnation) {
        memset(region->base, 0, region->bytes);
        region->key = key;
    }
    (void)pthread_mutex_unlock(&v->regions_lock);
    return true;
}

// Whether a region is of that body: a founder has a seat of its own, a spare any.
static bool is_of_body(const struct tacit_region_key *key, const struct verbs_link *link)
{
    uint32_t body = tacit_incarnation_body(link->incarnation);
    return tacit_incarnation_body(key->incarnation) == body &&
           (body != 0 || key->owner == link->node);
}

// REGISTERS of a body's lives before the last ones go, so that one that comes back for ever takes
// nobody's room. (Of a body, not of a seat: who would like to sit there takes nothing from who
// does.)
static void forget_lives(struct tacit_verbs *v, const struct verbs_link *link)
{
    uint64_t births[TACIT_VERBS_LIVES] = {0}; // of the newest, oldest first
    for (unsigned i = 0; i < TACIT_VERBS_OWN_REGIONS; i++) {
        const struct verbs_region region = region_look(v, i);
        if (region.used && !region.retired && is_of_body(&region.key, link) &&
            region.key.region_class == TACIT_REGION_REGISTERS && region.birth > births[0]) {
            bool newest = region.birth > births[1];
            births[0] = newest ? births[1] : region.birth;
            births[1] = newest ? region.birth : births[1];
        }
    }
    static_assert(TACIT_VERBS_LIVES == 2, "two places");
    for (unsigned i = 0; i < TACIT_VERBS_OWN_REGIONS; i++) {
        const struct verbs_region region = region_look(v, i);
        if (region.used && !region.retired && is_of_body(&region.key, link) &&
            region.key.region_class == TACIT_REGION_REGISTERS && region.birth < births[0]) {
            (void)pthread_mutex_lock(&v->regions_lock);
            v->regions[i].retired = true;
            (void)pthread_mutex_unlock(&v->regions_lock);
            tacit_verbs_regions_retire(v, i);
        }
    }
}

// A region of memory of its own for each life of its writer, which all may read: LOG, REGISTERS.
static bool kept_make(struct tacit_verbs *v, struct verbs_link *link, uint8_t region_class)
{
    struct tacit_region_key key = {region_class, link->node, link->incarnation};
    unsigned kept = 0;
    if (class_bytes(&v->layout, region_class) == 0) {
        return true;
    }
    for (unsigned i = 0; i < TACIT_VERBS_OWN_REGIONS; i++) {
        const struct verbs_region region = region_look(v, i);
        if (region.used && !region.retired && is_named(&region.key, &key)) {
            return true;
        }
        kept += region.used && region.key.region_class == region_class;
    }
    int index = kept < TACIT_PAGE_REGIONS_MAX ? region_make(v, key) : -1;
    if (index < 0) {
        return false;
    }
    atomic_store(&v->regions_news, true);
    for (tacit_node_t node = 0; node < TACIT_NODES_MAX; node++) {
        struct verbs_link *other = tacit_verbs_link(v, node);
        if (other != NULL && other != link && other->connection != NULL && other->announced &&
            other->is_reached && !tacit_verbs_regions_announce(v, other, (unsigned)index)) {
            tacit_verbs_connection_end(v, other->connection);
        }
    }
    if (region_class == TACIT_REGION_REGISTERS) {
        forget_lives(v, link);
    }
    return true;
}

bool tacit_verbs_regions_for(struct tacit_verbs *v, const struct verbs_link *link)
{
    struct verbs_link *peer = tacit_verbs_link(v, link->node);
    if (link->kind == TACIT_VERBS_CLIENT) {
        return region_renew(v, peer, TACIT_REGION_REQUESTS, true);
    }
    if (v->config.kind == TACIT_VERBS_CLIENT) {
        return region_renew(v, peer, TACIT_REGION_REPLIES, true);
    }
    return region_renew(v, peer, TACIT_REGION_CONTROL, false) &&
           kept_make(v, peer, TACIT_REGION_LOG) && kept_make(v, peer, TACIT_REGION_REGISTERS);
}

// ---- retiring
// ---------------------------------------------------------------------------------------

void tacit_verbs_retire(struct tacit_fabric *fabric, struct tacit_region_key key)
{
    struct tacit_verbs *v = tacit_verbs_of(fabric);
    struct verbs_command command = {.kind = TACIT_VERBS_COMMAND_RETIRE};
    bool found = false;
    assert(key.region_class == TACIT_REGION_LOG);
    (void)pthread_mutex_lock(&v->regions_lock);
    for (unsigned i = 0; i < TACIT_VERBS_OWN_REGIONS; i++) {
        struct verbs_region *region = &v->regions[i];
        if (region->used && !region->retired && is_named(&region->key, &key)) {
            region->retired = true;
            region->gone_deadline_ns = UINT64_MAX;
            command.region = i;
            found = true;
        }
    }
    (void)pthread_mutex_unlock(&v->regions_lock);
    if (found) {
        atomic_store(&v->regions_news, true);
        tacit_verbs_command(v, &command);
    }
}

void tacit_verbs_regions_retire(struct tacit_verbs *v, unsigned index)
{
    struct verbs_message message = {.type = TACIT_VERBS_GONE, .index = (uint16_t)index};
    (void)pthread_mutex_lock(&v->regions_lock);
    v->regions[index].gone_deadline_ns = tacit_verbs_now_ns() + TACIT_VERBS_GONE_TIMEOUT_NS;
    (void)pthread_mutex_unlock(&v->regions_lock);
    for (tacit_node_t node = 0; node < TACIT_NODES_MAX; node++) {
        struct verbs_link *link = tacit_verbs_link(v, node);
        if (link == NULL || link->connection == NULL || link->host[0].mr[index] == NULL) {
            continue;
        }
        link->gone_waiting[index] = true;
        if (!tacit_verbs_send(v, link->connection, &message)) {
            tacit_verbs_connection_end(v, link->connection);
        }
    }
}

// Frees a retired region when no peer uses it any more, or when those that do had time to stop.
static void free_retired(struct tacit_verbs *v, unsigned index)
{
    struct verbs_region *region = &v->regions[index];
    for (tacit_node_t node = 0; node < TACIT_NODES_MAX; node++) {
        const struct verbs_link *link = tacit_verbs_link(v, node);
        if (link != NULL && link->connection != NULL && link->gone_waiting[index] &&
            tacit_verbs_now_ns() < region->gone_deadline_ns) {
            return;
        }
    }
    for (tacit_node_t node = 0; node < TACIT_NODES_MAX; node++) {
        struct verbs_link *link = tacit_verbs_link(v, node);
        if (link != NULL) {
            unregister_one(link, index);
        }
    }
    (void)munmap(region->base, region->mapped_bytes);
    (void)pthread_mutex_lock(&v->regions_lock);
    *region = (struct verbs_region){.use = region->use + 1};
    (void)pthread_mutex_unlock(&v->regions_lock);
}

void tacit_verbs_regions_tick(struct tacit_verbs *v)
{
    for (unsigned i = 0; i < TACIT_VERBS_OWN_REGIONS; i++) {
        const struct verbs_region region = region_look(v, i);
        if (region.used && region.retired && region.gone_deadline_ns != UINT64_MAX) {
            free_retired(v, i);
        }
    }
}

// ---- regions of other hosts
// -------------------------------------------------------------------------

// The place of REGISTERS that were asked for and are told of only now, so that their handle stays.
static struct verbs_entry *expected_place(struct verbs_link *link,
                                          const struct verbs_region_entry *entry)
{
    for (unsigned i = 0; i < TACIT_VERBS_DIRECTORY; i++) {
        struct verbs_entry *place = &link->directory[i];
        if (place->used && place->expected && entry->region_class == TACIT_REGION_REGISTERS &&
            place->entry.owner == entry->owner && place->entry.incarnation == entry->incarnation) {
            return place;
        }
    }
    return NULL;
}

static struct verbs_entry *directory_place(struct verbs_link *link,
                                           const struct verbs_region_entry *entry, bool expected)
{
    struct verbs_entry *place = expected_place(link, entry);
    for (unsigned i = 0; i < TACIT_VERBS_DIRECTORY && place == NULL; i++) {
        place = link->directory[i].used ? NULL : &link->directory[i];
    }
    if (place != NULL) {
        *place = (struct verbs_entry){
            .used = true, .expected = expected, .entry = *entry, .use = place->use};
    }
    return place;
}

bool tacit_verbs_directory_add(struct tacit_verbs *v, struct verbs_link *link,
                               const struct verbs_regions *regions)
{
    bool fine = true;
    (void)pthread_mutex_lock(&link->directory_lock);
    for (uint32_t i = 0; i < regions->count && fine; i++) {
        const struct verbs_region_entry *entry = &regions->entry[i];
        size_t expected = class_bytes(&v->config.layouts[link->kind], entry->region_class);
        fine = expected != 0 && entry->bytes == expected &&
               directory_place(link, entry, false) != NULL;
    }
    (void)pthread_mutex_unlock(&link->directory_lock);
    if (link->was_up) {
        atomic_store(&link->regions_news, true);
        tacit_verbs_wake_sleeper(v);
    }
    return fine;
}

void tacit_verbs_directory_gone(struct verbs_link *link, uint16_t index)
{
    (void)pthread_mutex_lock(&link->lock);
    (void)pthread_mutex_lock(&link->directory_lock);
    for (unsigned i = 0; i < TACIT_VERBS_DIRECTORY; i++) {
        struct verbs_entry *entry = &link->directory[i];
        if (entry->used && !entry->expected && entry->entry.index == index && !entry->gone) {
            entry->gone = true;
            for (unsigned p = 0; p < TACIT_PLANES; p++) {
                entry->gone_after[p] = link->plane[p].next;
            }
            atomic_store(&link->regions_news, true);
        }
    }
    (void)pthread_mutex_unlock(&link->directory_lock);
    (void)pthread_mutex_unlock(&link->lock);
}

// Tells the host about regions that it has retired and that no operation is about any more.
bool tacit_verbs_directory_tick(struct tacit_verbs *v, struct verbs_link *link)
{
    bool fine = true;
    for (unsigned i = 0; i < TACIT_VERBS_DIRECTORY && fine; i++) {
        struct verbs_entry *entry = &link->directory[i];
        struct verbs_message message = {.type = TACIT_VERBS_GONE_ACK};
        (void)pthread_mutex_lock(&link->directory_lock);
        bool gone = entry->used && entry->gone; // only this thread changes that
        (void)pthread_mutex_unlock(&link->directory_lock);
        if (!gone) {
            continue;
        }
        (void)pthread_mutex_lock(&link->lock);
        (void)pthread_mutex_lock(&link->directory_lock);
        bool done = true;
        for (unsigned p = 0; p < TACIT_PLANES && done; p++) {
            if (link->plane[p].cq != NULL) {
                tacit_verbs_plane_flush(v, &link->plane[p]);
                tacit_verbs_harvest(v, &link->plane[p]);
            }
            done = (int32_t)(link->plane[p].ended - entry->gone_after[p]) >= 0;
        }
        if (done) {
            message.index = entry->entry.index;
            *entry = (struct verbs_entry){.use = entry->use + 1};
        }
        (void)pthread_mutex_unlock(&link->directory_lock);
        (void)pthread_mutex_unlock(&link->lock);
        fine = !done || tacit_verbs_send(v, link->connection, &message);
    }
    return fine;
}

// ---- for the protocol thread
// ------------------------------------------------------------------------

// Regions that others write here are read by local loads, and found by nobody, but for logs.
static bool is_open(const struct tacit_verbs *v, const struct tacit_region_key *key)
{
    return key->region_class == TACIT_REGION_LOG || key->region_class == TACIT_REGION_REGISTERS ||
           key->owner == v->base.self;
}

static int32_t own_handle(struct tacit_verbs *v, struct tacit_region_key key)
{
    int32_t handle = -1;
    if (key.owner == TACIT_NODE_SELF) {
        key.owner = v->base.self;
        key.incarnation = v->base.incarnation;
    }
    (void)pthread_mutex_lock(&v->regions_lock);
    for (unsigned i = 0; i < TACIT_VERBS_OWN_REGIONS; i++) {
        const struct verbs_region *region = &v->regions[i];
        if (region->used && !region->retired && is_named(&region->key, &key) &&
            is_open(v, &region->key)) {
            handle = (int32_t)(region->use % 65536 * 256 + i);
        }
    }
    (void)pthread_mutex_unlock(&v->regions_lock);
    return handle;
}

// REGISTERS that this process was not told of get a place, too: whoever reads them reads zeros,
// once the host has answered a read of something else, which it does only while it waits for this
// process before it lets their owner write (link.c). Nobody could tell that from a region that is
// there and empty. Of one owner the life that was asked for last has such a place; an owner's
// earlier one is given up, and what still uses it is denied.
static int32_t expect(const struct tacit_verbs *v, struct verbs_link *link,
                      struct tacit_region_key key)
{
    struct verbs_region_entry entry = {.region_class = key.region_class,
                                       .owner = key.owner,
                                       .incarnation = key.incarnation,
                                       .bytes = v->config.layouts[link->kind].registers_bytes};
    for (unsigned i = 0; i < TACIT_VERBS_DIRECTORY; i++) {
        struct verbs_entry *place = &link->directory[i];
        if (place->used && place->expected && place->entry.owner == key.owner) {
            *place = (struct verbs_entry){.use = place->use + 1};
        }
    }
    const struct verbs_entry *place = directory_place(link, &entry, true);
    return place == NULL ? TACIT_REGION_COMING
                         : (int32_t)(place->use % 65536 * 256 + (place - link->directory));
}

bool tacit_verbs_directory_own(struct verbs_link *link, struct verbs_region_entry *own)
{
    bool found = false;
    (void)pthread_mutex_lock(&link->directory_lock);
    for (unsigned i = 0; i < TACIT_VERBS_DIRECTORY && !found; i++) {
        const struct verbs_entry *entry = &link->directory[i];
        found = entry->used && !entry->gone && entry->entry.is_receivers &&
                entry->entry.region_class == TACIT_REGION_REGISTERS;
        *own = entry->entry;
    }
    (void)pthread_mutex_unlock(&link->directory_lock);
    return found;
}

int32_t tacit_verbs_region(struct tacit_fabric *fabric, tacit_node_t host,
                           struct tacit_region_key key)
{
    struct tacit_verbs *v = tacit_verbs_of(fabric);
    if (host == fabric->self) {
        return own_handle(v, key);
    }
    struct verbs_link *link = tacit_verbs_link(v, host);
    int32_t handle = -1;
    if (link == NULL || atomic_load(&link->state) != TACIT_VERBS_LINK_UP) {
        return -1;
    }
    (void)pthread_mutex_lock(&link->directory_lock);
    for (unsigned i = 0; i < TACIT_VERBS_DIRECTORY; i++) {
        const struct verbs_entry *entry = &link->directory[i];
        struct tacit_region_key told = {entry->entry.region_class, entry->entry.owner,
                                        entry->entry.incarnation};
        bool named = key.owner == TACIT_NODE_SELF
                         ? entry->entry.is_receivers && told.region_class == key.region_class
                         : is_named(&told, &key);
        if (entry->used && !entry->gone && named) {
            handle = (int32_t)(entry->use % 65536 * 256 + i);
        }
    }
    if (handle < 0 && key.region_class == TACIT_REGION_REGISTERS && key.owner != TACIT_NODE_SELF &&
        v->config.layouts[link->kind].registers_bytes != 0) {
        handle = expect(v, link, key);
    }
    (void)pthread_mutex_unlock(&link->directory_lock);
    return handle;
}

void *tacit_verbs_local(struct tacit_fabric *fabric, struct tacit_region_key key, size_t *bytes)
{
    struct tacit_verbs *v = tacit_verbs_of(fabric);
    void *base = NULL;
    if (key.owner == TACIT_NODE_SELF) {
        key.owner = fabric->self;
        key.incarnation = fabric->incarnation;
    }
    if (key.region_class == TACIT_REGION_REQUESTS || key.region_class == TACIT_REGION_REPLIES) {
        const struct verbs_link *link = tacit_verbs_link(v, key.owner);
        if (link == NULL || atomic_load(&link->state) != TACIT_VERBS_LINK_UP) {
            return NULL;
        }
    }
    (void)pthread_mutex_lock(&v->regions_lock);
    for (unsigned i = 0; i < TACIT_VERBS_OWN_REGIONS; i++) {
        const struct verbs_region *region = &v->regions[i];
        if (region->used && !region->retired && is_named(&region->key, &key)) {
            base = region->base;
            if (bytes != NULL) {
                *bytes = region->bytes;
            }
        }
    }
    (void)pthread_mutex_unlock(&v->regions_lock);
    return base;
}

size_t tacit_verbs_log_regions(struct tacit_fabric *fabric, struct tacit_region_key *keys,
                               size_t max)
{
    struct tacit_verbs *v = tacit_verbs_of(fabric);
    size_t count = 0;
    uint64_t after = 0;
    (void)pthread_mutex_lock(&v->regions_lock);
    while (count < max) {
        const struct verbs_region *next = NULL;
        for (unsigned i = 0; i < TACIT_VERBS_OWN_REGIONS; i++) {
            const struct verbs_region *region = &v->regions[i];
            if (region->used && !region->retired && region->key.region_class == TACIT_REGION_LOG &&
                region->birth > after && (next == NULL || region->birth < next->birth)) {
                next = region;
            }
        }
        if (next == NULL) {
            break;
        }
        keys[count++] = next->key;
        after = next->birth;
    }
    (void)pthread_mutex_unlock(&v->regions_lock);
    return count;
}
