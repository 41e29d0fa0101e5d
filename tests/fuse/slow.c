/*
 * A slow disk: a FUSE file system that passes every request on to a backing folder, late.
 *
 *     slow BACKING MOUNTPOINT [-o delay=MS] [-o gate=FILE] [-o all] [-o hide] [FUSE options]
 *
 * Every request first sleeps `delay` milliseconds (300 unless told). A request on a name that starts with "held", but
 * for that of its attributes, waits for as long as the file `gate` exists, so that a test can decide when it ends; with
 * `all` every request but for attributes does. A request on a name that starts with "eio-" fails with EIO when the
 * name goes on with the request's own name: opening "eio-open.txt" fails, reading "eio-read" does, and so on. Nothing is cached: each look-up of each component of a path arrives here. With `hide` a
 * file that is removed while it is open stays behind under a hidden name, and so can be used until it is closed.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 31

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static struct {
	char *backing;
	char *gate;
	unsigned int delay;
	int all;
	int hide;
} options = { .delay = 300 };

static const struct fuse_opt specification[] = {
	{ "delay=%u", offsetof(__typeof__(options), delay), 0 },
	{ "gate=%s", offsetof(__typeof__(options), gate), 0 },
	{ "all", offsetof(__typeof__(options), all), 1 },
	{ "hide", offsetof(__typeof__(options), hide), 1 },
	FUSE_OPT_END,
};

static void sleep_milliseconds(unsigned int milliseconds)
{
	struct timespec left = { milliseconds / 1000, (milliseconds % 1000) * 1000000L };

	while (nanosleep(&left, &left) == -1 && errno == EINTR)
		;
}

static int starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* What every request does first; 0, or the error that was asked for by name. A file that is open, but was removed, has
 * no path. */
static int arrive(const char *request, const char *path)
{
	const char *name = path ? strrchr(path, '/') + 1 : "";

	sleep_milliseconds(options.delay);
	if (options.gate && (options.all || starts_with(name, "held")) && strcmp(request, "getattr") != 0)
		while (access(options.gate, F_OK) == 0)
			sleep_milliseconds(5);
	if (starts_with(name, "eio-") && starts_with(name + strlen("eio-"), request))
		return -EIO;
	return 0;
}

