/* Refuses the n-th write below a folder, as a full disk does: see soak_writes.py.

   Loaded by LD_PRELOAD. What SOAK_WRITES names is shared by all processes of a stage: how many
   writes there were, which is refused first and which last, and the folder. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct shared {
  long count, first, last;
  char below[PATH_MAX];
};
static struct shared *shared;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("SOAK_WRITES");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *at = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at != MAP_FAILED) shared = at;
  close(fd);
}

static int refused(const char *path) {
  if (!shared || !shared->below[0]) return 0;
  size_t length = strlen(shared->below);
  if (strncmp(path, shared->below, length) || (path[length] && path[length] != '/')) return 0;
  long number = __sync_add_and_fetch(&shared->count, 1);
  if (number < shared->first || number > shared->last) return 0;
  errno = ENOSPC;
  return 1;
}

static int refused_fd(int fd) {
  char link[64], path[PATH_MAX];
  if (!shared || !shared->below[0]) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return refused(path);
}

static int refused_at(int folder, const char *path) {
  char link[64], whole[PATH_MAX * 2];
  ssize_t size;
  if (!shared || !shared->below[0] || !path) return 0;
  if (path[0] == '/') return refused(path);
  if (folder == AT_FDCWD) {
    if (!getcwd(whole, PATH_MAX)) return 0;
    size = strlen(whole);
  } else {
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    if ((size = readlink(link, whole, PATH_MAX - 1)) < 0) return 0;
  }
  snprintf(whole + size, sizeof whole - size, "/%s", path);
  return refused(whole);
}

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))
#define WITH_FD(result, name, fd, given, passed) \
  result name given { return refused_fd(fd) ? -1 : REAL(name) passed; }
#define WITH_PATH(result, name, path, given, passed) \
  result name given { return refused_at(AT_FDCWD, path) ? -1 : REAL(name) passed; }
#define WITH_AT(result, name, folder, path, given, passed) \
  result name given { return refused_at(folder, path) ? -1 : REAL(name) passed; }

WITH_FD(ssize_t, write, fd, (int fd, const void *data, size_t size), (fd, data, size))
WITH_FD(ssize_t, pwrite, fd, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
WITH_FD(ssize_t, pwrite64, fd, (int fd, const void *data, size_t size, off64_t at),
        (fd, data, size, at))
WITH_FD(ssize_t, writev, fd, (int fd, const struct iovec *parts, int count), (fd, parts, count))
WITH_FD(ssize_t, sendfile, fd, (int fd, int from, off_t *at, size_t size), (fd, from, at, size))
WITH_FD(ssize_t, sendfile64, fd, (int fd, int from, off64_t *at, size_t size), (fd, from, at, size))
WITH_FD(ssize_t, copy_file_range, fd,
        (int from, off64_t *start, int fd, off64_t *at, size_t size, unsigned flags),
        (from, start, fd, at, size, flags))
WITH_FD(int, fsync, fd, (int fd), (fd))
WITH_FD(int, fdatasync, fd, (int fd), (fd))
WITH_FD(int, ftruncate, fd, (int fd, off_t size), (fd, size))
WITH_FD(int, ftruncate64, fd, (int fd, off64_t size), (fd, size))
WITH_PATH(int, mkdir, path, (const char *path, mode_t mode), (path, mode))
WITH_AT(int, mkdirat, folder, path, (int folder, const char *path, mode_t mode),
        (folder, path, mode))
WITH_PATH(int, rename, path, (const char *from, const char *path), (from, path))
WITH_AT(int, renameat, folder, path, (int away, const char *from, int folder, const char *path),
        (away, from, folder, path))

static int opened(const char *name, int folder, const char *path, int flags, mode_t mode) {
  int makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
  if (makes && refused_at(folder, path)) return -1;
  int (*openat_)(int, const char *, int, ...) = dlsym(RTLD_NEXT, name);
  return openat_(folder, path, flags, mode);
}

#define MODE(flags) \
  mode_t mode = 0; \
  if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); \
    mode = va_arg(rest, int); va_end(rest); }

int open(const char *path, int flags, ...) { MODE(flags) return opened("openat", AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened("openat64", AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return opened("openat", folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return opened("openat64", folder, path, flags, mode); }
