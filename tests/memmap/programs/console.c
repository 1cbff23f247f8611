/* A command console: text is split, looked up, evaluated and answered with snprintf. Little data,
 * much code: the C library's formatting and conversion alone is larger than the I-cache. */
#include "m7sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 6
#define VARIABLES 16

static const char *const lines[] = {
    "set gain 1.25",    "set limit 4095",    "add gain 0.375", "show gain",
    "set offset -17.5", "mul offset 3.0",    "show limit",     "set name 12",
    "add limit -95",    "show offset",       "hex limit",      "list",
};

static struct {
    char name[12];
    double value;
} variables[VARIABLES];
static char answer[128], line[64];
static char log_text[2048];
static size_t logged;
volatile uint32_t result;

__attribute__((noinline)) static int find(const char *name)
{
    for (int i = 0; i < VARIABLES; i++) {
        if (strcmp(variables[i].name, name) == 0)
            return i;
        if (!variables[i].name[0]) {
            strncpy(variables[i].name, name, sizeof variables[i].name - 1);
            return i;
        }
    }
    return 0;
}

__attribute__((noinline)) static void list(void)
{
    size_t at = 0;
    for (int i = 0; i < VARIABLES && variables[i].name[0]; i++)
        at += (size_t)snprintf(answer + at, sizeof answer - at, "%s=%.3g ", variables[i].name,
                               variables[i].value);
}

__attribute__((noinline)) static void obey(const char *text)
{
    strcpy(line, text);
    char *verb = strtok(line, " "), *name = strtok(NULL, " "), *value = strtok(NULL, " ");
    answer[0] = 0;
    if (!name) {
        list();
        return;
    }
    int v = find(name);
    double x = value ? strtod(value, NULL) : 0.0;
    if (strcmp(verb, "set") == 0)
        variables[v].value = x;
    else if (strcmp(verb, "add") == 0)
        variables[v].value += x;
    else if (strcmp(verb, "mul") == 0)
        variables[v].value *= x;
    else if (strcmp(verb, "hex") == 0)
        snprintf(answer, sizeof answer, "%s = 0x%08lx", name, (unsigned long)(long)variables[v].value);
    else
        snprintf(answer, sizeof answer, "%s = %.4f", name, variables[v].value);
}

__attribute__((noinline)) static void keep(void)
{
    size_t bytes = strlen(answer);
    if (logged + bytes > sizeof log_text)
        logged = 0;
    memcpy(log_text + logged, answer, bytes);
    logged += bytes;
}

int main(void)
{
    m7_begin();
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
            obey(lines[i]);
            keep();
        }
    m7_end();
    result = (uint32_t)logged;
    return 0;
}
