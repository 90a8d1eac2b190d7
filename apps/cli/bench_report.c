// SPDX-License-Identifier: Apache-2.0
//
// tacit bench report: a folder of results (what --json wrote), or of such folders, as one static
// HTML page with tables and plots. Plots are gnuplot's; without it the page has the tables, and
// says so.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "cli.h"
#include "options.h"

#define PATH_BYTES 1024u
#define COLUMNS_MAX 20u
#define RESULTS_MAX 64u
#define DEPTH_MAX 6u

static const struct argp_option options[] = {{0}};

struct arguments {
    struct cli_words words;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    if (key == ARGP_KEY_ARG) {
        cli_option_append(state, &arguments->words, value, 1);
        return 0;
    }
    if (key == ARGP_KEY_END && arguments->words.count == 0) {
        argp_error(state, "the folder with the results is needed");
    }
    return key == ARGP_KEY_END ? 0 : ARGP_ERR_UNKNOWN;
}

// ---- tables ------------------------------------------------------------------------------------

static void put_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        const char *entity = *text == '<'   ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '&' ? "&amp;"
                             : *text == '"' ? "&quot;"
                                            : NULL;
        if (entity != NULL) {
            (void)fputs(entity, out);
        } else {
            (void)fputc(*text, out);
        }
    }
}

static bool is_time(const char *key)
{
    size_t length = strlen(key);
    return length > 3 && strcmp(key + length - 3, "_ns") == 0;
}

// Times are shown in microseconds.
static void put_key(FILE *out, const char *key)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%s", key);
    if (is_time(text)) {
        text[strlen(text) - 2] = 'u';
    }
    for (char *at = text; *at != '\0'; at++) {
        if (*at == '_') {
            *at = ' ';
        }
    }
    put_text(out, text);
}

static void put_number(FILE *out, const char *key, const json_t *number)
{
    double value = json_number_value(number);
    value = is_time(key) ? value / 1e3 : value;
    bool is_count = json_is_integer(number) && !is_time(key);
    (void)fprintf(out, is_count || value >= 1000 ? "%.0f" : value >= 10 ? "%.1f" : "%.3g", value);
}

// What the file has and the page has not, or as a plot only.
static bool is_raw(const char *key)
{
    return strcmp(key, "rounds") == 0 || strcmp(key, "samples") == 0 || strcmp(key, "line") == 0;
}

static bool is_figure(const json_t *value)
{
    return json_is_number(json_object_get(value, "median"));
}

// What bench_distribution() makes.
static const char *const quantiles[] = {"p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns"};
#define QUANTILES (sizeof quantiles / sizeof quantiles[0])

static bool is_distribution(const json_t *value)
{
    return json_is_object(value) && json_is_integer(json_object_get(value, "count")) &&
           json_is_integer(json_object_get(value, "p50_ns"));
}

static void put_figure(FILE *out, const char *key, const json_t *value)
{
    (void)fputs("<b>", out);
    put_number(out, key, json_object_get(value, "median"));
    (void)fputs("</b> <small>", out);
    put_number(out, key, json_object_get(value, "low"));
    (void)fputs(" .. ", out);
    put_number(out, key, json_object_get(value, "high"));
    (void)fputs("</small>", out);
}

// All distributions of an object: a row each.
static void put_distributions(FILE *out, const json_t *object)
{
    const char *key;
    json_t *item;
    bool any = false;
    json_object_foreach((json_t *)(uintptr_t)object, key, item)
    {
        if (!is_distribution(item)) {
            continue;
        }
        if (!any) {
            (void)fputs("<table><tr><th>us</th><th>count</th><th>p50</th><th>p90</th><th>p99</th>"
                        "<th>p99.9</th><th>max</th></tr>\n",
                        out);
            any = true;
        }
        (void)fputs("<tr><th>", out);
        put_key(out, key);
        (void)fputs("</th><td>", out);
        put_number(out, "", json_object_get(item, "count"));
        for (size_t i = 0; i < QUANTILES; i++) {
            (void)fputs("</td><td>", out);
            put_number(out, quantiles[i], json_object_get(item, quantiles[i]));
        }
        (void)fputs("</td></tr>\n", out);
    }
    if (any) {
        (void)fputs("</table>\n", out);
    }
}

