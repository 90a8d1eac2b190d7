// SPDX-License-Identifier: Apache-2.0
//
// Plots: who plays which part, and the steps one after the other. See sim_plot.h.
#include "sim_plot.h"

#include <string.h>

#include "byzantine/agree_internal.h"
#include "byzantine/ctb_internal.h"
#include "sim_cluster.h"
#include "smr/internal.h"

#define AT_A_TIME 64u // steps in one turn

static const struct tacit_agree *agree_of(const struct sim_cluster *cluster, uint32_t replica)
{
    const struct sim_process *process = &cluster->process[replica];
    return process->node->alive && process->smr != NULL ? process->smr->byzantine.agree : NULL;
}

int sim_plot_find(const char *name)
{
    for (uint32_t i = 0; i < sim_plot_line_count; i++) {
        if (strcmp(sim_plot_lines[i].name, name) == 0) {
            return (int)i;
        }
    }
    return strcmp(name, "any") == 0 ? SIM_PLOT_ANY : -1;
}

// ---- drawing

// Anything that the grammar allows.
static struct sim_plot_step drawn_step(struct choice *choice)
{
    static const uint16_t mutes[] = {
        PLOT_ACKS | PLOT_CERTIFIES, PLOT_LOCKEDS, PLOT_SIGNEDS,   PLOT_COMMITS,
        PLOT_STATE_SHARES,          PLOT_BASES,   PLOT_NEW_VIEWS, PLOT_EVERYTHING};
    static const uint8_t acts[] = {PLOT_CUT,      PLOT_CUT,    PLOT_JOIN,      PLOT_ALONE,
                                   PLOT_FREE,     PLOT_SEAL,   PLOT_SEAL,      PLOT_LIARS_SEAL,
                                   PLOT_CLAIMS,   PLOT_COSIGN, PLOT_MUTE,      PLOT_UNMUTE,
                                   PLOT_GHOST,    PLOT_GHOST,  PLOT_PROPOSE,   PLOT_IGNORE,
                                   PLOT_NEW_VIEW, PLOT_COMMIT, PLOT_HOLD_BACK, PLOT_MARK};
    struct sim_plot_step step = {
        .when = (uint8_t)choice_u32(choice, PLOT_WHENS),
        .whom = (uint8_t)choice_range(choice, PLOT_P, PLOT_CORRECT),
        .act = acts[choice_u32(choice, sizeof acts)],
        .a = (uint8_t)choice_range(choice, PLOT_P, PLOT_CORRECT),
    };
    step.b = step.a == PLOT_P ? PLOT_Q : PLOT_P;
    switch (step.act) {
    case PLOT_MUTE:
        step.how = mutes[choice_u32(choice, sizeof mutes / sizeof *mutes)];
        break;
    case PLOT_HOLD_BACK:
        step.how = (uint16_t)choice_u32(choice, 8);
        break;
    case PLOT_CLAIMS:
        step.how = (uint16_t)choice_u32(choice, PLOT_CLAIMS_KINDS);
        break;
    case PLOT_NEW_VIEW:
        step.how = (uint16_t)choice_u32(choice, PLOT_NEW_VIEW_KINDS);
        break;
    default:
        step.how = (uint16_t)choice_u32(choice, 2);
        break;
    }
    return step;
}

static uint32_t length_of(const struct sim_plot_line *line)
{
    uint32_t length = 0;
    while (length < SIM_PLOT_STEPS &&
           (line->steps[length].act != PLOT_NOTHING || line->steps[length].when != PLOT_NOW)) {
        length++;
    }
    return length;
}

static void draw_line(struct sim_plot_line *line, struct choice *choice, uint32_t which)
{
    *line = sim_plot_lines[which];
    uint32_t length = length_of(line);
    if (length == 0) { // the line without steps: all of it is drawn
        length = choice_range(choice, 4, 16);
        for (uint32_t i = 0; i < length; i++) {
            line->steps[i] = drawn_step(choice);
        }
        return;
    }
    for (uint32_t i = 0; i < length; i++) {
        if (line->steps[i].act == PLOT_AGAIN) {
            continue;
        }
        uint32_t change = choice_u32(choice, 48);
        if (change == 46) {
            line->steps[i] = drawn_step(choice);
        } else if (change == 47) {
            line->steps[i].act = PLOT_NOTHING;
        }
    }
}

