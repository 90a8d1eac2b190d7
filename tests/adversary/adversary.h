// SPDX-License-Identifier: Apache-2.0
//
// What Byzantine replicas do, in the simulator (tests/sim) and as real processes (tests/attack). A
// faulty one is production code with its own keys whose outgoing bytes are changed on their way
// (signed and sealed again with its own key where that is needed), who says more than it should at
// drawn moments, and whose memory is changed under it. So it follows the protocol far enough to be
// in the way.
//
// adversary.c   attacks, draws, the world
// operations.c  writes that are changed: rings, bodies, votes, registers, replies
// messages.c    ring messages: edits with the signatures made right again
// instead.c     equivocation: what some are told instead, and all that goes with it
// actions.c     at drawn moments: floods, SEAL_VIEWs, changes of own memory
// forgeries.c   the same: requests in two slots, second LOCKs, states that nobody certified
// requests.c    faulty clients: requests that are changed
//
// Every decision is a draw; 0 behaves. One thread.
#ifndef TACIT_TESTS_ADVERSARY_H
#define TACIT_TESTS_ADVERSARY_H

#include "choice/choice.h"
#include "tacit/crypto.h"
#include "tacit/fabric.h"

#define ADVERSARY_LIST(X)                                                                          \
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
    X(OVERSIZED, "oversized", "lengths beyond what a place can hold, in rings, bodies, payloads")  \
    X(FORGE, "forge", "certificates and claims that it made up, for all")                          \
    X(TWICE, "twice", "as a leader it proposes a batch in a second slot, in each view")            \
    X(SUMMARY, "summary", "states of streams that nobody certified, with what was never said")     \
    X(CLIENT, "client", "a client sends different bytes under one number, or not to all")          \
    X(CLIENT_EDIT, "client-edit", "a client's requests are changed, signatures right or wrong")    \
    X(CLIENT_REPLAY, "client-replay", "a client sends an older request again, of any session")     \
    X(CLIENT_FLOOD, "client-flood", "a client sends many requests of sessions that it never had")

enum adversary_attack {
#define ADVERSARY_ENUM(id, name, text) ADVERSARY_##id,
    ADVERSARY_LIST(ADVERSARY_ENUM)
#undef ADVERSARY_ENUM
        ADVERSARY_ATTACKS
};
const char *adversary_attack_name(enum adversary_attack attack);
const char *adversary_attack_text(enum adversary_attack attack);

#define ADVERSARY_REPLICAS 8u
#define ADVERSARY_MESSAGE_BYTES 2048u
#define ADVERSARY_KEPT 16u   // old messages
#define ADVERSARY_VALUES 16u // old register values
#define ADVERSARY_VALUE_BYTES 136u
#define ADVERSARY_INSTEADS 64u
#define ADVERSARY_BATCHES 8u

// What some receivers get instead of a payload. Known to all faulty replicas of one adversary.
struct adversary_instead {
    struct tacit_digest said, told;
    uint32_t to;    // bit r; 0: nobody, this payload was looked at
    bool is_beside; // only the body beside the ring was changed (body_seed)
    uint32_t body_seed;
    uint32_t bytes; // of the body told
    bool has_body;
    uint8_t body[1024];
};

struct adversary_message {
    uint32_t bytes;
    uint8_t data[ADVERSARY_MESSAGE_BYTES];
};

// A state of a stream that nobody certified, and to whom it is told.
struct adversary_summary {
    uint32_t victim, stream, bytes, said;
    uint64_t k;
    uint8_t body[8192];
};

struct adversary_actor {
    uint32_t silent_to;                // bit r
    uint8_t silent_kind;               // message kind, 0: every one
    uint32_t no_votes;                 // bit r
    uint64_t seen[ADVERSARY_REPLICAS]; // newest number that production code gave
    int64_t shift[ADVERSARY_REPLICAS]; // added to it on the way
    struct adversary_message kept[ADVERSARY_KEPT];
    uint32_t kept_count;
    uint8_t value[ADVERSARY_VALUES][ADVERSARY_VALUE_BYTES];
    uint32_t values;
};

// A write of a faulty replica on its way. The copy has room for a whole ring slot or body slot
// where the write goes into one.
struct adversary_write {
    uint8_t region_class;
    uint32_t bytes;
    uint64_t offset;
    uint64_t *copy;
};

struct tacit_smr;

// What surrounds the adversary. `replica` is always a faulty one.
struct adversary_world {
    void *context;
    // The production code behind it, which may be read and, in actions, changed. NULL: not there.
    struct tacit_smr *(*smr)(void *context, uint32_t replica);
    void (*sign)(void *context, uint32_t replica, tacit_domain_t domain, const uint8_t *payload,
                 uint32_t bytes, struct tacit_signature *out);
    void (*sign_client)(void *context, uint32_t client, tacit_domain_t domain,
                        const uint8_t *payload, uint32_t bytes, struct tacit_signature *out);
    // Writes into a region of its own at another replica, past production code; false: not now.
    bool (*forge)(void *context, uint32_t replica, uint32_t host, struct tacit_region_key key,
                  uint64_t offset, const void *bytes, uint32_t count);
    void (*ring)(void *context, uint32_t replica, uint32_t host);
    void (*wake)(void *context, uint32_t replica); // give it a turn soon
    // How likely an attack happens where it could, in 1/65536.
    uint32_t (*rate)(void *context, enum adversary_attack attack);
    // Whether the replica does not say this to the receiver: a ring message, or (NULL) a vote of
    // that kind. NULL: it says everything.
    bool (*mutes)(void *context, uint32_t replica, uint32_t receiver, const uint8_t *message,
                  uint32_t bytes, unsigned vote);
    void (*note)(void *context, const char *text); // NULL: nobody listens
};