// An object in a line of a table: a distribution's ends, or plain values.
static void put_short(FILE *out, const json_t *object)
{
    const char *key;
    json_t *item;
    const char *before = "";
    bool is_latency = is_distribution(object);
    (void)fputs("<small>", out);
    json_object_foreach((json_t *)(uintptr_t)object, key, item)
    {
        bool wanted = !is_latency || strcmp(key, "p999_ns") == 0 || strcmp(key, "max_ns") == 0;
        if (wanted && json_is_number(item)) {
            (void)fputs(before, out);
            put_key(out, key);
            (void)fputc(' ', out);
            put_number(out, key, item);
            before = ", ";
        }
    }
    (void)fputs("</small>", out);
}

static void put_value(FILE *out, const char *key, const json_t *value, unsigned depth);

// Values are in values: these three call each other, at most DEPTH_MAX deep.
// NOLINTBEGIN(misc-no-recursion)
static void put_object(FILE *out, const json_t *value, unsigned depth)
{
    const char *key;
    json_t *item;
    put_distributions(out, value);
    (void)fputs("<table>", out);
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        if (is_raw(key) || is_distribution(item)) {
            continue;
        }
        (void)fputs("<tr><th>", out);
        put_key(out, key);
        (void)fputs("</th><td>", out);
        put_value(out, key, item, depth + 1);
        (void)fputs("</td></tr>\n", out);
    }
    (void)fputs("</table>", out);
}

// Objects of one kind: a row each.
static void put_array(FILE *out, const json_t *value, unsigned depth)
{
    const char *columns[COLUMNS_MAX];
    size_t count = 0;
    const char *key;
    json_t *item;
    size_t at;
    json_object_foreach(json_array_get(value, 0), key, item)
    {
        if (count < COLUMNS_MAX && !is_raw(key)) {
            columns[count++] = key;
        }
    }
    (void)fputs("<table><tr>", out);
    for (size_t i = 0; i < count; i++) {
        (void)fputs("<th>", out);
        put_key(out, columns[i]);
        (void)fputs("</th>", out);
    }
    (void)fputs("</tr>\n", out);
    json_array_foreach(value, at, item)
    {
        (void)fputs("<tr>", out);
        for (size_t i = 0; i < count; i++) {
            const json_t *cell = json_object_get(item, columns[i]);
            (void)fputs("<td>", out);
            if (json_is_object(cell) && !is_figure(cell)) {
                put_short(out, cell);
            } else {
                put_value(out, columns[i], cell, depth + 1);
            }
            (void)fputs("</td>", out);
        }
        (void)fputs("</tr>\n", out);
    }
    (void)fputs("</table>", out);
}

static void put_value(FILE *out, const char *key, const json_t *value, unsigned depth)
{
    if (value == NULL || depth > DEPTH_MAX) {
        return;
    }
    if (is_figure(value) && json_object_get(value, "what") == NULL) {
        put_figure(out, key, value);
    } else if (is_figure(value)) { // a figure with a name
        put_text(out, json_string_value(json_object_get(value, "what")));
        (void)fputs(": ", out);
        put_figure(out, key, value);
        if (json_object_get(value, "bound") != NULL) {
            (void)fputs(json_is_true(json_object_get(value, "met")) ? ", met" : ", <b>NOT met</b>",
                        out);
            (void)fprintf(out, " (%.3g)", json_number_value(json_object_get(value, "bound")));
        }
    } else if (json_is_object(value)) {
        put_object(out, value, depth);
    } else if (json_is_array(value) && json_is_object(json_array_get(value, 0)) &&
               !is_figure(json_array_get(value, 0))) {
        put_array(out, value, depth);
    } else if (json_is_array(value)) {
        size_t at;
        json_t *item;
        json_array_foreach(value, at, item)
        {
            (void)fputs("<div>", out);
            put_value(out, key, item, depth + 1);
            (void)fputs("</div>", out);
        }
    } else if (json_is_number(value)) {
        put_number(out, key, value);
    } else if (json_is_string(value)) {
        put_text(out, json_string_value(value));
    } else {
        (void)fputs(json_is_true(value) ? "yes" : "no", out);
    }
}
// NOLINTEND(misc-no-recursion)

