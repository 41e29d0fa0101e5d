/* Deliberate faults for the power-cut tests, which have to find them: a library for LD_PRELOAD.
 *
 * POWER_FAULT names the fault:
 *   no-file-sync          files are never synchronised
 *   no-directory-sync     directories are never synchronised
 *   name-before-content   a file is synchronised only when, after it, a directory has been
 *   commit-before-content the same, but only when the directory has been after a rename to `commit`
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 1024 };
static enum { NONE, NO_FILE, NO_DIRECTORY, NAME_FIRST, COMMIT_FIRST } fault;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int late[MOST], count, committed;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("POWER_FAULT");
    if (name == NULL)
        return;
    fault = strcmp(name, "no-file-sync") == 0            ? NO_FILE
            : strcmp(name, "no-directory-sync") == 0     ? NO_DIRECTORY
            : strcmp(name, "name-before-content") == 0   ? NAME_FIRST
            : strcmp(name, "commit-before-content") == 0 ? COMMIT_FIRST
                                                         : NONE;
    if (fault == NONE)
        abort();
}

/* Called with the lock held. */
static void catch_up(void) {
    for (int n = 0; n < count; n++) {
        syscall(SYS_fsync, late[n]);
        close(late[n]);
    }
    count = 0;
    committed = 0;
}

static int call(int descriptor, long number, off_t offset, off_t length, unsigned flags) {
    return number == SYS_sync_file_range ? syscall(number, descriptor, offset, length, flags)
                                         : syscall(number, descriptor);
}

static int synchronise(int descriptor, long number, off_t offset, off_t length, unsigned flags) {
    struct stat status;
    int is_directory = fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode);
    if (fault == NONE || (fault == NO_FILE && is_directory) || (fault == NO_DIRECTORY && !is_directory))
        return call(descriptor, number, offset, length, flags);
    if (fault == NO_FILE || fault == NO_DIRECTORY)
        return 0;
    pthread_mutex_lock(&lock);
    int result = 0;
    if (is_directory) {
        result = call(descriptor, number, offset, length, flags);
        if (fault == NAME_FIRST || committed)
            catch_up();
    } else {
        int other = count < MOST ? fcntl(descriptor, F_DUPFD_CLOEXEC, 0) : -1;
        if (other < 0)
            abort();
        late[count++] = other;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int descriptor) {
    return synchronise(descriptor, SYS_fsync, 0, 0, 0);
}

int fdatasync(int descriptor) {
    return synchronise(descriptor, SYS_fdatasync, 0, 0, 0);
}

/* Where the file system keeps the order of changes, this takes the place of fsync() for files. */
int sync_file_range(int descriptor, off_t offset, off_t length, unsigned flags) {
    if ((flags & SYNC_FILE_RANGE_WAIT_AFTER) == 0)
        return syscall(SYS_sync_file_range, descriptor, offset, length, flags);
    return synchronise(descriptor, SYS_sync_file_range, offset, length, flags);
}

static void renamed(const char *to) {
    const char *slash = strrchr(to, '/');
    if (strcmp(slash ? slash + 1 : to, "commit") == 0) {
        pthread_mutex_lock(&lock);
        committed = 1;
        pthread_mutex_unlock(&lock);
    }
}

int renameat(int from, const char *old, int to, const char *new) {
    renamed(new);
    return syscall(SYS_renameat2, from, old, to, new, 0);
}

int rename(const char *old, const char *new) {
    return renameat(AT_FDCWD, old, AT_FDCWD, new);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    renamed(new);
    return syscall(SYS_renameat2, from, old, to, new, flags);
}
