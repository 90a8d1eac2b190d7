// SPDX-License-Identifier: Apache-2.0
//
// Replicated registers: single writer, many readers, regular, over 2fm+1 memory nodes that may
// crash but do not lie (uBFT section 5.2; "Frugal Byzantine Computing", DISC 2021). Each replica
// owns an array of them in its REGISTERS region at every memory node.
//
// A register at a node is two sub-slots {u64 check, u64 sequence, value}, written in turn. The
// cool-down between two writes runs per register *and node*, from the completion of the previous
// write there (after LOST: from the re-established connection); a node that is behind skips to the
// newest value. So a read shorter than the cool-down finds at least one whole sub-slot of a correct
// owner; a longer one that met a torn sub-slot is repeated; both torn in a short read means a
// faulty owner and is EMPTY, which is never evidence against anybody. A write is done at a majority
// of the memory nodes, a read takes the newest of a majority. The only timing assumption is a
// bounded clock *rate*. How long a read took is judged by times that certainly lie before its post
// and after its completion: the time of the turn that posts it, and that of a turn after the one
// that found its completion (a turn's time is taken before it polls).
#ifndef TACIT_BYZANTINE_REGISTERS_H
#define TACIT_BYZANTINE_REGISTERS_H

#include "../base/mark.h"
#include "../base/words.h"
#include "payload.h"
#include "tacit/fabric.h"

// epoch u64 | k u64 | payload 56 | signature 64
#define TACIT_REGISTER_VALUE_BYTES 136u
#define TACIT_REGISTER_SLOT_BYTES (16u + TACIT_REGISTER_VALUE_BYTES)
#define TACIT_REGISTER_BYTES (2u * TACIT_REGISTER_SLOT_BYTES)

struct tacit_registers_config {
    uint8_t replicas;
    uint8_t memnodes;
    tacit_node_t self;
    uint32_t registers; // of each owner
    uint32_t reads;     // at a time, whole registers (each from all nodes)
    tacit_time_ns_t cooldown_ns;
    tacit_time_ns_t patience_ns; // a node that does not answer is reset after this
};

struct tacit_registers_calls {
    void *context;
    // The write of `ticket` (or of a newer one to the same register) is done at a majority.
    void (*written)(void *context, uint32_t index, uint64_t ticket);
    // A read ended: the newest value of a majority, or NULL (EMPTY).
    void (*was_read)(void *context, uint64_t ticket, const uint8_t *value);
};

struct tacit_registers; // registers.c; caller's memory

size_t tacit_registers_region_bytes(const struct tacit_registers_config *config);
struct tacit_registers *tacit_registers_init(struct tacit_bump *bump,
                                             const struct tacit_registers_config *config,
                                             struct tacit_fabric *fabric,
                                             const struct tacit_registers_calls *calls,
                                             struct tacit_marker marker);
void tacit_registers_event(struct tacit_registers *registers, const struct tacit_event *event,
                           tacit_time_ns_t now_ns);
// Counts the memory node in this incarnation only (0: not at all); at start, and by epochs. A node
// that came back empty under a larger incarnation counts for nothing.
void tacit_registers_accept(struct tacit_registers *registers, tacit_node_t memnode,
                            tacit_incarnation_t incarnation);
// Whose region of which incarnation holds a replica's registers.
void tacit_registers_owner(struct tacit_registers *registers, tacit_node_t replica,
                           tacit_incarnation_t incarnation);
// Writes an own register; a write to it that is under way is superseded. Tickets are the caller's
// and grow. Never fails: without a majority it waits.
void tacit_registers_write(struct tacit_registers *registers, uint32_t index, const void *value,
                           uint64_t ticket, tacit_time_ns_t now_ns);
// Reads a register of `owner`. False: too many reads at a time, try again later.
bool tacit_registers_read(struct tacit_registers *registers, tacit_node_t owner, uint32_t index,
                          uint64_t ticket, tacit_time_ns_t now_ns);
// Forgets reads and writes under way (new epoch); nothing is called back for them.
void tacit_registers_reset(struct tacit_registers *registers);
bool tacit_registers_poll(struct tacit_registers *registers, tacit_time_ns_t now_ns);
tacit_time_ns_t tacit_registers_deadline(const struct tacit_registers *registers);
// Bit m: memory node m is up in the incarnation that counts.
uint32_t tacit_registers_nodes_up(const struct tacit_registers *registers);

struct tacit_registers_counters {
    uint64_t writes, reads, reads_repeated, reads_torn, nodes_skipped;
};
const struct tacit_registers_counters *
tacit_registers_counters(const struct tacit_registers *registers);

#endif
