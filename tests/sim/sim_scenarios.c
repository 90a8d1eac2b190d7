// SPDX-License-Identifier: Apache-2.0
//
// See sim_scenarios.h.
#include "sim_scenarios.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_scenario(const char *name)
{
    size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".scn") == 0;
}

static bool take(struct sim_scenarios *scenarios, const char *path, char *error, size_t error_max)
{
    if (scenarios->count == SIM_SCENARIOS_MAX) {
        snprintf(error, error_max, "more than %u scenarios", SIM_SCENARIOS_MAX);
        return false;
    }
    return sim_script_read(&scenarios->script[scenarios->count++], path, error, error_max);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool take_folder(struct sim_scenarios *scenarios, const char *path, DIR *folder, char *error,
                        size_t error_max)
{
    char names[SIM_SCENARIOS_MAX][256];
    uint32_t count = 0;
    const struct dirent *entry = readdir(folder);
    for (; entry != NULL; entry = readdir(folder)) {
        if (is_scenario(entry->d_name) && count == SIM_SCENARIOS_MAX) {
            snprintf(error, error_max, "more than %u scenarios in %s", SIM_SCENARIOS_MAX, path);
            return false;
        }
        if (is_scenario(entry->d_name)) {
            snprintf(names[count++], sizeof names[0], "%s", entry->d_name);
        }
    }
    qsort(names, count, sizeof names[0], by_name);
    for (uint32_t i = 0; i < count; i++) {
        char whole[1024];
        int used = snprintf(whole, sizeof whole, "%s/%s", path, names[i]);
        if (used < 0 || (size_t)used >= sizeof whole) {
            snprintf(error, error_max, "the path of %s is too long", names[i]);
            return false;
        }
        if (!take(scenarios, whole, error, error_max)) {
            return false;
        }
    }
    if (count == 0) {
        snprintf(error, error_max, "there is no *.scn in %s", path);
    }
    return count > 0;
}

bool sim_scenarios_open(struct sim_scenarios *scenarios, const char *path, char *error,
                        size_t error_max)
{
    scenarios->count = 0;
    scenarios->script = calloc(SIM_SCENARIOS_MAX, sizeof *scenarios->script);
    if (scenarios->script == NULL) {
        snprintf(error, error_max, "not enough memory");
        return false;
    }
    DIR *folder = opendir(path);
    bool good = folder != NULL ? take_folder(scenarios, path, folder, error, error_max)
                               : take(scenarios, path, error, error_max);
    if (folder != NULL) {
        closedir(folder);
    }
    if (!good) {
        sim_scenarios_close(scenarios);
    }
    return good;
}

void sim_scenarios_close(struct sim_scenarios *scenarios)
{
    free(scenarios->script);
    scenarios->script = NULL;
}

uint64_t sim_scenarios_runs(const struct sim_scenarios *scenarios, uint64_t each)
{
    uint64_t runs = 0;
    for (uint32_t i = 0; i < scenarios->count; i++) {
        runs += each != 0 ? each : scenarios->script[i].runs;
    }
    return runs;
}

const struct sim_script *sim_scenarios_find(const struct sim_scenarios *scenarios, uint64_t each,
                                            uint64_t number, uint64_t *run)
{
    for (uint32_t i = 0; i < scenarios->count; i++) {
        uint64_t of_this = each != 0 ? each : scenarios->script[i].runs;
        if (number < of_this) {
            *run = number;
            return &scenarios->script[i];
        }
        number -= of_this;
    }
    return NULL;
}
