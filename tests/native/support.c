// What the C tests share.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "channel.h"
#include "support.h"

int passed, failed;
char folder[] = "/tmp/cloudmoor-native-XXXXXX";

bool check(bool condition, const char *text, const char *where, int line) {
  if (condition) {
    passed++;
  } else {
    failed++;
    fprintf(stderr, "native: FAILED %s, line %d: %s\n", where, line, text);
  }
  return condition;
}

const char *in_folder(const char *name) {
  static char paths[8][160];
  static int turn;
  char *path = paths[turn++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

int count_entries(const char *path) {
  DIR *listing = opendir(path);
  int count = 0;
  while (listing != NULL && readdir(listing) != NULL) count++;
  if (listing != NULL) closedir(listing);
  return count;
}

int open_descriptors(void) {
  return count_entries("/proc/self/fd");
}

void wait_milliseconds(long milliseconds) {
  struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&pause, NULL);
}

bool close_on_exec(int fd) {
  return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

int send_fds(int socket, const int *fds, size_t count, size_t length) {
  static const char bytes[CHANNEL_MESSAGE_LIMIT + 1000];
  struct iovec part = {(void *)(uintptr_t)bytes, length};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * 16)];
  } control;
  memset(&control, 0, sizeof control);
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int) * count), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
  }
  return sendmsg(socket, &message, 0) < 0 ? -errno : 0;
}