// The liars are the replicas that lead the wanted views; P is one correct replica or all but one.
static void draw_parts(struct sim_cluster *cluster)
{
    struct sim_plot *plot = &cluster->byz.plot;
    uint32_t replicas = cluster->shape.smr.replicas;
    uint32_t all = (1u << replicas) - 1;
    uint32_t correct = all & ~cluster->byz.faulty;
    uint32_t skip = choice_u32(cluster->choice, (uint32_t)__builtin_popcount(correct));
    uint32_t one = correct;
    while (skip-- > 0) {
        one &= one - 1;
    }
    one &= ~(one - 1);
    bool most = choice_u32(cluster->choice, 3) == 2 && (correct & ~one) != 0;
    plot->part[PLOT_NOBODY] = 0;
    plot->part[PLOT_LIARS] = cluster->byz.faulty;
    plot->part[PLOT_P] = most ? correct & ~one : one;
    plot->part[PLOT_Q] = correct & ~plot->part[PLOT_P];
    plot->part[PLOT_CORRECT] = correct;
    plot->part[PLOT_ALL] = all;
}

// ---- what replicas did

static uint64_t count_of(const struct sim_cluster *cluster, uint32_t replica, uint32_t what)
{
    const struct tacit_agree *agree = agree_of(cluster, replica);
    if (agree == NULL) {
        return 0;
    }
    const struct tacit_agree_counters *counters = &agree->counters;
    switch (what) {
    case PLOT_VOUCHED:
        return counters->vouched;
    case PLOT_ACKED:
        return counters->acked;
    case PLOT_CERTIFIED:
        return counters->certified;
    case PLOT_COMMITTED:
        return counters->committed;
    case PLOT_DECIDED:
        return counters->decided_fast + counters->decided_slow;
    case PLOT_SEALED:
        return agree->view;
    case PLOT_NEWVIEW:
        return counters->newviews;
    case PLOT_ENTERED:
        return counters->views_entered;
    case PLOT_CHECKPOINT:
        return agree->base;
    default:
        return 0;
    }
}

static void mark(struct sim_cluster *cluster)
{
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        for (uint32_t what = 0; what < PLOT_WHENS; what++) {
            cluster->byz.plot.count[r][what] = count_of(cluster, r, what);
        }
    }
}

static bool has_happened(const struct sim_cluster *cluster, const struct sim_plot_step *step)
{
    const struct sim_plot *plot = &cluster->byz.plot;
    uint32_t whom = plot->part[step->whom];
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        if ((whom >> r & 1) != 0 &&
            count_of(cluster, r, step->when) == plot->count[r][step->when]) {
            return false;
        }
    }
    return true;
}

// With --verbose: what each replica has come to.
static void tell(struct sim_cluster *cluster)
{
    for (uint32_t r = 0; cluster->verbose && r < cluster->shape.smr.replicas; r++) {
        const struct tacit_agree *agree = agree_of(cluster, r);
        if (agree != NULL) {
            sim_say(
                cluster,
                "    %u: view %llu%s base %llu undecided %llu seen %llu vouched %llu acked %llu "
                "certified %llu committed %llu",
                r, (unsigned long long)agree->view,
                agree->view == 0 || agree->entered ? "" : " (waits)",
                (unsigned long long)agree->base, (unsigned long long)agree->undecided,
                (unsigned long long)agree->seen, (unsigned long long)agree->counters.vouched,
                (unsigned long long)agree->counters.acked,
                (unsigned long long)agree->counters.certified,
                (unsigned long long)agree->counters.committed);
        }
    }
}

