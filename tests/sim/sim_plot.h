// SPDX-License-Identifier: Apache-2.0
//
// Plots: liars that act together, across views, with memory, while the network helps them. A plot
// is a line of steps; each waits for something that a replica does (or for a while) and then cuts a
// link, makes a correct replica leave its view, or has the liars do something. Lines are data
// (sim_plot_lines.c); who plays which part, how long a step waits, how often a part is repeated and
// which steps are left out is drawn. One plot of several is drawn from the same grammar altogether.
//
// Nothing in a plot goes beyond the model: links may be slow for any time, correct replicas may
// leave a view at any time once f+1 are in it, liars do anything.
//
// sim_plot.c        the parts, the steps, what they wait for
// sim_plot_acts.c   what is done in a step, and what liars go on doing
// sim_plot_craft.c  what no code of a correct replica makes: NEW_VIEW and COMMIT of the liars' own
// sim_plot_lines.c  the lines
#ifndef TACIT_TESTS_SIM_PLOT_H
#define TACIT_TESTS_SIM_PLOT_H

#include "byzantine/payload.h"
#include "choice/choice.h"
#include "sim_fabric.h"
#include "tacit/crypto.h"

// Parts. P and Q are correct and together all correct ones; with f = 1 each is one replica.
enum sim_part { PLOT_NOBODY = 0, PLOT_LIARS, PLOT_P, PLOT_Q, PLOT_CORRECT, PLOT_ALL, PLOT_PARTS };

// What a step waits for. Events count since the newest MARK.
enum sim_plot_when {
    PLOT_NOW = 0,
    PLOT_LATER, // a drawn while
    PLOT_VOUCHED,
    PLOT_ACKED,
    PLOT_CERTIFIED,
    PLOT_COMMITTED,
    PLOT_DECIDED,
    PLOT_SEALED,
    PLOT_NEWVIEW, // sent one
    PLOT_ENTERED,
    PLOT_CHECKPOINT, // knows a new base
    PLOT_SPLIT,      // one correct replica decided what another did not: they become P and Q
    PLOT_LED,        // the newest view of correct replicas is led by a liar and was entered
    PLOT_WHENS,
};

enum sim_plot_act {
    PLOT_NOTHING = 0,
    PLOT_MARK,
    PLOT_AGAIN, // back by `how` steps, as often as was drawn
    PLOT_CUT,   // a -> b
    PLOT_JOIN,  // a -> b
    PLOT_ALONE, // a from all other correct ones, both ways
    PLOT_FREE,  // all links
    PLOT_SEAL,  // correct: leave the view as soon as that is allowed
    // Liars:
    PLOT_LIARS_SEAL, // as far as the correct ones
    PLOT_CLAIMS,     // enum sim_plot_claims `how`, for all SEAL_VIEWs from now on
    PLOT_COSIGN,     // how: whether all that is claimed was vouched
    PLOT_MUTE,       // to a: kinds in `how`
    PLOT_UNMUTE,     // to a: all kinds
    PLOT_HOLD_BACK,  // enum sim_plot_holds `how`: what their code does not do
    PLOT_GHOST,      // to a: LOCK far ahead of a PREPARE that will never be: enum sim_plot_value
    PLOT_PROPOSE,    // a no-op, where they lead; how 1: whatever NEW_VIEW says
    PLOT_IGNORE,     // states of a in NEW_VIEW; NOBODY: of nobody
    PLOT_NEW_VIEW,   // enum sim_plot_newview, in their next view
    PLOT_COMMIT,     // enum sim_plot_commit, in the first undecided slot; of a no-op
    PLOT_ACTS,
};

