/* A simulator that is no Python program: steps a unit three times and prints one of its outputs.
   host LIBRARY GUID RESOURCES REFERENCE */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    void (*log)(void *, const char *, int, const char *, const char *, ...);
    void *(*allocate)(size_t, size_t);
    void (*release)(void *);
    void (*finished)(void *, int);
    void *environment;
} Callbacks;

static void log_line(void *env, const char *name, int status, const char *kind, const char *text, ...) {
    va_list words;
    va_start(words, text);
    vfprintf(stderr, text, words);
    va_end(words);
}

int main(int count, char **words) {
    void *unit = dlopen(words[1], RTLD_NOW | RTLD_GLOBAL);
    if (count != 5 || !unit) return 1;
    static Callbacks callbacks = {log_line, calloc, free, NULL, NULL};
    void *(*make)(const char *, int, const char *, const char *, const Callbacks *, int, int) =
        dlsym(unit, "fmi2Instantiate");
    int (*set_up)(void *, int, double, double, int, double) = dlsym(unit, "fmi2SetupExperiment");
    int (*enter)(void *) = dlsym(unit, "fmi2EnterInitializationMode");
    int (*leave)(void *) = dlsym(unit, "fmi2ExitInitializationMode");
    int (*step)(void *, double, double, int) = dlsym(unit, "fmi2DoStep");
    int (*get)(void *, const unsigned *, size_t, double *) = dlsym(unit, "fmi2GetReal");
    void *made = make("tried", 1, words[2], words[3], &callbacks, 0, 0);
    if (!made || set_up(made, 0, 0, 0, 0, 0) || enter(made) || leave(made)) return 2;
    unsigned reference = (unsigned)atoi(words[4]);
    for (int number = 0; number < 3; number++) {
        double value;
        if (step(made, 900.0 * number, 900.0, 1) || get(made, &reference, 1, &value)) return 3;
        printf("%.17g\n", value);
    }
    return 0;
}
