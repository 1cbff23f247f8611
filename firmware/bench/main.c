/*
 * Runs one workload: the command line names it and says how often. The name "nothing" runs none,
 * which tells what all the rest costs. Without a command line, all run once.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WORKLOADS(X)                                                                              \
    X(conv3x3) X(conv1x1) X(fc) X(depthwise) X(max_pool) X(float_dot) X(memcpy) X(table_lookup)   \
    X(list_chase) X(qsort) X(state_machine) X(printf)

#define DECLARE(name) void bench_##name(int32_t repeat);
#define ENTRY(name) {#name, bench_##name},

WORKLOADS(DECLARE)

static const struct {
    const char *name;
    void (*run)(int32_t repeat);
} workloads[] = {WORKLOADS(ENTRY)};

int main(int argc, char **argv)
{
    /* QEMU puts the name of the program first, m7sim does not. */
    const char *name = argc >= 2 ? argv[argc - 2] : NULL;
    int32_t repeat = argc >= 2 ? (int32_t)strtol(argv[argc - 1], NULL, 10) : 1;
    int known = name == NULL || strcmp(name, "nothing") == 0;

    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        if (name == NULL || strcmp(name, workloads[i].name) == 0) {
            workloads[i].run(repeat);
            known = 1;
        }
    return known ? 0 : 2;
}
