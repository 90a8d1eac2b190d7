// SPDX-License-Identifier: Apache-2.0
//
// What two processes of the shared-memory fabric must agree on: the packets of a connection after
// its handshake, the host page, and how regions are numbered and how large their files are. The
// same for the two kinds of hosts (this provider and the memory node, ../node).
//
// Each side, as a host, OFFERs its regions with their descriptors. A region that the other side is
// to write goes out when it can no longer change its size; the other side maps it and says MAPPED;
// then the host seals it, and only then maps it itself and offers it to readers: so there is never
// more than one writer, and no reader ever has to trust one. END: all that the peer needs is
// offered. When a side has sent END, got END, and has all MAPPED, it is whole. The connecting side
// then says READY and from there on only waits; the accepting side, once whole and with the peer's
// READY, counts the connection as up and answers READY, upon which the connecting side does so too.
// (Up at one side only for as long as that takes, or until the socket hangs up: no time-out of one
// side can leave the other one with a half.) Later, kept regions that come and go are OFFERed and
// RETIREd, and whoever wants to wake a host that asked for it sends a BELL.
#ifndef TACIT_MEMNODES_SHM_PROTOCOL_H
#define TACIT_MEMNODES_SHM_PROTOCOL_H

#include "memory.h"
#include "tacit/layout.h"

// Regions that stay when their writer goes: a LOG or REGISTERS each. A host has one class of them.
#define TACIT_SHM_LOGS TACIT_PAGE_REGIONS_MAX

// The provider's own region of each host, which all its peers read. Offsets in bytes.
#define TACIT_SHM_HOST_GENERATION 0u // the permission pair
#define TACIT_SHM_HOST_HOLDER 8u     // owner word, TACIT_SHM_NOBODY
#define TACIT_SHM_HOST_SLEEPING 64u  // number of the present sleep, 0 while awake
#define TACIT_SHM_HOST_DEATHS 128u   // 8 bytes a watcher: u32 futex word of the robust list
// Memory nodes: of each place for a kept REGISTERS region the owner word of whose it is, 0:
// nobody's. Set before the owner counts as up. Who finds itself without a region that stands here
// waits for it; who does not find it here knows that nothing was written to it before it looked. So
// it need not be trusted that everybody has mapped a region before its owner writes, and no slow or
// faulty peer can hold up an owner.
#define TACIT_SHM_HOST_KEPT 3584u
#define TACIT_SHM_HOST_BYTES 4096u
#define TACIT_SHM_NOBODY ((uint64_t)TACIT_NODE_NONE)
static_assert(TACIT_SHM_HOST_DEATHS + 8u * TACIT_NODES_MAX <= TACIT_SHM_HOST_KEPT &&
                  TACIT_SHM_HOST_KEPT + 8u * TACIT_SHM_LOGS <= TACIT_SHM_HOST_BYTES,
              "host page");

// Regions of one host as one of its peers sees them, by slot.
enum {
    TACIT_SHM_SLOT_HOST = 0,
    TACIT_SHM_SLOT_PAGE,
    TACIT_SHM_SLOT_STATE,
    TACIT_SHM_SLOT_CONTROL,
    TACIT_SHM_SLOT_REQUESTS,
    TACIT_SHM_SLOT_REPLIES,
    TACIT_SHM_SLOT_LOG, // the kept regions: this and TACIT_SHM_LOGS - 1 more
    TACIT_SHM_SLOTS = TACIT_SHM_SLOT_LOG + TACIT_SHM_LOGS,
};
static_assert(TACIT_SHM_SLOTS <= 64, "sets of slots are 64-bit words");

enum tacit_shm_packet_kind {
    TACIT_SHM_OFFER = 1,
    TACIT_SHM_MAPPED,
    TACIT_SHM_END, // slot: not 0 if the sender, as a host, wants its bell on this connection
    TACIT_SHM_READY,
    TACIT_SHM_RETIRE,
    TACIT_SHM_BELL,
};

struct tacit_shm_packet {
    uint8_t kind;
    uint8_t slot;
    uint16_t node; // OFFER of a kept region: owner; END: what the peer is called here
    uint32_t incarnation;
    uint64_t bytes; // OFFER: of the file
};
static_assert(sizeof(struct tacit_shm_packet) == 16, "no padding");

// Where, in a region that a peer always writes, its bell is; the file ends with that line.
static inline size_t tacit_shm_bell_offset(size_t region_bytes)
{
    return (region_bytes + TACIT_CACHE_LINE - 1) & ~(size_t)(TACIT_CACHE_LINE - 1);
}
static inline size_t tacit_shm_bell_file_bytes(size_t region_bytes)
{
    return tacit_shm_file_bytes(tacit_shm_bell_offset(region_bytes) + TACIT_CACHE_LINE);
}

// The fences that the contract rests on. Stress tests take them out to see that they would notice.
#ifdef TACIT_TEST_NO_FENCE
#define TACIT_SHM_FULL_FENCE() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#else
#define TACIT_SHM_FULL_FENCE() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif

#ifdef TACIT_TEST_HOOKS
extern bool tacit_shm_test_timed_out; // the host's last sleep ended because its time was over
#endif

// ---- permission ----
//
// A write counts only if its writer, after its stores and a full fence, still finds itself in the
// pair. The host stores the pair, then makes a full fence. One of the two fences comes first: if
// the writer's, the host and everybody whom it tells see all of the write; if the host's, the
// writer sees the new pair and the write is DENIED. The order of the two stores makes sure that no
// mixture of an old and a new pair names a holder together with a generation that was never its
// own.

// `holder`: tacit_owner_word. Nobody held before.
// NOLINTNEXTLINE(readability-non-const-parameter): the atomic stores go through it
static inline void tacit_shm_pair_grant(uint64_t *host, uint64_t generation, uint64_t holder)
{
    __atomic_store_n(&host[TACIT_SHM_HOST_GENERATION / 8], generation, __ATOMIC_RELEASE);
    __atomic_store_n(&host[TACIT_SHM_HOST_HOLDER / 8], holder, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
// NOLINTNEXTLINE(readability-non-const-parameter)
static inline void tacit_shm_pair_revoke(uint64_t *host, uint64_t generation)
{
    __atomic_store_n(&host[TACIT_SHM_HOST_HOLDER / 8], TACIT_SHM_NOBODY, __ATOMIC_RELEASE);
    __atomic_store_n(&host[TACIT_SHM_HOST_GENERATION / 8], generation, __ATOMIC_RELEASE);
    TACIT_SHM_FULL_FENCE();
}

#endif