// ---- plots -------------------------------------------------------------------------------------

static double median_of(const json_t *item, const char *key)
{
    return json_number_value(json_object_get(json_object_get(item, key), "median"));
}

static const char *text_of(const json_t *item, const char *key)
{
    const char *text = json_string_value(json_object_get(item, key));
    return text == NULL ? "" : text;
}

static void plot_load(FILE *to, const json_t *results)
{
    static const char *const loops[] = {"closed", "open"};
    size_t at;
    json_t *item;
    const json_t *points = json_object_get(results, "points");
    for (size_t i = 0; i < 2; i++) {
        (void)fprintf(to, "$%s << EOD\n", loops[i]);
        json_array_foreach(points, at, item)
        {
            if (strcmp(text_of(item, "loop"), loops[i]) == 0) {
                (void)fprintf(to, "%g %g %g\n", median_of(item, "answered_per_s") / 1e3,
                              median_of(item, "p50_ns") / 1e3, median_of(item, "p99_ns") / 1e3);
            }
        }
        (void)fputs("0 NaN NaN\nEOD\n", to); // never empty
    }
    (void)fprintf(to,
                  "set title '%s mode, 3 replicas, shared memory of one machine (no RDMA)'\n"
                  "set xlabel 'answers, thousand/s'\nset ylabel 'latency, us'\nset logscale y\n"
                  "plot $closed u 1:2 w lp t 'closed loop, p50', $closed u 1:3 w lp t 'p99', "
                  "$open u 1:2 w lp t 'open loop, p50', $open u 1:3 w lp t 'p99'\n",
                  text_of(results, "mode"));
}

static void plot_projected(FILE *to, const json_t *results)
{
    static const char *const modes[] = {"crash", "byzantine"};
    size_t at;
    json_t *item;
    const json_t *points = json_object_get(results, "points");
    for (size_t i = 0; i < 4; i++) {
        bool by_size = i < 2;
        (void)fprintf(to, "$%s%s << EOD\n", modes[i % 2], by_size ? "" : "_n");
        json_array_foreach(points, at, item)
        {
            json_int_t replicas = json_integer_value(json_object_get(item, "replicas"));
            json_int_t bytes = json_integer_value(json_object_get(item, "bytes"));
            if (strcmp(text_of(item, "mode"), modes[i % 2]) == 0 &&
                (by_size ? replicas == 3 : bytes == 64)) {
                (void)fprintf(to, "%lld %g\n", (long long)(by_size ? bytes : replicas),
                              median_of(item, "end_to_end_p50_ns") / 1e3);
            }
        }
        (void)fputs("1 NaN\nEOD\n", to);
    }
    (void)fprintf(
        to,
        "set multiplot layout 1,2 title 'PROJECTED for %s'\nset ylabel 'end to end, p50, us'\n"
        "set logscale y\nset xlabel 'bytes, 3 replicas'\nset logscale x 2\n"
        "plot [32:131072] $crash w lp t 'crash', $byzantine w lp t 'Byzantine'\n"
        "unset logscale\nset xlabel 'replicas, 64 B'\nset yrange [0:*]\n"
        "plot [2:8] $crash_n w lp t 'crash', $byzantine_n w lp t 'Byzantine'\n"
        "unset multiplot\n",
        text_of(results, "projected_for"));
}

