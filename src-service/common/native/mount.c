#define _GNU_SOURCE
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// Newer than the headers of the oldest systems we build on.
struct backing_map {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

int mount_direct(const char *path, const struct mount_options *options) {
  int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return -errno;
  char data[256];
  snprintf(data, sizeof data, "fd=%d,rootmode=40000,user_id=%u,group_id=%u,max_read=%u,default_permissions%s", fd, (unsigned)geteuid(),
           (unsigned)getegid(), options->max_read, options->allow_other ? ",allow_other" : "");
  unsigned long flags = MS_NOSUID | MS_NODEV | (options->read_only ? MS_RDONLY : 0);
  if (mount(options->source, path, "fuse.cloudmoor", flags, data) == 0) return fd;
  int error = errno;
  close(fd);
  return -error;
}

int mount_end(const char *path, int flags) {
  return umount2(path, flags | UMOUNT_NOFOLLOW) == 0 ? 0 : -errno;
}

int mount_socket_pair(int sockets[2]) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0 ? 0 : -errno;
}

static int wait_readable(int socket, int timeout_milliseconds) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  int64_t end = now.tv_sec * 1000LL + now.tv_nsec / 1000000 + timeout_milliseconds;
  while (true) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t left = end - (now.tv_sec * 1000LL + now.tv_nsec / 1000000);
    struct pollfd wait = {.fd = socket, .events = POLLIN};
    int ready = poll(&wait, 1, left > 0 ? (int)left : 0);
    if (ready > 0) return 0;
    if (ready == 0) return -ETIMEDOUT;
    if (errno != EINTR) return -errno;
  }
}

int mount_receive_fd(int socket, int timeout_milliseconds) {
  int waited = wait_readable(socket, timeout_milliseconds);
  if (waited != 0) return waited;
  char byte;
  struct iovec part = {&byte, 1};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  // CMSG_LEN, not CMSG_SPACE: the padding would be room for a second descriptor that nobody closes.
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_LEN(sizeof(int))};
  ssize_t got;
  do {
    got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return -errno;
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  if (head == NULL || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS || head->cmsg_len != CMSG_LEN(sizeof(int))) {
    return -ECONNRESET;
  }
  int fd;
  memcpy(&fd, CMSG_DATA(head), sizeof fd);
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0) return fd;
  int error = errno;
  close(fd);
  return -error;
}

int mount_backing_open(int fuse_fd, int file_fd) {
  struct backing_map map = {.fd = file_fd};
  int id = ioctl(fuse_fd, BACKING_OPEN, &map);
  return id < 0 ? -errno : id;
}

int mount_backing_close(int fuse_fd, uint32_t backing_id) {
  return ioctl(fuse_fd, BACKING_CLOSE, &backing_id) < 0 ? -errno : 0;
}