static bool is_split(struct sim_cluster *cluster)
{
    struct sim_plot *plot = &cluster->byz.plot;
    uint32_t correct = plot->part[PLOT_CORRECT];
    uint64_t slot = sim_plot_slot(cluster);
    uint32_t decided = 0;
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        const struct tacit_agree *agree = agree_of(cluster, r);
        if ((correct >> r & 1) == 0 || agree == NULL) {
            continue;
        }
        const struct tacit_slot *record = &agree->slots[slot % (2ull * agree->config.window)];
        bool has = agree->undecided > slot || (record->slot == slot && record->decided);
        decided |= has ? 1u << r : 0;
    }
    if (decided == 0 || decided == correct) {
        return false;
    }
    plot->part[PLOT_P] = decided;
    plot->part[PLOT_Q] = correct & ~decided;
    return true;
}

static bool is_led(const struct sim_cluster *cluster)
{
    const struct sim_plot *plot = &cluster->byz.plot;
    uint64_t newest = 0;
    bool entered = false;
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        const struct tacit_agree *agree = agree_of(cluster, r);
        if ((plot->part[PLOT_CORRECT] >> r & 1) == 0 || agree == NULL || agree->view < newest) {
            continue;
        }
        newest = agree->view;
        entered = agree->view == 0 || agree->entered;
    }
    uint32_t leader = (uint32_t)(newest % cluster->shape.smr.replicas);
    return entered && (plot->part[PLOT_LIARS] >> leader & 1) != 0;
}

static bool is_time(struct sim_cluster *cluster, const struct sim_plot_step *step)
{
    const struct sim_plot *plot = &cluster->byz.plot;
    if (cluster->net->now_ns >= plot->due_ns) {
        return true;
    }
    switch (step->when) {
    case PLOT_NOW:
        return true;
    case PLOT_LATER:
        return false;
    case PLOT_SPLIT:
        return is_split(cluster);
    case PLOT_LED:
        return is_led(cluster);
    default:
        return has_happened(cluster, step);
    }
}

// ---- the steps

static void await(struct sim_cluster *cluster)
{
    struct sim_plot *plot = &cluster->byz.plot;
    const struct sim_plot_step *step = &plot->line.steps[plot->at];
    uint32_t most_ns = step->when == PLOT_LATER ? 50000u << choice_u32(cluster->choice, 4)
                                                : 1000000u << choice_u32(cluster->choice, 3);
    plot->step_ns = cluster->net->now_ns;
    plot->due_ns = step->when == PLOT_NOW ? 0 : plot->step_ns + most_ns;
    if (plot->due_ns != 0) {
        sim_cluster_after(cluster, most_ns, (struct sim_timer){.kind = SIM_TIMER_PLOT});
    }
}

static void advance(struct sim_cluster *cluster)
{
    struct sim_plot *plot = &cluster->byz.plot;
    for (uint32_t i = 0; i < AT_A_TIME && plot->on && !cluster->healing; i++) {
        const struct sim_plot_step step = plot->line.steps[plot->at];
        if (step.act == PLOT_NOTHING && step.when == PLOT_NOW) {
            bool ended = plot->at + 1 >= SIM_PLOT_STEPS ||
                         (plot->line.steps[plot->at + 1].act == PLOT_NOTHING &&
                          plot->line.steps[plot->at + 1].when == PLOT_NOW);
            if (ended) {
                return;
            }
        } else if (!is_time(cluster, &step)) {
            return;
        }
        bool late = plot->due_ns != 0 && cluster->net->now_ns >= plot->due_ns;
        plot->timed_out += late;
        plot->fired += !late;
        tell(cluster);
        plot->at++;
        if (step.act == PLOT_MARK) {
            mark(cluster);
        } else if (step.act == PLOT_AGAIN) {
            if (plot->again > 0) {
                plot->again--;
                plot->at = plot->at > step.how + 1u ? plot->at - step.how - 1u : 0;
            }
        } else {
            sim_plot_act(cluster, &step);
        }
        if (plot->at == SIM_PLOT_STEPS) {
            plot->on = false;
            return;
        }
        await(cluster);
    }
}