/* The path in the backing folder: "/a" is BACKING/a. The caller's buffer has PATH_MAX bytes. */
static int locate(char *buffer, const char *path)
{
	if (snprintf(buffer, PATH_MAX, "%s%s", options.backing, path ? path : "") >= PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

/* The head of every callback: waits, fails if the name says so, and finds the backing path. */
#define BEGIN(request)                                      \
	char real[PATH_MAX];                                \
	int error = arrive(request, path);                  \
	if (error == 0)                                     \
		error = locate(real, path);                 \
	if (error != 0)                                     \
		return error

#define RESULT(call) return (call) == -1 ? -errno : 0

static void *slow_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
	/* Look-ups of new names in one folder arrive side by side, once libfuse (before 3.17) tells the kernel so. */
	connection->want |= connection->capable & FUSE_CAP_PARALLEL_DIROPS;
	config->use_ino = 1;
	config->hard_remove = !options.hide;
	config->entry_timeout = 0;
	config->negative_timeout = 0;
	config->attr_timeout = 0;
	return NULL;
}

static int slow_getattr(const char *path, struct stat *status, struct fuse_file_info *file)
{
	BEGIN("getattr");
	if (file)
		RESULT(fstat((int)file->fh, status));
	RESULT(lstat(real, status));
}

static int slow_readlink(const char *path, char *target, size_t size)
{
	BEGIN("readlink");
	ssize_t length = readlink(real, target, size - 1);
	if (length == -1)
		return -errno;
	target[length] = '\0';
	return 0;
}

/* What a request makes belongs to whoever asked for it, although this program runs as someone else. */
static int belong_to_caller(const char *real, int result)
{
	struct fuse_context *context = fuse_get_context();

	if (result == -1)
		return -errno;
	if (lchown(real, context->uid, context->gid) == -1 && errno != EPERM)
		return -errno;
	return 0;
}

static int slow_mknod(const char *path, mode_t mode, dev_t device)
{
	BEGIN("mknod");
	return belong_to_caller(real, mknod(real, mode, device));
}

static int slow_mkdir(const char *path, mode_t mode)
{
	BEGIN("mkdir");
	return belong_to_caller(real, mkdir(real, mode));
}

static int slow_unlink(const char *path)
{
	BEGIN("unlink");
	RESULT(unlink(real));
}

static int slow_rmdir(const char *path)
{
	BEGIN("rmdir");
	RESULT(rmdir(real));
}

static int slow_symlink(const char *target, const char *path)
{
	BEGIN("symlink");
	return belong_to_caller(real, symlink(target, real));
}

static int slow_rename(const char *path, const char *target, unsigned int flags)
{
	char real_target[PATH_MAX];
	BEGIN("rename");
	error = locate(real_target, target);
	if (error != 0)
		return error;
	RESULT(renameat2(AT_FDCWD, real, AT_FDCWD, real_target, flags));
}

static int slow_link(const char *path, const char *new_path)
{
	char real_new[PATH_MAX];
	BEGIN("link");
	error = locate(real_new, new_path);
	if (error != 0)
		return error;
	RESULT(link(real, real_new));
}

static int slow_chmod(const char *path, mode_t mode, struct fuse_file_info *file)
{
	(void)file;
	BEGIN("chmod");
	RESULT(chmod(real, mode));
}

static int slow_chown(const char *path, uid_t user, gid_t group, struct fuse_file_info *file)
{
	(void)file;
	BEGIN("chown");
	RESULT(lchown(real, user, group));
}

static int slow_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *file)
{
	(void)file;
	BEGIN("utimens");
	RESULT(utimensat(AT_FDCWD, real, times, AT_SYMLINK_NOFOLLOW));
}

static int slow_truncate(const char *path, off_t size, struct fuse_file_info *file)
{
	BEGIN("truncate");
	if (file)
		RESULT(ftruncate((int)file->fh, size));
	RESULT(truncate(real, size));
}

static int slow_create(const char *path, mode_t mode, struct fuse_file_info *file)
{
	BEGIN("create");
	int handle = open(real, file->flags, mode);
	if (handle == -1)
		return -errno;
	file->fh = (uint64_t)handle;
	return belong_to_caller(real, 0);
}

static int slow_open(const char *path, struct fuse_file_info *file)
{
	BEGIN("open");
	int handle = open(real, file->flags & ~O_CREAT);
	if (handle == -1)
		return -errno;
	file->fh = (uint64_t)handle;
	return 0;
}

static int slow_read(const char *path, char *data, size_t size, off_t offset, struct fuse_file_info *file)
{
	BEGIN("read");
	ssize_t count = pread((int)file->fh, data, size, offset);
	return count == -1 ? -errno : (int)count;
}

static int slow_write(const char *path, const char *data, size_t size, off_t offset, struct fuse_file_info *file)
{
	BEGIN("write");
	ssize_t count = pwrite((int)file->fh, data, size, offset);
	return count == -1 ? -errno : (int)count;
}

static int slow_flush(const char *path, struct fuse_file_info *file)
{
	BEGIN("flush");
	RESULT(close(dup((int)file->fh)));
}

static int slow_release(const char *path, struct fuse_file_info *file)
{
	(void)arrive("release", path);
	close((int)file->fh);
	return 0;
}

static int slow_fsync(const char *path, int only_data, struct fuse_file_info *file)
{
	BEGIN("fsync");
	RESULT(only_data ? fdatasync((int)file->fh) : fsync((int)file->fh));
}

static int slow_statfs(const char *path, struct statvfs *status)
{
	BEGIN("statfs");
	RESULT(statvfs(real, status));
}

