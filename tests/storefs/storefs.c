/*
 * storefs: a FUSE mount of a backing directory with configurable latencies and faults.
 * It simulates a remote store (an S3 or NFS mount) in tests and benchmarks.
 *
 *     storefs BACKING MOUNTPOINT [-o kernel_cache,entry_timeout=5,attr_timeout=5]
 *
 * It runs in the foreground and reads commands, one a line, from standard input. It answers each with one line:
 * "ok", "error: ..." or, for counts, JSON. At the end of the input it unmounts and exits.
 * Commands do not come through the mount (as setxattr on its root), because the kernel holds the lock of a directory
 * while an operation in it hangs, so a command that ends the hang would have to wait for it.
 *
 *     latency OP MICROSECONDS       additional latency of every OP
 *     fault OP ERROR COUNT [TEXT]   the next COUNT (-1: all) OPs on a path that contains TEXT fail with errno ERROR;
 *                                   `hang=SECONDS` makes them hang, and `short` makes writes short. The first
 *                                   fault that matches applies
 *     space BYTES                   writes fail with ENOSPC after BYTES more (-1: no limit)
 *     clear                         remove all faults and the limit, and let hanging operations continue
 *     counts                        operations so far by name, `bytes` written, operations `hanging` now
 *
 * Paths start with / at the mount. `lookup` is any request for attributes by path: the kernel requests each
 * part of a path that it has not cached, and the FUSE library requests once more after mkdir and symlink.
 * A hanging operation waits for `clear` and then continues; after SECONDS it fails with ETIMEDOUT. A process that
 * waits in the kernel cannot be killed, so without the timeout a hanging test, and this program, would never end.
 * `flush` is close(); `setattr` is chmod, chown, truncate and utime; `open` applies to files, `readdir` to directories.
 * As on many such stores, there are no hard links, special files or extended attributes, all files belong to
 * the user who runs this program, and inode numbers differ from those of the backing directory.
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum op {
    LOOKUP, OPEN, CREATE, READ, WRITE, FLUSH, FSYNC, READDIR,
    MKDIR, RMDIR, RENAME, UNLINK, SETATTR, SYMLINK, READLINK, STATFS, OPS
};

static const char *const op_names[OPS] = {
    "lookup", "open", "create", "read", "write", "flush", "fsync", "readdir",
    "mkdir", "rmdir", "rename", "unlink", "setattr", "symlink", "readlink", "statfs"
};

/* The effects of a fault other than a (negative) errno. */
enum { HANG = 1, SHORT = 2 };

struct fault {
    enum op op;
    int effect;
    long seconds; /* timeout of a HANG */
    long left;    /* remaining operations; 0: used up, -1: until cleared */
    char text[256];
};

struct handle {
    int fd;
    char path[]; /* when the file was opened; to match the TEXT of a fault */
};

static const char *mountpoint;
static int root_fd; /* the backing directory; every path below is relative to it */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects all variables below */
static pthread_cond_t cleared = PTHREAD_COND_INITIALIZER;
static struct fault faults[32]; /* in the order of the commands */
static size_t fault_count;
static long latencies[OPS], counts[OPS];
static long bytes, hanging, clears;
static long space = -1;

/* Before the operation */

static struct fault *find_fault(enum op op, const char *path, const char *other)
{
    for (size_t i = 0; i < fault_count; i++) {
        struct fault *fault = &faults[i];
        if (fault->left == 0 || fault->op != op)
            continue;
        if (strstr(path, fault->text) || (other && strstr(other, fault->text)))
            return fault;
    }
    return NULL;
}

/* Returns 0 after `clear`, or -ETIMEDOUT after SECONDS. */
static int hang(long seconds)
{
    long before = clears;
    int error = 0;
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    hanging++;
    while (clears == before && error == 0)
        error = pthread_cond_timedwait(&cleared, &lock, &until);
    hanging--;
    return -error;
}

static void wait_latency(enum op op)
{
    pthread_mutex_lock(&lock);
    counts[op]++;
    long delay = latencies[op];
    pthread_mutex_unlock(&lock);

    struct timespec time = {delay / 1000000, delay % 1000000 * 1000};
    if (delay > 0)
        nanosleep(&time, NULL);
}