void sim_plot_start(struct sim_cluster *cluster)
{
    struct sim_plot *plot = &cluster->byz.plot;
    memset(plot, 0, sizeof *plot);
    if (cluster->shape.byz.plot < 0) {
        return;
    }
    draw_line(&plot->line, cluster->choice, (uint32_t)cluster->shape.byz.plot);
    draw_parts(cluster);
    plot->again = choice_u32(cluster->choice, 4);
    plot->on = true;
    sim_say(cluster, "plot %s: liars %x, P %x, Q %x", plot->line.name, plot->part[PLOT_LIARS],
            plot->part[PLOT_P], plot->part[PLOT_Q]);
    await(cluster);
}

static void seal_when_allowed(struct sim_cluster *cluster, uint32_t replica)
{
    struct sim_plot *plot = &cluster->byz.plot;
    struct tacit_agree *agree = cluster->process[replica].smr->byzantine.agree;
    if ((plot->must_seal >> replica & 1) == 0 || cluster->healing) {
        return;
    }
    if (agree->view == plot->seal_view[replica]) {
        tacit_agree_suspect(agree);
    }
    if (agree->view != plot->seal_view[replica]) {
        plot->must_seal &= ~(1u << replica);
        sim_poll_at(cluster, replica, cluster->net->now_ns);
    }
}

void sim_plot_polled(struct sim_cluster *cluster, uint32_t replica)
{
    struct sim_plot *plot = &cluster->byz.plot;
    if (!plot->on || agree_of(cluster, replica) == NULL || agree_of(cluster, replica)->observer) {
        return;
    }
    if ((plot->part[PLOT_LIARS] >> replica & 1) != 0) {
        sim_plot_go_on(cluster, replica);
    } else {
        seal_when_allowed(cluster, replica);
    }
    advance(cluster);
}

void sim_plot_timer(struct sim_cluster *cluster)
{
    advance(cluster);
}

// ---- what is not said

static uint32_t kind_bit(const uint8_t *message, uint32_t bytes)
{
    // LOCK and SIGNED: the kind of the payload stands behind kind, stream, epoch and id.
    uint32_t payload = bytes > 24 && message[24] < TACIT_PAYLOAD_KINDS ? 1u << message[24] : 0;
    switch (message[0]) {
    case TACIT_MESSAGE_LOCK:
        return payload;
    case TACIT_MESSAGE_SIGNED:
        return payload | PLOT_SIGNEDS;
    case TACIT_MESSAGE_LOCKED:
        return PLOT_LOCKEDS;
    case TACIT_MESSAGE_SUMMARY_SHARE:
    case TACIT_MESSAGE_SUMMARY:
        return PLOT_SUMMARIES;
    case TACIT_MESSAGE_BODY:
        return PLOT_BODIES;
    case TACIT_MESSAGE_STATE_SHARE:
        return PLOT_STATE_SHARES;
    case TACIT_MESSAGE_CHECKPOINT_SHARE:
    case TACIT_MESSAGE_CHECKPOINT_CERTIFICATE:
        return PLOT_BASES;
    default:
        return 0;
    }
}

bool sim_plot_mutes_message(const struct sim_cluster *cluster, uint32_t receiver,
                            const uint8_t *message, uint32_t bytes)
{
    const struct sim_plot *plot = &cluster->byz.plot;
    return receiver < SIM_PLOT_REPLICAS && plot->muted[receiver] != 0 &&
           (plot->muted[receiver] == PLOT_EVERYTHING ||
            (plot->muted[receiver] & kind_bit(message, bytes)) != 0);
}

bool sim_plot_mutes_vote(const struct sim_cluster *cluster, uint32_t receiver, unsigned vote)
{
    uint32_t bit = vote == TACIT_VOTE_ACK ? PLOT_ACKS : PLOT_CERTIFIES;
    return receiver < SIM_PLOT_REPLICAS && (cluster->byz.plot.muted[receiver] & bit) != 0;
}