static int slow_opendir(const char *path, struct fuse_file_info *file)
{
	BEGIN("opendir");
	DIR *directory = opendir(real);
	if (!directory)
		return -errno;
	file->fh = (uint64_t)(uintptr_t)directory;
	return 0;
}

static int slow_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
			struct fuse_file_info *file, enum fuse_readdir_flags flags)
{
	DIR *directory = (DIR *)(uintptr_t)file->fh;
	struct dirent *entry;

	BEGIN("readdir");
	if (offset == 0)
		rewinddir(directory);
	else
		seekdir(directory, offset);
	while ((entry = readdir(directory)) != NULL) {
		struct stat status = { .st_ino = entry->d_ino, .st_mode = (mode_t)entry->d_type << 12 };
		enum fuse_fill_dir_flags known = 0;
		if (flags & FUSE_READDIR_PLUS &&
		    fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
			known = FUSE_FILL_DIR_PLUS;
		if (fill(buffer, entry->d_name, &status, telldir(directory), known))
			break; /* the buffer is full */
	}
	return 0;
}

static int slow_releasedir(const char *path, struct fuse_file_info *file)
{
	(void)arrive("releasedir", path);
	closedir((DIR *)(uintptr_t)file->fh);
	return 0;
}

static int slow_setxattr(const char *path, const char *name, const char *value, size_t size, int flags)
{
	BEGIN("setxattr");
	RESULT(lsetxattr(real, name, value, size, flags));
}

static int slow_getxattr(const char *path, const char *name, char *value, size_t size)
{
	BEGIN("getxattr");
	ssize_t length = lgetxattr(real, name, value, size);
	return length == -1 ? -errno : (int)length;
}

static int slow_listxattr(const char *path, char *list, size_t size)
{
	BEGIN("listxattr");
	ssize_t length = llistxattr(real, list, size);
	return length == -1 ? -errno : (int)length;
}

static int slow_removexattr(const char *path, const char *name)
{
	BEGIN("removexattr");
	RESULT(lremovexattr(real, name));
}

static const struct fuse_operations operations = {
	.init = slow_init,
	.getattr = slow_getattr,
	.readlink = slow_readlink,
	.mknod = slow_mknod,
	.mkdir = slow_mkdir,
	.unlink = slow_unlink,
	.rmdir = slow_rmdir,
	.symlink = slow_symlink,
	.rename = slow_rename,
	.link = slow_link,
	.chmod = slow_chmod,
	.chown = slow_chown,
	.utimens = slow_utimens,
	.truncate = slow_truncate,
	.create = slow_create,
	.open = slow_open,
	.read = slow_read,
	.write = slow_write,
	.flush = slow_flush,
	.release = slow_release,
	.fsync = slow_fsync,
	.statfs = slow_statfs,
	.opendir = slow_opendir,
	.readdir = slow_readdir,
	.releasedir = slow_releasedir,
	.setxattr = slow_setxattr,
	.getxattr = slow_getxattr,
	.listxattr = slow_listxattr,
	.removexattr = slow_removexattr,
};

/* The first plain argument is the backing folder; libfuse takes the second as the mount point. */
static int take_backing(void *data, const char *argument, int key, struct fuse_args *out)
{
	(void)data;
	(void)out;
	if (key == FUSE_OPT_KEY_NONOPT && !options.backing) {
		options.backing = realpath(argument, NULL);
		return options.backing ? 0 : -1;
	}
	return 1;
}

int main(int count, char *arguments[])
{
	struct fuse_args all = FUSE_ARGS_INIT(count, arguments);

	/* A test run that is killed must not leave its disks behind. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	umask(0);
	if (fuse_opt_parse(&all, &options, specification, take_backing) == -1 || !options.backing) {
		fprintf(stderr, "usage: %s BACKING MOUNTPOINT [-o delay=MS] [-o gate=FILE]\n", arguments[0]);
		return 2;
	}
	return fuse_main(all.argc, all.argv, &operations, NULL);
}
