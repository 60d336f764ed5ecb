#define _GNU_SOURCE
#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

int64_t fs_read_now(int fd, void *target, size_t length, int64_t position) {
  struct iovec part = {target, length};
  ssize_t got;
  do {
    got = preadv2(fd, &part, 1, position, RWF_NOWAIT);
  } while (got < 0 && errno == EINTR);
  return got < 0 ? -errno : got;
}

int fs_drop_pages(int fd, int64_t offset, int64_t length) {
  return -posix_fadvise(fd, offset, length, POSIX_FADV_DONTNEED);
}

int fs_allocate(int fd, int mode, int64_t offset, int64_t length) {
  int result;
  do {
    result = fallocate(fd, mode, offset, length);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : -errno;
}

int64_t fs_seek(int fd, int64_t offset, int whence) {
  off_t at = lseek(fd, offset, whence);
  return at < 0 ? -errno : at;
}

int fs_clone(int from_fd, int to_fd) {
  return ioctl(to_fd, FICLONE, from_fd) == 0 ? 0 : -errno;
}

int64_t fs_copy_range(int from_fd, int64_t from_offset, int to_fd, int64_t to_offset, int64_t length) {
  const int64_t step = 1 << 30;
  int64_t done = 0;
  while (done < length) {
    off_t from = from_offset + done, to = to_offset + done;
    int64_t left = length - done;
    ssize_t copied = copy_file_range(from_fd, &from, to_fd, &to, (size_t)(left < step ? left : step), 0);
    if (copied < 0 && errno == EINTR) continue;
    if (copied < 0) return done > 0 ? done : -errno;
    if (copied == 0) break;
    done += copied;
  }
  return done;
}

int fs_set_times(const char *path, const struct timespec times[2]) {
  return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

int fs_rename_new(const char *from, const char *to) {
  return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0 ? 0 : -errno;
}

int fs_make_node(const char *path, uint32_t mode, uint32_t major, uint32_t minor) {
  return mknod(path, mode, makedev(major, minor)) == 0 ? 0 : -errno;
}

static ssize_t query(const char *path, const char *name, void *bytes, size_t room) {
  return name == NULL ? llistxattr(path, bytes, room) : lgetxattr(path, name, bytes, room);
}

// The size may grow between the two calls: then they are made again, a bounded number of times.
static int64_t read_attribute(const char *path, const char *name, uint8_t **bytes) {
  *bytes = NULL;
  for (int tries = 0; tries < 8; tries++) {
    ssize_t room = query(path, name, NULL, 0);
    if (room < 0) return -errno;
    uint8_t *target = malloc((size_t)room + 1);
    if (target == NULL) return -ENOMEM;
    // A size of 0 would only ask for the size again.
    ssize_t got = room == 0 ? 0 : query(path, name, target, (size_t)room);
    if (got >= 0) {
      *bytes = target;
      return got;
    }
    int error = errno;
    free(target);
    if (error != ERANGE) return -error;
  }
  return -ERANGE;
}

int64_t fs_get_attribute(const char *path, const char *name, uint8_t **bytes) {
  return read_attribute(path, name, bytes);
}

int64_t fs_list_attributes(const char *path, uint8_t **bytes) {
  return read_attribute(path, NULL, bytes);
}

int fs_set_attribute(const char *path, const char *name, const void *value, size_t length) {
  return lsetxattr(path, name, value, length, 0) == 0 ? 0 : -errno;
}

int fs_remove_attribute(const char *path, const char *name) {
  return lremovexattr(path, name) == 0 ? 0 : -errno;
}

int fs_duplicate(int fd) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  return copy < 0 ? -errno : copy;
}

int fs_close(int fd) {
  // After EINTR Linux has closed it all the same.
  return close(fd) == 0 || errno == EINTR ? 0 : -errno;
}