// For MUTE, bits: LOCK and SIGNED of payload kind k is bit k; then:
enum {
    PLOT_PREPARES = 1 << 1,
    PLOT_COMMITS = 1 << 2,
    PLOT_CHECKPOINTS = 1 << 3,
    PLOT_SEALS = 1 << 4,
    PLOT_NEW_VIEWS = 1 << 5,
    PLOT_LOCKEDS = 1 << 6,
    PLOT_SUMMARIES = 1 << 7,
    PLOT_STATE_SHARES = 1 << 8,
    PLOT_BASES = 1 << 9,
    PLOT_ACKS = 1 << 10,
    PLOT_CERTIFIES = 1 << 11,
    PLOT_SIGNEDS = 1 << 12,
    PLOT_BODIES = 1 << 13,
    PLOT_EVERYTHING = (1 << 14) - 1,
    PLOT_DRAWN = 0xffff,
};
enum sim_plot_claims {
    PLOT_CLAIM_TRUE = 0,
    PLOT_CLAIM_NOTHING,
    PLOT_CLAIM_GHOSTS, // what was in LOCKs that will never be
    PLOT_CLAIM_NOOP,   // in the first undecided slot, in the view that is sealed
    PLOT_CLAIMS_KINDS,
};
enum sim_plot_holds {
    PLOT_NO_COMMIT = 1,
    PLOT_NO_PROPOSAL = 2,
    PLOT_NO_BASE = 4,
    PLOT_NO_NEW_VIEW = 8
};
enum sim_plot_value { PLOT_A_NOOP = 0, PLOT_AN_OLD_BATCH, PLOT_A_LIE };
enum sim_plot_newview {
    PLOT_OWN_TWICE = 0, // the own state in all places, signed by itself in all places
    PLOT_UNSIGNED,      // shares that do not hold
    PLOT_PARTS_OF,      // correct ones' claims left out
    PLOT_OLDER,         // what an earlier view began with
    PLOT_LOW_BASE,      // from where they were when they began to hold back checkpoints
    PLOT_NEW_VIEW_KINDS,
};
enum sim_plot_commit {
    PLOT_ONE_SIGNER = 0, // the same in all places
    PLOT_NO_SIGNER,      // shares that do not hold
    PLOT_TOO_SHORT,      // one share
    PLOT_TOO_LATE,       // a true one, of a view that was sealed
    PLOT_COMMIT_KINDS,
};

struct sim_plot_step {
    uint8_t when, whom, act, a, b;
    uint16_t how;
};
#define SIM_PLOT_STEPS 32u
struct sim_plot_line {
    const char *name, *text;
    int8_t leads; // first view that a liar leads; -1: any
    struct sim_plot_step steps[SIM_PLOT_STEPS];
};
extern const struct sim_plot_line sim_plot_lines[];
extern const uint32_t sim_plot_line_count;

#define SIM_PLOT_GHOSTS 8u
#define SIM_PLOT_REPLICAS 8u
#define SIM_PLOT_OLD_BYTES 8192u
struct sim_plot_ghost {
    uint64_t slot, view;
    struct tacit_digest digest;
};
struct sim_plot {
    bool on;
    struct sim_plot_line line; // as it is played in this run
    uint32_t at;
    uint64_t step_ns, due_ns; // since when the step waits; until when at most
    uint32_t part[PLOT_PARTS];
    uint32_t again;
    uint64_t count[SIM_PLOT_REPLICAS][PLOT_WHENS]; // at the newest MARK
    uint32_t must_seal;                            // bit r
    uint64_t seal_view[SIM_PLOT_REPLICAS];
    uint32_t muted[SIM_PLOT_REPLICAS]; // kinds, by receiver
    uint32_t holds;
    uint32_t ignored; // bit r
    uint8_t claims;
    bool cosigns;
    struct sim_plot_ghost ghost[SIM_PLOT_GHOSTS];
    uint32_t ghosts;
    uint32_t craft;    // enum sim_plot_newview + 1: to be made as soon as that is possible
    uint64_t low_base; // certified when holding back checkpoints began
    struct tacit_digest low_root;
    struct tacit_certificate low_certificate;
    uint64_t old_base; // body of the first NEW_VIEW that liars saw
    uint32_t old_bytes;
    uint8_t old[SIM_PLOT_OLD_BYTES];
    uint64_t fired, timed_out;
};

struct sim_cluster;
struct sim_timer;

#define SIM_PLOT_ANY 1000
int sim_plot_find(const char *name); // line, SIM_PLOT_ANY for "any", -1: none of that name
// Gives the plot of this run (shape.byz.plot) its parts.
void sim_plot_start(struct sim_cluster *cluster);
// A replica was polled; a timer of the plot fired.
void sim_plot_polled(struct sim_cluster *cluster, uint32_t replica);
void sim_plot_timer(struct sim_cluster *cluster);
// Whether liars do not say this to the receiver. `vote`: a cell of that kind.
bool sim_plot_mutes_message(const struct sim_cluster *cluster, uint32_t receiver,
                            const uint8_t *message, uint32_t bytes);
bool sim_plot_mutes_vote(const struct sim_cluster *cluster, uint32_t receiver, unsigned vote);

// sim_plot_acts.c, sim_plot_craft.c: for sim_plot.c
void sim_plot_act(struct sim_cluster *cluster, const struct sim_plot_step *step);
// After a liar's turn: what it goes on doing.
void sim_plot_go_on(struct sim_cluster *cluster, uint32_t liar);
// First slot that some correct replica has not decided.
uint64_t sim_plot_slot(const struct sim_cluster *cluster);
// Tries to make the NEW_VIEW that plot->craft wants; keeps the first one of others.
void sim_plot_new_view(struct sim_cluster *cluster, uint32_t liar);
void sim_plot_commit(struct sim_cluster *cluster, uint32_t liar, uint32_t how);

#endif
