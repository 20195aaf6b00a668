/* File operations that fail on purpose: loaded before the C library, armed by the process that is tried.

   Counted are the operations on files below `root`. The one with the number `at` fails in the way of its kind; with
   `at` 0 none does, and every operation is written to the file descriptor `log`. Threads share the count. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FULL, BROKEN, SHORT, DEAD };

static char root[4096];
static int kind, log_to = -1;
static long at;
static atomic_long count;
static __thread int inside, reading;

void faults_arm(const char *folder, int how, long number, int log) {
    strncpy(root, folder, sizeof root - 1);
    kind = how, at = number, log_to = log, count = 0;
}

long faults_count(void) { return count; }

/* Whether this operation is to fail; 2 where it is to do a part of its work. */
static int fails(const char *operation, const char *path) {
    if (!root[0] || inside || !path || strncmp(path, root, strlen(root))) return 0;
    long number = ++count;
    if (log_to >= 0) {
        char line[4400];
        inside = 1;
        int size = snprintf(line, sizeof line, "%s %s\n", operation, path + strlen(root));
        if (write(log_to, line, size) < 0) _exit(99);
        inside = 0;
    }
    if (number != at) return 0;
    if (kind == DEAD) raise(SIGKILL);
    reading = !strcmp(operation, "read") || !strcmp(operation, "open") || !strcmp(operation, "unlink");
    return kind == SHORT ? 2 : 1;
}

static const char *path_of(int fd) {
    static __thread char path[4096];
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    path[size < 0 ? 0 : size] = 0;
    return path;
}

static const char *whole(int folder, const char *path) {
    static __thread char joined[8300];
    if (!path || path[0] == '/') return path;
    if (folder == AT_FDCWD) {
        char here[4096];
        if (!getcwd(here, sizeof here)) return path;
        snprintf(joined, sizeof joined, "%s/%s", here, path);
    } else {
        snprintf(joined, sizeof joined, "%s/%s", path_of(folder), path);
    }
    return joined;
}

static int refused(void) {
    errno = kind == FULL && !reading ? ENOSPC : EIO;
    return -1;
}

#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, name)

#define OPENING(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, #name, const char *, int, ...); \
        va_list more; va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; va_end(more); \
        if (!(flags & O_DIRECTORY) && fails(flags & O_CREAT ? "create" : "open", whole(AT_FDCWD, path))) return refused(); \
        return real(path, flags, mode); \
    }
OPENING(open)
OPENING(open64)

#define OPENING_AT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(int, #name, int, const char *, int, ...); \
        va_list more; va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; va_end(more); \
        if (!(flags & O_DIRECTORY) && fails(flags & O_CREAT ? "create" : "open", whole(folder, path))) return refused(); \
        return real(folder, path, flags, mode); \
    }
OPENING_AT(openat)
OPENING_AT(openat64)

#define FOPENING(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(FILE *, #name, const char *, const char *); \
        if (fails(mode[0] == 'r' ? "open" : "create", whole(AT_FDCWD, path))) { refused(); return NULL; } \
        return real(path, mode); \
    }
FOPENING(fopen)
FOPENING(fopen64)

ssize_t write(int fd, const void *from, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    int how = root[0] && !inside ? fails("write", path_of(fd)) : 0;
    return how == 1 ? refused() : real(fd, from, how ? size / 2 : size);
}

#define WRITING_AT(name, offset) \
    ssize_t name(int fd, const void *from, size_t size, offset where) { \
        REAL(ssize_t, #name, int, const void *, size_t, offset); \
        int how = fails("write", path_of(fd)); \
        return how == 1 ? refused() : real(fd, from, how ? size / 2 : size, where); \
    }
WRITING_AT(pwrite, off_t)
WRITING_AT(pwrite64, off64_t)

ssize_t read(int fd, void *to, size_t size) {
    REAL(ssize_t, "read", int, void *, size_t);
    int how = root[0] && !inside ? fails("read", path_of(fd)) : 0;
    return how == 1 ? refused() : real(fd, to, how ? size / 2 : size);
}

#define READING_AT(name, offset) \
    ssize_t name(int fd, void *to, size_t size, offset where) { \
        REAL(ssize_t, #name, int, void *, size_t, offset); \
        int how = fails("read", path_of(fd)); \
        return how == 1 ? refused() : real(fd, to, how ? size / 2 : size, where); \
    }
READING_AT(pread, off_t)
READING_AT(pread64, off64_t)

#define ON_FILE(name) \
    int name(int fd) { \
        REAL(int, #name, int); \
        return fails(#name, path_of(fd)) == 1 ? refused() : real(fd); \
    }
ON_FILE(fsync)
ON_FILE(fdatasync)

#define ON_PATHS(name) \
    int name(const char *from, const char *to) { \
        REAL(int, #name, const char *, const char *); \
        return fails(#name, whole(AT_FDCWD, from)) == 1 ? refused() : real(from, to); \
    }
ON_PATHS(rename)
ON_PATHS(link)

int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    REAL(int, "renameat2", int, const char *, int, const char *, unsigned);
    return fails("renameat2", whole(a, from)) == 1 ? refused() : real(a, from, b, to, flags);
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    return fails("unlink", whole(AT_FDCWD, path)) == 1 ? refused() : real(path);
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    return fails("mkdir", whole(AT_FDCWD, path)) == 1 ? refused() : real(path, mode);
}

#define TRUNCATING(name, offset) \
    int name(int fd, offset size) { \
        REAL(int, #name, int, offset); \
        return fails("truncate", path_of(fd)) == 1 ? refused() : real(fd, size); \
    }
TRUNCATING(ftruncate, off_t)
TRUNCATING(ftruncate64, off64_t)
