// SPDX-License-Identifier: Apache-2.0
//
// Byzantine replicas and clients in the simulator. A faulty one is production code with its own
// keys whose outgoing bytes are changed on their way (signed and sealed again with its own key
// where that is needed), who says more than it should at drawn moments, and whose memory is changed
// under it. So it follows the protocol far enough to be in the way.
//
// sim_byz.c           who is faulty, and which attacks a run has
// sim_byz_fabric.c    where operations are changed: rings, bodies, votes, registers, replies, reads
// sim_byz_messages.c  ring messages: edits with the signatures made right again
// sim_byz_instead.c   equivocation: what some are told instead, and all that goes with it
// sim_byz_actions.c   at drawn moments: floods, SEAL_VIEWs, changes of own memory
// sim_byz_clients.c   faulty clients
//
// Every decision is a draw; 0 behaves.
#ifndef TACIT_TESTS_SIM_BYZ_H
#define TACIT_TESTS_SIM_BYZ_H

#include <setjmp.h>

#include "sim_fabric.h"
#include "tacit/crypto.h"

#define SIM_ATTACK_LIST(X)                                                                         \
    X(SILENCE, "silence", "messages of some kinds never reach some")                               \
    X(HOLE, "hole", "ring messages are numbered and never written")                                \
    X(DELAY, "delay", "operations take much longer")                                               \
    X(EQUIVOCATE, "equivocate", "some are told another payload, and all that goes with it")        \
    X(RELOCK, "relock", "a second LOCK for the same id")                                           \
    X(EDIT, "edit", "a field of a message is changed and signed again")                            \
    X(REPLAY, "replay", "an older message in place of, or before, a new one")                      \
    X(GARBAGE, "garbage", "drawn bytes under a right checksum")                                    \
    X(TORN, "torn", "wrong checksum or length")                                                    \
    X(REWIND, "rewind", "another number in the ring")                                              \
    X(VOTE, "vote", "another view or digest in a vote, signed")                                    \
    X(NO_VOTE, "no-vote", "no votes to some")                                                      \
    X(REGISTER, "register", "registers with garbage, old or others' values, torn or silent")       \
    X(BODY, "body", "large bodies are changed, and the payload that names them too")               \
    X(FLOOD, "flood", "many messages that ask for work")                                           \
    X(SEAL, "seal", "SEAL_VIEW out of the blue")                                                   \
    X(CLAIMS, "claims", "its own ACKs are forgotten or changed before it seals")                   \
    X(COSIGN, "cosign", "it has vouched whatever the others claim")                                \
    X(STATE, "state", "whoever reads its state reads something else")                              \
    X(REPLY, "reply", "clients are answered with lies")                                            \
    X(CLIENT, "client", "a client sends different bytes under one number, or not to all")          \
    X(CLIENT_EDIT, "client-edit", "a client's requests are changed, signatures right or wrong")

enum sim_attack {
#define SIM_ATTACK_ENUM(id, name, text) SIM_ATTACK_##id,
    SIM_ATTACK_LIST(SIM_ATTACK_ENUM)
#undef SIM_ATTACK_ENUM
        SIM_ATTACKS
};
const char *sim_attack_name(enum sim_attack attack);
const char *sim_attack_text(enum sim_attack attack);

#define SIM_BYZ_REPLICAS 8u
#define SIM_BYZ_CLIENTS 4u
#define SIM_BYZ_MESSAGE_BYTES 2048u
#define SIM_BYZ_KEPT 16u   // old messages
#define SIM_BYZ_VALUES 16u // old register values
#define SIM_BYZ_VALUE_BYTES 136u
#define SIM_BYZ_INSTEADS 64u
#define SIM_BYZ_BATCHES 8u
#define SIM_BYZ_CHANGES 24u

// What some receivers get instead of a payload. Known to all faulty replicas.
struct sim_byz_instead {
    struct tacit_digest said, told;
    uint32_t to;    // bit r; 0: nobody, this payload was looked at
    bool is_beside; // only the body beside the ring was changed (body_seed)
    uint32_t body_seed;
    uint32_t bytes; // of the body told
    bool has_body;
    uint8_t body[1024];
};

struct sim_byz_message {
    uint32_t bytes;
    uint8_t data[SIM_BYZ_MESSAGE_BYTES];
};