/* Counts and delays an operation. Returns 0, SHORT or a negative errno. OTHER may be NULL. */
static int begin(enum op op, const char *path, const char *other)
{
    wait_latency(op);
    pthread_mutex_lock(&lock);
    struct fault *fault = find_fault(op, path, other);
    int effect = 0;
    if (fault) {
        effect = fault->effect;
        if (fault->left > 0)
            fault->left--;
    }
    if (effect == HANG)
        effect = hang(fault->seconds);
    pthread_mutex_unlock(&lock);
    return effect;
}

/* Returns how many of SIZE bytes fit into the remaining space. */
static size_t take_space(size_t size)
{
    pthread_mutex_lock(&lock);
    if (space >= 0) {
        size = size < (size_t)space ? size : (size_t)space;
        space -= size;
    }
    bytes += size;
    pthread_mutex_unlock(&lock);
    return size;
}

static const char *below_root(const char *path)
{
    return path[1] ? path + 1 : ".";
}

static int outcome(int result)
{
    return result < 0 ? -errno : 0;
}

/* Files */

static struct handle *handle_of(const struct fuse_file_info *info)
{
    return (struct handle *)(uintptr_t)info->fh;
}

static int open_handle(const char *path, mode_t mode, struct fuse_file_info *info)
{
    struct handle *file = malloc(sizeof *file + strlen(path) + 1);
    if (!file)
        return -ENOMEM;
    strcpy(file->path, path);
    file->fd = openat(root_fd, below_root(path), info->flags | O_CLOEXEC, mode);
    if (file->fd < 0) {
        int error = errno;
        free(file);
        return -error;
    }
    info->fh = (uintptr_t)file;
    return 0;
}

static int store_open(const char *path, struct fuse_file_info *info)
{
    int error = begin(OPEN, path, NULL);
    return error ? error : open_handle(path, 0, info);
}

static int store_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
    int error = begin(CREATE, path, NULL);
    return error ? error : open_handle(path, mode, info);
}

static int store_read(const char *path, char *data, size_t size, off_t offset, struct fuse_file_info *info)
{
    struct handle *file = handle_of(info);
    int error = begin(READ, file->path, NULL);
    if (error)
        return error;
    ssize_t got = pread(file->fd, data, size, offset);
    return got < 0 ? -errno : (int)got;
}

static int store_write(const char *path, const char *data, size_t size, off_t offset,
                       struct fuse_file_info *info)
{
    struct handle *file = handle_of(info);
    int effect = begin(WRITE, file->path, NULL);
    if (effect < 0)
        return effect;
    if (effect == SHORT)
        size = (size + 1) / 2;
    size = take_space(size);
    if (size == 0)
        return -ENOSPC;
    ssize_t written = pwrite(file->fd, data, size, offset);
    return written < 0 ? -errno : (int)written;
}

static int store_flush(const char *path, struct fuse_file_info *info)
{
    return begin(FLUSH, handle_of(info)->path, NULL);
}

static int store_fsync(const char *path, int data_only, struct fuse_file_info *info)
{
    struct handle *file = handle_of(info);
    int error = begin(FSYNC, file->path, NULL);
    return error ? error : outcome(data_only ? fdatasync(file->fd) : fsync(file->fd));
}

static int store_release(const char *path, struct fuse_file_info *info)
{
    struct handle *file = handle_of(info);
    close(file->fd);
    free(file);
    return 0;
}

/* Attributes */

static int store_getattr(const char *path, struct stat *status, struct fuse_file_info *info)
{
    if (info)
        return outcome(fstat(handle_of(info)->fd, status));
    int error = begin(LOOKUP, path, NULL);
    return error ? error : outcome(fstatat(root_fd, below_root(path), status, AT_SYMLINK_NOFOLLOW));
}

/* PATH may be NULL for an open file: with `nullpath_ok`, FUSE passes only the handle. */
static int begin_setattr(const char *path, const struct fuse_file_info *info)
{
    return begin(SETATTR, info ? handle_of(info)->path : path, NULL);
}

static int store_chmod(const char *path, mode_t mode, struct fuse_file_info *info)
{
    int error = begin_setattr(path, info);
    if (error)
        return error;
    return outcome(info ? fchmod(handle_of(info)->fd, mode) : fchmodat(root_fd, below_root(path), mode, 0));
}