// How an attack is made, where somebody says so; else it is drawn each time.
struct adversary_how {
    uint8_t style; // 1 + the kind of change, in the order of the code; 0: drawn
    uint8_t only;  // EQUIVOCATE: payloads of this kind; 0: of all
    uint32_t to;   // EQUIVOCATE, CLIENT: bits of those who are told something else; 0: drawn
};

struct adversary {
    struct adversary_world world;
    struct choice *choice;
    uint8_t replicas;
    uint32_t clients, window;
    uint64_t done[ADVERSARY_ATTACKS];
    struct adversary_how how[ADVERSARY_ATTACKS];
    struct adversary_actor actor[ADVERSARY_REPLICAS];
    struct adversary_instead instead[ADVERSARY_INSTEADS];
    uint32_t insteads;
    struct adversary_message batch[ADVERSARY_BATCHES]; // proposed by faulty leaders before
    uint32_t batches;
    struct adversary_summary summary[ADVERSARY_REPLICAS]; // of whoever made the newest ones
    uint32_t summaries;
    uint8_t scratch[ADVERSARY_MESSAGE_BYTES];
};

void adversary_init(struct adversary *adversary, const struct adversary_world *world,
                    struct choice *choice, uint8_t replicas, uint32_t clients, uint32_t window);
// Draws to whom this replica keeps silent, and about what.
void adversary_actor_draw(struct adversary *adversary, uint32_t faulty);

// A write of `faulty` to `receiver`, which is a replica's id where the host is a replica: changes
// it. False: it never lands.
bool adversary_tamper(struct adversary *adversary, uint32_t faulty, uint32_t receiver,
                      struct adversary_write *op);
// What `faulty` does of its own accord now. Assertions of production code may fail in here.
void adversary_act(struct adversary *adversary, uint32_t faulty);
// Its parts, for scripts. Own ACKs: 0 are forgotten, 1 get the present view, 2 are of a no-op, 3 of
// something else. Vouching all: true if there was anything to vouch.
struct tacit_agree;
void adversary_change_claims(struct tacit_agree *agree, uint32_t style);
bool adversary_vouch_all(struct tacit_agree *agree);
// Says that it lacks what is proposed, once of each client as long as that is remembered.
struct tacit_smr;
bool adversary_lack_all(struct tacit_smr *smr);
void adversary_flood(struct adversary *adversary, uint32_t faulty);

// requests.c. A request of faulty client `client` to `receiver`: changes its ring slot. False: it
// never lands. Some receivers get other bytes under the same number (CLIENT), signatures and
// sessions are wrong (CLIENT_EDIT).
struct tacit_smr_config;
bool adversary_tamper_request(struct adversary *adversary, uint32_t client, uint32_t receiver,
                              const struct tacit_smr_config *smr, struct adversary_write *op);
// Its parts, for a simulator that has to know what a changed request asks for.
struct tacit_wire_request;
void adversary_sign_request(struct adversary *adversary, uint32_t client,
                            const struct tacit_wire_request *request, struct tacit_signature *out);
// Says nothing about what is executed: nobody shall take it.
void adversary_spoil_request(struct adversary *adversary, uint32_t client,
                             struct tacit_wire_request *request, struct tacit_signature *signature);

// ---- between the files

// Whether this attack happens now; counts it.
bool adversary_hits(struct adversary *adversary, enum adversary_attack attack);
// How it is done, below `bound`.
uint32_t adversary_style(struct adversary *adversary, enum adversary_attack attack, uint32_t bound);
struct tacit_smr *adversary_smr(const struct adversary *adversary, uint32_t faulty);
void adversary_sign(struct adversary *adversary, uint32_t faulty, tacit_domain_t domain,
                    const uint8_t *payload, uint32_t bytes, struct tacit_signature *out);
void adversary_note(struct adversary *adversary, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// operations.c: writes a message more into the ring of `receiver`. False: not possible now.
bool adversary_say(struct adversary *adversary, uint32_t faulty, uint32_t receiver,
                   const void *message, uint32_t bytes);

// messages.c: changes a message on its way. False: it is not sent.
bool adversary_edit(struct adversary *adversary, uint32_t faulty, uint32_t receiver,
                    uint8_t *message, uint32_t *bytes);

// forgeries.c, each if it is drawn
void adversary_propose_twice(struct adversary *adversary, uint32_t faulty);
void adversary_relock(struct adversary *adversary, uint32_t faulty);
void adversary_summarize(struct adversary *adversary, uint32_t faulty);

// instead.c
struct tacit_ctb_message;
struct adversary_instead *adversary_instead_of(struct adversary *adversary,
                                               const struct tacit_digest *said);
// Looks at a LOCK of a faulty broadcaster, once for each payload.
void adversary_instead_consider(struct adversary *adversary, uint32_t faulty,
                                const struct tacit_ctb_message *lock);
struct adversary_instead *adversary_instead_new(struct adversary *adversary,
                                                const struct tacit_digest *said);
// The body that goes beside the ring, altered.
void adversary_alter(uint8_t *body, uint32_t bytes, uint32_t seed);

#endif