struct sim_byz_actor {
    uint32_t silent_to;  // bit r
    uint8_t silent_kind; // message kind, 0: every one
    uint32_t no_votes;   // bit r
    bool silent_registers;
    uint64_t seen[SIM_BYZ_REPLICAS]; // newest number that production code gave
    int64_t shift[SIM_BYZ_REPLICAS]; // added to it on the way
    struct sim_byz_message kept[SIM_BYZ_KEPT];
    uint32_t kept_count;
    uint8_t value[SIM_BYZ_VALUES][SIM_BYZ_VALUE_BYTES];
    uint32_t values;
};

// What a faulty client sends to some instead of a request.
struct sim_byz_change {
    uint64_t session, number;
    uint32_t to;
    uint32_t operation; // in the checker
};

struct sim_byz {
    uint32_t faulty, faulty_clients; // bit sets
    uint64_t from_ns;                // behaves before
    uint32_t rate[SIM_ATTACKS];
    uint64_t done[SIM_ATTACKS];
    uint32_t pace_ns; // mean time between actions
    struct sim_byz_actor actor[SIM_BYZ_REPLICAS];
    struct sim_byz_instead instead[SIM_BYZ_INSTEADS];
    uint32_t insteads;
    struct sim_byz_message batch[SIM_BYZ_BATCHES]; // proposed by faulty leaders before
    uint32_t batches;
    struct sim_byz_change change[SIM_BYZ_CLIENTS][SIM_BYZ_CHANGES];
    uint32_t changes[SIM_BYZ_CLIENTS];
    // A faulty replica may fail its own assertions: it is silent from then on.
    jmp_buf escape;
    bool may_escape;
    uint8_t scratch[SIM_BYZ_MESSAGE_BYTES];
};

struct sim_cluster;
struct sim_process;
struct sim_timer;

// Rates of a run, drawn with the shape: up to `most` faulty replicas; `only` fixes one attack
// (SIM_ATTACKS: drawn).
struct sim_byz_shape {
    uint32_t faulty_replicas;
    uint32_t faulty_clients;
    uint64_t from_ns;
    uint32_t pace_ns;
    uint32_t rate[SIM_ATTACKS];
};
void sim_byz_draw(struct sim_byz_shape *byz, struct choice *choice, uint32_t replicas,
                  uint32_t clients, uint32_t most, uint32_t only);
// After the processes were added.
void sim_byz_start(struct sim_cluster *cluster);
void sim_byz_timer(struct sim_cluster *cluster, const struct sim_timer *timer);

// sim_byz.c, for the other files
// Whether this attack happens now; counts it.
bool sim_byz_hits(struct sim_cluster *cluster, enum sim_attack attack);
uint32_t sim_byz_draw32(struct sim_cluster *cluster, uint32_t bound);
// Signs with the key of that replica or client.
void sim_byz_sign(struct sim_process *process, tacit_domain_t domain, const uint8_t *payload,
                  uint32_t bytes, struct tacit_signature *out);

// sim_byz_actions.c
// What the faulty replica does of its own accord.
void sim_byz_act(struct sim_cluster *cluster, uint32_t faulty);

// sim_byz_fabric.c
bool sim_byz_tamper(void *context, uint32_t peer, uint32_t host, struct sim_op *op,
                    uint64_t *delay_ns);
void sim_byz_lie(void *context, uint32_t peer, uint32_t host, const struct sim_op *op);
// Writes a message more into the ring of `receiver`. False: not possible now.
bool sim_byz_say(struct sim_cluster *cluster, uint32_t faulty, uint32_t receiver,
                 const void *message, uint32_t bytes);

// sim_byz_messages.c
// Changes a message on its way. False: it is not sent.
bool sim_byz_edit(struct sim_cluster *cluster, uint32_t faulty, uint32_t receiver, uint8_t *message,
                  uint32_t *bytes);

// sim_byz_instead.c
struct tacit_ctb_message;
struct sim_byz_instead *sim_byz_instead_of(struct sim_cluster *cluster,
                                           const struct tacit_digest *said);
// Looks at a LOCK of a faulty broadcaster, once for each payload.
void sim_byz_instead_consider(struct sim_cluster *cluster, uint32_t faulty,
                              const struct tacit_ctb_message *lock);
struct sim_byz_instead *sim_byz_instead_new(struct sim_cluster *cluster,
                                            const struct tacit_digest *said);
// The body that goes beside the ring, altered.
void sim_byz_alter(uint8_t *body, uint32_t bytes, uint32_t seed);

// sim_byz_clients.c
bool sim_byz_tamper_client(struct sim_cluster *cluster, uint32_t client, uint32_t replica,
                           struct sim_op *op);

#endif