static void plot_peers(FILE *to, const json_t *results)
{
    size_t at;
    json_t *item;
    (void)fputs("$cells << EOD\n", to);
    json_array_foreach(json_object_get(results, "cells"), at, item)
    {
        (void)fprintf(
            to, "\"%s: %s\" %g %g %g\n", text_of(item, "load"), text_of(item, "system"),
            median_of(item, "p50_ns") / 1e3,
            json_number_value(json_object_get(json_object_get(item, "p50_ns"), "low")) / 1e3,
            json_number_value(json_object_get(json_object_get(item, "p50_ns"), "high")) / 1e3);
    }
    (void)fputs(
        "EOD\nset title 'SET, p50 in us, shared memory and loopback of one machine'\n"
        "set style fill solid 0.5\nset boxwidth 0.7\nset logscale y\nset yrange [1:*]\n"
        "set xtics rotate by -40 font ',8'\nset bmargin 12\nunset key\n"
        "plot $cells u 0:2:xtic(1) w boxes, $cells u 0:2:3:4 w yerrorbars pt 0 lc 'black'\n",
        to);
}

// A small picture for each fault: what was answered, as the median and the least of all times.
static void plot_timeline(FILE *to, const json_t *results)
{
    size_t at;
    json_t *fault;
    const json_t *faults = json_object_get(results, "faults");
    unsigned rows = (unsigned)((json_array_size(faults) + 2) / 3);
    (void)fprintf(to,
                  "set terminal svg size 960,%u font ',9' background 'white'\n"
                  "set multiplot layout %u,3 title '%s mode, 3 replicas, shared memory of one "
                  "machine: answers, thousand/s, by ms since the fault (cured after %.0f ms)'\n"
                  "set yrange [0:*]\nset key top right samplen 1\n",
                  60 + 200 * rows, rows, text_of(results, "mode"),
                  json_number_value(json_object_get(results, "cured_after_ns")) / 1e6);
    json_array_foreach(faults, at, fault)
    {
        size_t b;
        json_t *bin;
        (void)fputs("$line << EOD\n", to);
        json_array_foreach(json_object_get(fault, "line"), b, bin)
        {
            (void)fprintf(to, "%lld %g %g\n",
                          (long long)json_integer_value(json_object_get(bin, "at_ms")),
                          json_number_value(json_object_get(bin, "answers_per_s")) / 1e3,
                          json_number_value(json_object_get(bin, "least_per_s")) / 1e3);
        }
        (void)fprintf(to,
                      "EOD\nset title '%s'\nplot $line u 1:2 w l lw 2 t 'median', $line u 1:3 w l "
                      "lc 'gray' t 'least'\n",
                      text_of(fault, "fault"));
    }
    (void)fputs("unset multiplot\n", to);
}

// How many of the faults (in %) had been over, or their member taken in again, after so long.
static void plot_failover(FILE *to, const json_t *results)
{
    static const char *const keys[] = {"failover_ns", "wait_ns", "readmission_ns"};
    static const char *const names[] = {"fail-over: all clients served again",
                                        "longest wait of a client", "until it was a member again"};
    const json_t *samples = json_object_get(results, "samples");
    size_t count = json_array_size(samples);
    for (unsigned k = 0; k < 3; k++) {
        size_t at;
        json_t *sample;
        bool any = false;
        (void)fprintf(to, "$%s << EOD\n", keys[k]);
        json_array_foreach(samples, at, sample)
        {
            double took_ms = json_number_value(json_object_get(sample, keys[k])) / 1e6;
            if (took_ms > 0) { // of an axis with logarithms
                (void)fprintf(to, "%g %g\n", took_ms, 100.0 / (double)count);
                any = true;
            }
        }
        (void)fputs(any ? "EOD\n" : "1 0\nEOD\n", to);
    }
    (void)fprintf(to,
                  "set title '%zu faults, shared memory of one machine'\nset xlabel 'ms'\n"
                  "set ylabel '%% of the faults'\nset logscale x\nset yrange [0:100]\n"
                  "set key bottom right\nplot $%s u 1:2 smooth cumulative w l lw 2 t '%s', "
                  "$%s u 1:2 smooth cumulative w l lw 2 t '%s', "
                  "$%s u 1:2 smooth cumulative w l lw 2 t '%s'\n",
                  count, keys[0], names[0], keys[1], names[1], keys[2], names[2]);
}

