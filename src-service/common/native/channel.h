// SOCK_SEQPACKET unix sockets between our processes. Plain C; negative errno on failure.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
  CHANNEL_MESSAGE_LIMIT = 192 * 1024,
  CHANNEL_FD_LIMIT = 8,
  CHANNEL_QUEUE_LIMIT = 1024,
};

struct outgoing;

// One end of a SOCK_SEQPACKET connection, with the messages that the socket did not take at once.
struct channel {
  int fd;
  struct outgoing *first, *last;
  uint32_t queued;
};

struct listener {
  int fd;
  int reserve_fd; // given up to refuse a connection when descriptors run out
  char *path;
  dev_t device;
  ino_t inode;
};

struct peer {
  uint32_t uid, gid;
  int32_t pid;
};

int listener_open(struct listener *listener, const char *path);
// The next connection, -EAGAIN when there is none.
int listener_accept(struct listener *listener);
// Removes the socket file if it is still ours.
void listener_close(struct listener *listener);

int channel_connect(const char *path);
void channel_begin(struct channel *channel, int fd);
// Drops what waits to be sent.
void channel_forget(struct channel *channel);
void channel_end(struct channel *channel);
// 1: sent or queued, 0: queue full. Descriptors are duplicated if the message has to wait.
int channel_send(struct channel *channel, const void *bytes, size_t length, const int *fds, size_t fd_count);
// Sends what waits: 0 all sent, -EAGAIN the socket is full.
int channel_flush(struct channel *channel);
// Bytes of the next message, 0 at the end, -EPROTO when it was cut short (its descriptors are closed then).
ssize_t channel_receive(int fd, void *bytes, size_t room, int fds[CHANNEL_FD_LIMIT], size_t *fd_count);
int peer_of(int fd, struct peer *peer);