static int store_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *info)
{
    int error = begin_setattr(path, info);
    if (error)
        return error;
    if (info)
        return outcome(fchown(handle_of(info)->fd, uid, gid));
    return outcome(fchownat(root_fd, below_root(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int store_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *info)
{
    int error = begin_setattr(path, info);
    if (error)
        return error;
    if (info)
        return outcome(futimens(handle_of(info)->fd, times));
    return outcome(utimensat(root_fd, below_root(path), times, AT_SYMLINK_NOFOLLOW));
}

static int store_truncate(const char *path, off_t size, struct fuse_file_info *info)
{
    int error = begin_setattr(path, info);
    if (error)
        return error;
    if (info)
        return outcome(ftruncate(handle_of(info)->fd, size));
    int fd = openat(root_fd, below_root(path), O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    error = outcome(ftruncate(fd, size));
    close(fd);
    return error;
}

static int store_statfs(const char *path, struct statvfs *status)
{
    int error = begin(STATFS, path, NULL);
    return error ? error : outcome(fstatvfs(root_fd, status));
}

/* Names */

static int store_opendir(const char *path, struct fuse_file_info *info)
{
    return open_handle(path, 0, info);
}

static int store_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
                         struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
    struct handle *file = handle_of(info);
    int error = begin(READDIR, file->path, NULL);
    if (error)
        return error;
    int fd = openat(file->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a new descriptor, positioned at the start */
    if (fd < 0)
        return -errno;
    DIR *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return -ENOMEM;
    }
    struct dirent *entry;
    while ((entry = readdir(folder))) {
        struct stat status = {.st_ino = entry->d_ino, .st_mode = DTTOIF(entry->d_type)};
        fill(buffer, entry->d_name, &status, 0, 0);
    }
    closedir(folder);
    return 0;
}

static int store_mkdir(const char *path, mode_t mode)
{
    int error = begin(MKDIR, path, NULL);
    return error ? error : outcome(mkdirat(root_fd, below_root(path), mode));
}

static int store_rmdir(const char *path)
{
    int error = begin(RMDIR, path, NULL);
    return error ? error : outcome(unlinkat(root_fd, below_root(path), AT_REMOVEDIR));
}

static int store_unlink(const char *path)
{
    int error = begin(UNLINK, path, NULL);
    return error ? error : outcome(unlinkat(root_fd, below_root(path), 0));
}

static int store_rename(const char *path, const char *target, unsigned flags)
{
    int error = begin(RENAME, path, target);
    return error ? error : outcome(renameat2(root_fd, below_root(path), root_fd, below_root(target), flags));
}

static int store_symlink(const char *content, const char *path)
{
    int error = begin(SYMLINK, path, NULL);
    return error ? error : outcome(symlinkat(content, root_fd, below_root(path)));
}

static int store_readlink(const char *path, char *content, size_t size)
{
    int error = begin(READLINK, path, NULL);
    if (error)
        return error;
    ssize_t length = readlinkat(root_fd, below_root(path), content, size - 1);
    if (length < 0)
        return -errno;
    content[length] = '\0';
    return 0;
}

/* Commands */

static int op_of(const char *name)
{
    for (int op = 0; op < OPS; op++)
        if (strcmp(name, op_names[op]) == 0)
            return op;
    return -1;
}

static const char *set_latency(const char *name, long microseconds)
{
    int op = op_of(name);
    if (op < 0)
        return "error: no such operation";
    if (microseconds < 0)
        return "error: a latency is 0 or more";
    latencies[op] = microseconds;
    return "ok";
}

static void drop_used_up(void)
{
    size_t remaining = 0;

    for (size_t i = 0; i < fault_count; i++)
        if (faults[i].left != 0)
            faults[remaining++] = faults[i];
    fault_count = remaining;
}

/* Parses the ERROR of a fault for OP; returns 0 if it is invalid. */
static int effect_of(enum op op, const char *error, long *seconds)
{
    if (sscanf(error, "hang=%ld", seconds) == 1)
        return *seconds > 0 ? HANG : 0;
    if (strcmp(error, "short") == 0)
        return op == WRITE ? SHORT : 0;
    int number = atoi(error);
    return number > 0 ? -number : 0;
}

static const char *add_fault(const char *name, const char *error, long count, const char *text)
{
    int op = op_of(name);
    if (op < 0)
        return "error: no such operation";
    long seconds = 0;
    int effect = effect_of(op, error, &seconds);
    if (effect == 0)
        return "error: a fault is a positive errno, `hang=SECONDS` or, for write, `short`";
    if (count == 0 || count < -1)
        return "error: a count is 1 or more, or -1";
    if (strlen(text) >= sizeof faults->text)
        return "error: the text is too long";
    drop_used_up();
    if (fault_count == sizeof faults / sizeof *faults)
        return "error: too many faults at once";
    struct fault *fault = &faults[fault_count++];
    *fault = (struct fault){.op = op, .effect = effect, .seconds = seconds, .left = count};
    strcpy(fault->text, text);
    return "ok";
}

static const char *clear(void)
{
    fault_count = 0;
    space = -1;
    clears++;
    pthread_cond_broadcast(&cleared);
    return "ok";
}

static void print_counts(void)
{
    printf("{");
    for (int op = 0; op < OPS; op++)
        printf("\"%s\": %ld, ", op_names[op], counts[op]);
    printf("\"bytes\": %ld, \"hanging\": %ld}\n", bytes, hanging);
}

static void obey(const char *line)
{
    const char *reply = "error: no such command";
    char name[16], error[16];
    long number;
    int end = 0;

    if (strcmp(line, "counts") == 0) {
        print_counts();
        return;
    }
    if (strcmp(line, "clear") == 0)
        reply = clear();
    else if (sscanf(line, "latency %15s %ld", name, &number) == 2)
        reply = set_latency(name, number);
    else if (sscanf(line, "space %ld", &number) == 1 && number >= -1) {
        space = number;
        reply = "ok";
    } else if (sscanf(line, "fault %15s %15s %ld%n", name, error, &number, &end) == 3)
        reply = add_fault(name, error, number, line + end + (line[end] == ' '));
    printf("%s\n", reply);
}

/* Runs in a separate thread, so that it answers even while every FUSE thread hangs. */
static void *take_commands(void *unused)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;

    while ((length = getline(&line, &room, stdin)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        pthread_mutex_lock(&lock);
        obey(line);
        pthread_mutex_unlock(&lock);
        fflush(stdout);
    }
    /* The owner has ended. A regular exit of FUSE would wait for hanging operations; this fails them. */
    umount2(mountpoint, MNT_DETACH);
    _exit(0);
}

static void *store_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
    pthread_t thread;

    config->hard_remove = 1; /* otherwise tests would find .fuse_hidden files */
    config->nullpath_ok = 1; /* a hanging close then holds no lock on its path */
    if (pthread_create(&thread, NULL, take_commands, NULL) != 0)
        abort();
    pthread_detach(thread);
    return NULL;
}

static const struct fuse_operations operations = {
    .init = store_init,
    .open = store_open,
    .create = store_create,
    .read = store_read,
    .write = store_write,
    .flush = store_flush,
    .fsync = store_fsync,
    .release = store_release,
    .getattr = store_getattr,
    .chmod = store_chmod,
    .chown = store_chown,
    .utimens = store_utimens,
    .truncate = store_truncate,
    .statfs = store_statfs,
    .opendir = store_opendir,
    .readdir = store_readdir,
    .releasedir = store_release,
    .mkdir = store_mkdir,
    .rmdir = store_rmdir,
    .unlink = store_unlink,
    .rename = store_rename,
    .symlink = store_symlink,
    .readlink = store_readlink,
};

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: storefs BACKING MOUNTPOINT [-o OPTIONS]\n");
        return 2;
    }
    mountpoint = argv[2];
    root_fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) {
        perror(argv[1]);
        return 1;
    }
    umask(0); /* the kernel has applied the caller's umask */
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    fuse_opt_add_arg(&args, argv[0]);
    fuse_opt_add_arg(&args, "-f");
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 12)
    /* The default of 10 would limit concurrent operations; libfuse before 3.12 had no limit. */
    fuse_opt_add_arg(&args, "-omax_threads=128");
#endif
    fuse_opt_add_arg(&args, "-omax_idle_threads=128");
    for (int i = 2; i < argc; i++)
        fuse_opt_add_arg(&args, argv[i]);
    return fuse_main(args.argc, args.argv, &operations, NULL);
}