static const struct {
    const char *benchmark;
    void (*write)(FILE *to, const json_t *results);
} plots[] = {{"load", plot_load},
             {"projected", plot_projected},
             {"peers", plot_peers},
             {"timeline", plot_timeline},
             {"failover", plot_failover}};

// gnuplot with its commands from a pipe and its picture in a file. False: there is none.
static bool draw(const char *svg, void (*write_commands)(FILE *to, const json_t *results),
                 const json_t *results)
{
    int ends[2];
    int file = open(svg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0 || pipe(ends) != 0) {
        return false;
    }
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[0], STDIN_FILENO);
        (void)dup2(file, STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execlp("gnuplot", "gnuplot", "-", (char *)NULL);
        _exit(127);
    }
    (void)close(ends[0]);
    (void)close(file);
    FILE *to = fdopen(ends[1], "w");
    int status = -1;
    if (to != NULL && child > 0) {
        (void)fputs("set terminal svg size 860,420 enhanced background 'white'\nset grid\n", to);
        write_commands(to, results);
        (void)fclose(to);
        (void)waitpid(child, &status, 0);
    }
    bool ok = child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!ok) {
        (void)unlink(svg);
    }
    return ok;
}

static void include_svg(FILE *out, const char *svg)
{
    char line[4096];
    bool in_picture = false;
    FILE *file = fopen(svg, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        in_picture = in_picture || strncmp(line, "<svg", 4) == 0;
        if (in_picture) {
            (void)fputs(line, out);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

// ---- the page ----------------------------------------------------------------------------------

// Results that the page has, by name below the folder.
struct page {
    const char *folder;
    char names[RESULTS_MAX][PATH_BYTES];
    unsigned count;
    FILE *out;
};

static void put_plot(FILE *out, const char *benchmark, const char *svg, const json_t *results)
{
    for (size_t i = 0; i < sizeof plots / sizeof plots[0]; i++) {
        if (strcmp(plots[i].benchmark, benchmark) != 0) {
            continue;
        }
        if (draw(svg, plots[i].write, results)) {
            include_svg(out, svg);
        } else {
            (void)fputs("<p>No plot: gnuplot (Debian's package gnuplot-nox) could not draw it.</p>",
                        out);
        }
    }
}

static int put_result(const struct page *page, unsigned number)
{
    char path[2 * PATH_BYTES];
    char svg[2 * PATH_BYTES];
    json_error_t problem;
    FILE *out = page->out;
    const char *name = page->names[number];
    (void)snprintf(path, sizeof path, "%s/%s", page->folder, name);
    (void)snprintf(svg, sizeof svg, "%.*s.svg", (int)(strlen(path) - 5), path);
    json_t *root = json_load_file(path, 0, &problem);
    const json_t *results = json_object_get(root, "results");
    const json_t *environment = json_object_get(root, "environment");
    const char *benchmark = json_string_value(json_object_get(root, "benchmark"));
    if (benchmark == NULL || results == NULL) {
        json_decref(root);
        return cli_complain("%s is no result of `tacit bench ... --json`: %s", path,
                            root == NULL ? problem.text : "no benchmark or results in it");
    }
    (void)fprintf(out, "<h2 id=\"r%u\">tacit bench ", number);
    put_text(out, benchmark);
    (void)fputs(" <small>", out);
    put_text(out, name);
    (void)fputs("</small></h2>\n<p><code>", out);
    put_text(out, text_of(environment, "command"));
    (void)fputs("</code> at ", out);
    put_text(out, text_of(environment, "commit"));
    if (json_is_true(json_object_get(root, "interrupted"))) {
        (void)fputs("; <b>interrupted: not all of it</b>", out);
    }
    (void)fputs("</p>\n", out);
    put_plot(out, benchmark, svg, results);
    put_value(out, "", results, 0);
    (void)fputs("<details><summary>environment</summary>", out);
    put_value(out, "", environment, 0);
    (void)fputs("</details>\n", out);
    json_decref(root);
    return 0;
}

static int is_result(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0;
}

static int is_folder(const struct dirent *entry)
{
    return entry->d_type == DT_DIR && entry->d_name[0] != '.';
}

// Adds the results of FOLDER/BELOW; false: there is no such folder (errno).
static bool collect(struct page *page, const char *below)
{
    char path[2 * PATH_BYTES];
    struct dirent **entries = NULL;
    (void)snprintf(path, sizeof path, "%s/%s", page->folder, below);
    int count = scandir(path, &entries, is_result, alphasort);
    for (int i = 0; i < count; i++) {
        if (page->count < RESULTS_MAX) {
            (void)snprintf(page->names[page->count++], PATH_BYTES, "%s%s%s", below,
                           below[0] == '\0' ? "" : "/", entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
    return count >= 0;
}

static bool collect_all(struct page *page)
{
    struct dirent **folders = NULL;
    if (!collect(page, "")) {
        return false;
    }
    int count = scandir(page->folder, &folders, is_folder, alphasort);
    for (int i = 0; i < count; i++) {
        (void)collect(page, folders[i]->d_name);
        free(folders[i]);
    }
    free(folders);
    return true;
}

static void put_head(const struct page *page)
{
    (void)fputs("<!doctype html><meta charset=utf-8><title>tacit bench</title><style>"
                "body{font:15px sans-serif;max-width:70em;margin:2em auto}"
                "table{border-collapse:collapse;margin:.4em 0}td,th{padding:.1em .6em;"
                "border-bottom:1px solid #ddd;text-align:left;vertical-align:top}"
                "small{color:#666}ul{columns:3}</style>\n<h1>Tacit: results</h1>\n"
                "<p>Medians, with the lowest and the highest round behind them; times in "
                "us. Raw rounds are in the JSON files.</p>\n<ul>\n",
                page->out);
    for (unsigned i = 0; i < page->count; i++) {
        (void)fprintf(page->out, "<li><a href=\"#r%u\">", i);
        put_text(page->out, page->names[i]);
        (void)fputs("</a></li>\n", page->out);
    }
    (void)fputs("</ul>\n", page->out);
}

static int put_page(struct page *page)
{
    char path[2 * PATH_BYTES];
    if (!collect_all(page)) {
        return cli_complain("%s: %s", page->folder, strerror(errno));
    }
    if (page->count == 0) {
        return cli_complain("%s: there are no results (*.json) in it or in its folders",
                            page->folder);
    }
    (void)snprintf(path, sizeof path, "%s/index.html", page->folder);
    page->out = fopen(path, "we");
    if (page->out == NULL) {
        return cli_complain("cannot write %s: %s", path, strerror(errno));
    }
    put_head(page);
    int failed = 0;
    for (unsigned i = 0; i < page->count && failed == 0; i++) {
        failed = put_result(page, i);
    }
    if (fclose(page->out) != 0 && failed == 0) {
        failed = cli_complain("cannot write %s: %s", path, strerror(errno));
    }
    if (failed == 0) {
        (void)printf("%s\n", path);
    }
    return failed;
}

int bench_report(int argc, char **argv)
{
    static const struct argp argp = {
        options,  parse,
        "FOLDER", "Results in a folder, or in those in it, as one page: FOLDER/index.html.",
        NULL,     NULL,
        NULL};
    struct arguments arguments = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return 2;
    }
    struct page *page = calloc(1, sizeof *page);
    if (page == NULL) {
        return cli_complain("no memory");
    }
    page->folder = arguments.words.word[0];
    int result = put_page(page);
    free(page);
    return result;
}
