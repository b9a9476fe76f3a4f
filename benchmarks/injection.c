/* Preloaded into a command by benchmarks/injection.py: counts the calls that change files in one folder, and at one of
   them kills the process group, or lets the call fail. What to do comes from the environment; see `Injection` there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[4096], pattern[256];
static long at, last, delay, matched, counted;
static int fault, sticky, filling, trace = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static long number(const char *name) { return getenv(name) ? atol(getenv(name)) : 0; }

static void copy(char *to, size_t size, const char *name) { snprintf(to, size, "%s", getenv(name) ? getenv(name) : ""); }

static void *kill_later(void *unused) {
    usleep(delay);
    kill(0, SIGKILL);
    return unused;
}

static void start_timer(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, kill_later, NULL);
}

/* Reads the environment anew: at the start of a command, or, called by name, after a fork. */
void injection_arm(void) {
    copy(folder, sizeof folder, "INJECT_FOLDER");
    copy(pattern, sizeof pattern, "INJECT_PATTERN");
    at = number("INJECT_AT"), last = number("INJECT_LAST"), delay = number("INJECT_DELAY");
    fault = number("INJECT_FAULT"), sticky = fault == ENOSPC;
    matched = counted = filling = 0;
    if (!*folder) return;
    trace = getenv("INJECT_TRACE") ? syscall(SYS_openat, AT_FDCWD, getenv("INJECT_TRACE"),
                                             O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* the command must not outlive who watches it */
    if (!at && delay) start_timer();
}

__attribute__((constructor)) static void start(void) {
    unsetenv("LD_PRELOAD"); /* what the command itself runs is left alone */
    injection_arm();
}

enum action { PASS, FAIL, HALVE, HALVE_AND_DIE };

/* What is to happen to a call, which may change the disk: it is counted where its path is in the folder. */
static enum action decide(const char *name, const char *path, int takes_space, int writes) {
    enum action action = PASS;
    char whole[8192];
    if (!*folder) return PASS;
    if (*path != '/') {
        char here[4096];
        snprintf(whole, sizeof whole, "%s/%s", getcwd(here, sizeof here) ? here : "", path);
        path = whole;
    }
    if (strncmp(path, folder, strlen(folder))) return PASS;
    pthread_mutex_lock(&lock);
    char line[8300];
    int length = snprintf(line, sizeof line, "%s %s\n", name, path + strlen(folder));
    if (trace >= 0) syscall(SYS_write, trace, line, (size_t)length);
    counted++;
    int chosen = strstr(path, pattern) && ++matched == at;
    if (chosen && !fault && delay) start_timer();
    else if ((chosen && !fault) || counted == last) action = HALVE_AND_DIE;
    else if (chosen && sticky) filling = 1, action = writes ? HALVE : takes_space ? FAIL : PASS;
    else if (chosen) action = FAIL;
    else if (filling && takes_space) action = FAIL;
    pthread_mutex_unlock(&lock);
    if (action == HALVE_AND_DIE && !writes) kill(0, SIGKILL);
    if (action == FAIL) errno = fault;
    return action;
}

static const char *path_of(int fd, char *buffer, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = *folder ? readlink(link, buffer, size - 1) : -1;
    buffer[length < 0 ? 0 : length] = 0;
    return *buffer == '/' ? buffer : "/"; /* a pipe has no path */
}

#define REAL(name) ({ static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name); real; })
#define CHANGES_PATH(name, space, parameters, arguments)                                                              \
    int name parameters {                                                                                             \
        if (decide(#name, path, space, 0) == FAIL) return -1;                                                         \
        return REAL(name) arguments;                                                                                  \
    }
#define CHANGES_FILE(name, space, parameters, arguments)                                                              \
    int name parameters {                                                                                             \
        char buffer[4096];                                                                                            \
        if (decide(#name, path_of(fd, buffer, sizeof buffer), space, 0) == FAIL) return -1;                           \
        return REAL(name) arguments;                                                                                  \
    }
#define WRITES(name, parameters, whole, half)                                                                         \
    ssize_t name parameters {                                                                                         \
        char buffer[4096];                                                                                            \
        enum action action = decide(#name, path_of(fd, buffer, sizeof buffer), 1, 1);                                 \
        if (action == FAIL) return -1;                                                                                \
        if (action == PASS) return REAL(name) whole;                                                                  \
        ssize_t written = REAL(name) half;                                                                            \
        if (action == HALVE_AND_DIE) kill(0, SIGKILL);                                                                \
        return written;                                                                                               \
    }
#define OPENS(name)                                                                                                   \
    int name(const char *path, int flags, ...) {                                                                      \
        va_list rest;                                                                                                 \
        va_start(rest, flags);                                                                                        \
        mode_t mode = va_arg(rest, mode_t);                                                                           \
        va_end(rest);                                                                                                 \
        if ((flags & (O_WRONLY | O_RDWR | O_CREAT)) && decide("open", path, flags & O_CREAT, 0) == FAIL) return -1;   \
        return REAL(name)(path, flags, mode);                                                                         \
    }

OPENS(open)
OPENS(open64)
CHANGES_PATH(mkdir, 1, (const char *path, mode_t mode), (path, mode))
CHANGES_PATH(unlink, 0, (const char *path), (path))
CHANGES_PATH(chmod, 0, (const char *path, mode_t mode), (path, mode))
CHANGES_PATH(rename, 0, (const char *path, const char *to), (path, to))
CHANGES_FILE(fsync, 0, (int fd), (fd))
CHANGES_FILE(ftruncate, 0, (int fd, off_t size), (fd, size))
WRITES(write, (int fd, const void *data, size_t size), (fd, data, size), (fd, data, (size + 1) / 2))
WRITES(pwrite64, (int fd, const void *data, size_t size, off64_t start), (fd, data, size, start),
       (fd, data, (size + 1) / 2, start))
WRITES(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), (fd, parts, (count + 1) / 2))
