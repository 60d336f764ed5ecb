#define _GNU_SOURCE
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SEND_BUFFER = 256 * 1024, BACKLOG = 64 };

struct outgoing {
  struct outgoing *next;
  size_t length, fd_count;
  int fds[CHANNEL_FD_LIMIT];
  uint8_t bytes[];
};

static void close_all(const int *fds, size_t count) {
  for (size_t i = 0; i < count; i++) close(fds[i]);
}

// ---- addresses ----

static int unix_address(const char *path, struct sockaddr_un *address) {
  size_t length = strlen(path);
  if (length == 0) return -EINVAL;
  if (length >= sizeof address->sun_path) return -ENAMETOOLONG;
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path, path, length);
  return 0;
}

static int new_socket(void) {
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return fd < 0 ? -errno : fd;
}

int listener_open(struct listener *listener, const char *path) {
  struct sockaddr_un address;
  int result = unix_address(path, &address);
  if (result != 0) return result;
  int fd = new_socket();
  if (fd < 0) return fd;
  struct stat info;
  *listener = (struct listener){.fd = fd, .reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC), .path = strdup(path)};
  // The file takes its mode from the socket: at no moment may others connect.
  if (fchmod(fd, 0600) != 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    result = -errno;
  } else if (lstat(path, &info) != 0 || listen(fd, BACKLOG) != 0) {
    result = -errno;
    unlink(path);
  } else if (listener->path == NULL || listener->reserve_fd < 0) {
    result = listener->path == NULL ? -ENOMEM : -EMFILE;
    unlink(path);
  } else {
    listener->device = info.st_dev;
    listener->inode = info.st_ino;
    return 0;
  }
  close(fd);
  if (listener->reserve_fd >= 0) close(listener->reserve_fd);
  free(listener->path);
  return result;
}

// Without a free descriptor the connection would stay in the backlog and wake us for ever: it is taken and closed.
static void refuse_one(struct listener *listener) {
  if (listener->reserve_fd >= 0) close(listener->reserve_fd);
  int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
  if (fd >= 0) close(fd);
  listener->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int listener_accept(struct listener *listener) {
  while (true) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) return fd;
    if (errno == EMFILE || errno == ENFILE) {
      refuse_one(listener);
      return -EAGAIN;
    }
    if (errno != EINTR && errno != ECONNABORTED) return -errno;
  }
}

void listener_close(struct listener *listener) {
  struct stat info;
  if (lstat(listener->path, &info) == 0 && info.st_dev == listener->device && info.st_ino == listener->inode) unlink(listener->path);
  close(listener->fd);
  if (listener->reserve_fd >= 0) close(listener->reserve_fd);
  free(listener->path);
  *listener = (struct listener){.fd = -1, .reserve_fd = -1};
}

int channel_connect(const char *path) {
  struct sockaddr_un address;
  int result = unix_address(path, &address);
  if (result != 0) return result;
  int fd = new_socket();
  if (fd < 0) return fd;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  result = -errno;
  close(fd);
  return result;
}

int peer_of(int fd, struct peer *peer) {
  struct ucred credentials;
  socklen_t length = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return -errno;
  // A socket without a peer answers with uid -1.
  if (length != sizeof credentials || credentials.uid == (uid_t)-1) return -ENOTCONN;
  *peer = (struct peer){credentials.uid, credentials.gid, credentials.pid};
  return 0;
}

// ---- messages ----

void channel_begin(struct channel *channel, int fd) {
  int size = SEND_BUFFER; // the kernel doubles it; a message must fit as a whole
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  *channel = (struct channel){.fd = fd};
}

static void drop_first(struct channel *channel) {
  struct outgoing *message = channel->first;
  channel->first = message->next;
  if (channel->first == NULL) channel->last = NULL;
  channel->queued--;
  close_all(message->fds, message->fd_count);
  free(message);
}

void channel_forget(struct channel *channel) {
  while (channel->first != NULL) drop_first(channel);
}

void channel_end(struct channel *channel) {
  channel_forget(channel);
  if (channel->fd >= 0) close(channel->fd);
  channel->fd = -1;
}

union fd_control {
  struct cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FD_LIMIT)];
};

static int send_now(int socket, const void *bytes, size_t length, const int *fds, size_t fd_count) {
  struct iovec part = {(void *)(uintptr_t)bytes, length};
  union fd_control control;
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (fd_count > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
    memcpy(CMSG_DATA(head), fds, sizeof(int) * fd_count);
  }
  ssize_t done;
  do {
    done = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (done < 0 && errno == EINTR);
  return done < 0 ? -errno : 0;
}

static int enqueue(struct channel *channel, const void *bytes, size_t length, const int *fds, size_t fd_count) {
  if (channel->queued >= CHANNEL_QUEUE_LIMIT) return 0;
  struct outgoing *message = malloc(sizeof *message + length);
  if (message == NULL) return -ENOMEM;
  message->next = NULL;
  message->length = length;
  memcpy(message->bytes, bytes, length);
  for (message->fd_count = 0; message->fd_count < fd_count; message->fd_count++) {
    int copy = fcntl(fds[message->fd_count], F_DUPFD_CLOEXEC, 3);
    if (copy < 0) {
      int error = errno;
      close_all(message->fds, message->fd_count);
      free(message);
      return -error;
    }
    message->fds[message->fd_count] = copy;
  }
  *(channel->last == NULL ? &channel->first : &channel->last->next) = message;
  channel->last = message;
  channel->queued++;
  return 1;
}

int channel_send(struct channel *channel, const void *bytes, size_t length, const int *fds, size_t fd_count) {
  if (length == 0 || fd_count > CHANNEL_FD_LIMIT) return -EINVAL; // an empty message would look like the end
  if (length > CHANNEL_MESSAGE_LIMIT) return -EMSGSIZE;
  if (channel->fd < 0) return -EBADF;
  if (channel->first != NULL) return enqueue(channel, bytes, length, fds, fd_count);
  int result = send_now(channel->fd, bytes, length, fds, fd_count);
  if (result == -EAGAIN) return enqueue(channel, bytes, length, fds, fd_count);
  return result == 0 ? 1 : result;
}

int channel_flush(struct channel *channel) {
  while (channel->first != NULL) {
    struct outgoing *message = channel->first;
    int result = send_now(channel->fd, message->bytes, message->length, message->fds, message->fd_count);
    if (result != 0) return result;
    drop_first(channel);
  }
  return 0;
}

// Descriptors that came along, whatever their number and also when the message itself is refused.
static size_t take_fds(struct msghdr *message, int fds[CHANNEL_FD_LIMIT]) {
  size_t count = 0;
  for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL; head = CMSG_NXTHDR(message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    size_t here = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < here; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
      if (count < CHANNEL_FD_LIMIT) {
        fds[count++] = fd;
      } else {
        close(fd);
      }
    }
  }
  return count;
}

ssize_t channel_receive(int socket, void *bytes, size_t room, int fds[CHANNEL_FD_LIMIT], size_t *fd_count) {
  struct iovec part = {bytes, room};
  union fd_control control;
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  *fd_count = 0;
  ssize_t got;
  do {
    got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return -errno;
  *fd_count = take_fds(&message, fds);
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && (got > 0 || *fd_count == 0)) return got;
  close_all(fds, *fd_count);
  *fd_count = 0;
  return -EPROTO;
}
