// SPDX-License-Identifier: Apache-2.0
//
// Control messages between two nodes that are connected by RDMA: fixed size, little-endian, each
// with its number and a MAC, read and written in this one place. A message is copied out of the
// receive buffer before it is checked, and checked before it is used.
//
//   0 number u64, from 1   8 type u32   12 bytes of payload u32   16 payload [224], rest zero   240
//   MAC [16]
#ifndef TACIT_VERBS_MESSAGE_H
#define TACIT_VERBS_MESSAGE_H

#include "tacit/crypto.h"
#include "tacit/fabric.h"

#define TACIT_VERBS_MESSAGE_BYTES 256u
#define TACIT_VERBS_PAYLOAD_AT 16u
#define TACIT_VERBS_PAYLOAD_MAX 224u
#define TACIT_VERBS_MAC_AT 240u
#define TACIT_VERBS_MESSAGE_REGIONS 6u // regions told by one message

// Purposes of keys and MACs; memnodes/ numbers from 0x0500, this provider from 0x0580.
enum verbs_domain {
    TACIT_VERBS_DOMAIN_MESSAGE = 0x0580,
};

enum verbs_message_type {
    TACIT_VERBS_HELLO = 1, // both: queue pairs and bells of this side
    TACIT_VERBS_REGIONS,   // host: some of its regions
    TACIT_VERBS_READY,     // host: its queue pairs answer, all regions were told; grant
    TACIT_VERBS_GONE,      // host: a region was retired
    TACIT_VERBS_GONE_ACK,  // peer: has no operation on it any more
    TACIT_VERBS_BROKEN,    // peer: its plane has failed; asks for a new one
    TACIT_VERBS_CYCLE,     // host: has stopped a plane; older grants are void
    TACIT_VERBS_CYCLED,    // peer: has replaced its end; first packet number
    TACIT_VERBS_OPEN,      // host: the plane answers again; grant
    TACIT_VERBS_GRANT,     // host: the peer is the holder now
    TACIT_VERBS_QUERY,     // peer: does it hold under this generation?
    TACIT_VERBS_ANSWER,    // host: the grant
    TACIT_VERBS_PING,      // either: nothing
    TACIT_VERBS_TOLD,      // peer: has taken a message of REGIONS in
    TACIT_VERBS_TYPES,
};

struct verbs_hello {
    uint8_t gid[16];
    uint64_t life;      // drawn by the process: tells a new connection from a new process
    uint32_t mtu_bytes; // largest packet of the sender: a power of two from 256 to 4096
    struct {
        uint32_t host_qpn; // of the sender as host; 0: the receiver reaches nothing here
        uint32_t bell_rkey;
        uint64_t bell_address;
        uint32_t peer_qpn; // of the sender as peer; 0: it reaches nothing there
        uint32_t peer_psn;
    } plane[TACIT_PLANES];
};

struct verbs_region_entry {
    uint8_t region_class;
    bool is_receivers; // the receiver is its writer
    tacit_node_t owner;
    tacit_incarnation_t incarnation;
    uint16_t index; // in the host's table: its name in GONE
    uint64_t bytes;
    uint64_t address;
    uint32_t rkey[TACIT_PLANES];
};

struct verbs_regions {
    uint32_t count;
    struct verbs_region_entry entry[TACIT_VERBS_MESSAGE_REGIONS];
};

// Of READY, CYCLE, CYCLED, OPEN, BROKEN, GRANT, QUERY and ANSWER; each uses what it needs.
struct verbs_plane_news {
    uint32_t plane;
    uint32_t round; // counts the replacements of a plane; an answer to an older one is ignored
    uint32_t qpn;   // of the sender's new queue pair
    uint32_t psn;
    uint64_t floor;   // grants below are void
    uint64_t granted; // generation under which the receiver holds, 0: it does not
    uint64_t asked;   // generation that a query is about
};

struct verbs_message {
    uint64_t number;
    enum verbs_message_type type;
    union {
        struct verbs_hello hello;
        struct verbs_regions regions;
        struct verbs_plane_news news;
        uint16_t index; // GONE, GONE_ACK
    };
};

// Writes `message` and its MAC. The message is our own: what does not fit is a bug and asserts.
void tacit_verbs_message_encode(uint8_t out[TACIT_VERBS_MESSAGE_BYTES],
                                const struct verbs_message *message,
                                const struct tacit_mac_key *key);

// Reads the message with the number `expected` from a private copy. OK, BAD_AUTH, STALE (another
// number), or MALFORMED: type, length, plane or count out of range, or bytes set that have to be
// zero.
enum tacit_verdict tacit_verbs_message_decode(struct verbs_message *message,
                                              const uint8_t bytes[TACIT_VERBS_MESSAGE_BYTES],
                                              uint64_t expected, const struct tacit_mac_key *key);

#endif
