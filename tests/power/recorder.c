/* A disk whose writes and flushes are recorded: a file `disk` in front of an image, for a loop device.
 *
 *     recorder IMAGE LOG [FUSE OPTION...] MOUNTPOINT
 *
 * LOG gets {'W', offset, length} and the bytes for each write, {'F', 0, 0} for each flush, and {'M', 0, length} and the
 * bytes for what is written to the file `marks` beside `disk`, in the order in which they were answered. What is not
 * followed by a flush may be lost when the power goes, and may reach the device in any order. A mark tells how far a
 * program was: what it had been told by then was told on the strength of the writes and flushes before.
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int image, record;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

struct entry {
    uint64_t kind, offset, length;
};

static int note(uint64_t kind, uint64_t offset, uint64_t length, const char *bytes) {
    struct entry entry = {kind, offset, length};
    if (write(record, &entry, sizeof entry) != sizeof entry)
        return -EIO;
    if (length > 0 && write(record, bytes, length) != (ssize_t)length)
        return -EIO;
    return 0;
}

static int is_disk(const char *path) {
    return strcmp(path, "/disk") == 0;
}

static int is_marks(const char *path) {
    return strcmp(path, "/marks") == 0;
}

static int disk_getattr(const char *path, struct stat *stat, struct fuse_file_info *file) {
    (void)file;
    memset(stat, 0, sizeof *stat);
    if (strcmp(path, "/") == 0) {
        stat->st_mode = S_IFDIR | 0755;
        stat->st_nlink = 2;
        return 0;
    }
    if (!is_disk(path) && !is_marks(path))
        return -ENOENT;
    stat->st_mode = S_IFREG | 0600;
    stat->st_nlink = 1;
    if (is_disk(path)) {
        struct stat real;
        if (fstat(image, &real) < 0)
            return -errno;
        stat->st_size = real.st_size;
    }
    return 0;
}

static int disk_open(const char *path, struct fuse_file_info *file) {
    /* A mark arrives as it is written, whatever the kernel thinks the length of the file is. */
    file->direct_io = is_marks(path);
    return is_disk(path) || is_marks(path) ? 0 : -ENOENT;
}

static int disk_read(const char *path, char *bytes, size_t length, off_t offset, struct fuse_file_info *file) {
    (void)file;
    if (!is_disk(path))
        return 0;
    ssize_t done = pread(image, bytes, length, offset);
    return done < 0 ? -errno : (int)done;
}

static int disk_write(const char *path, const char *bytes, size_t length, off_t offset, struct fuse_file_info *file) {
    (void)file;
    pthread_mutex_lock(&order);
    ssize_t done = is_disk(path) ? pwrite(image, bytes, length, offset) : (ssize_t)length;
    int answer = done < 0 ? -errno : (int)done;
    if (done > 0) {
        int failed = note(is_disk(path) ? 'W' : 'M', offset, done, bytes);
        if (failed)
            answer = failed;
    }
    pthread_mutex_unlock(&order);
    return answer;
}

static int disk_fsync(const char *path, int data, struct fuse_file_info *file) {
    (void)data, (void)file;
    if (!is_disk(path))
        return 0;
    pthread_mutex_lock(&order);
    int answer = note('F', 0, 0, NULL);
    pthread_mutex_unlock(&order);
    return answer;
}

static int disk_readdir(const char *path, void *room, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *file,
                        enum fuse_readdir_flags flags) {
    (void)path, (void)offset, (void)file, (void)flags;
    fill(room, "disk", NULL, 0, 0);
    fill(room, "marks", NULL, 0, 0);
    return 0;
}

static const struct fuse_operations operations = {
    .getattr = disk_getattr,
    .open = disk_open,
    .read = disk_read,
    .write = disk_write,
    .fsync = disk_fsync,
    .readdir = disk_readdir,
};

int main(int count, char **arguments) {
    if (count < 4) {
        fprintf(stderr, "usage: recorder IMAGE LOG [FUSE OPTION...] MOUNTPOINT\n");
        return 2;
    }
    image = open(arguments[1], O_RDWR | O_CLOEXEC);
    record = open(arguments[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (image < 0 || record < 0) {
        perror("recorder");
        return 1;
    }
    arguments[2] = arguments[0];
    return fuse_main(count - 2, arguments + 2, &operations, NULL);
}
