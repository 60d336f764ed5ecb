// Channels between processes: addresses, messages, descriptors.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"
#include "support.h"

static void test_addresses(void) {
  int before = open_descriptors();
  struct listener listener;
  const char *path = in_folder("socket");
  struct stat info;
  umask(0);
  CHECK(listener_open(&listener, path) == 0 && stat(path, &info) == 0 && S_ISSOCK(info.st_mode) && (info.st_mode & 07777) == 0600);
  umask(022);
  CHECK(close_on_exec(listener.fd) && listener_accept(&listener) == -EAGAIN);
  struct listener second;
  CHECK(listener_open(&second, path) == -EADDRINUSE && stat(path, &info) == 0);
  int client = channel_connect(path), server = listener_accept(&listener);
  CHECK(client >= 0 && server >= 0 && close_on_exec(client) && close_on_exec(server));
  struct peer peer;
  CHECK(peer_of(server, &peer) == 0 && peer.uid == geteuid() && peer.gid == getegid() && peer.pid == getpid());
  int pipes[2];
  CHECK(pipe(pipes) == 0 && peer_of(pipes[0], &peer) == -ENOTSOCK && peer_of(-1, &peer) == -EBADF);
  int lonely = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  CHECK(peer_of(lonely, &peer) == -ENOTCONN);
  close(lonely);
  close(pipes[0]);
  close(pipes[1]);
  close(client);
  close(server);

  // No descriptor left: the connection is refused and does not wake us for ever.
  struct rlimit limit, tight;
  getrlimit(RLIMIT_NOFILE, &limit);
  client = channel_connect(path);
  int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(next);
  tight = (struct rlimit){(rlim_t)next, limit.rlim_max};
  setrlimit(RLIMIT_NOFILE, &tight);
  CHECK(listener_accept(&listener) == -EAGAIN);
  setrlimit(RLIMIT_NOFILE, &limit);
  char byte;
  CHECK(recv(client, &byte, 1, 0) <= 0 && listener.reserve_fd >= 0);
  close(client);

  // Somebody else's file at our path stays.
  CHECK(unlink(path) == 0 && listener_open(&second, path) == 0);
  listener_close(&listener);
  CHECK(stat(path, &info) == 0);
  listener_close(&second);
  CHECK(stat(path, &info) != 0 && channel_connect(path) == -ENOENT);
  char longer[200];
  memset(longer, 'p', sizeof longer - 1);
  longer[sizeof longer - 1] = '\0';
  CHECK(channel_connect(longer) == -ENAMETOOLONG && listener_open(&second, longer) == -ENAMETOOLONG && channel_connect("") == -EINVAL);
  CHECK(open_descriptors() == before);
}

static void test_messages(void) {
  int before = open_descriptors(), sockets[2], fds[CHANNEL_FD_LIMIT];
  size_t fd_count;
  static uint8_t bytes[CHANNEL_MESSAGE_LIMIT + 1], back[CHANNEL_MESSAGE_LIMIT];
  struct channel channel;
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) == 0);
  channel_begin(&channel, sockets[0]);
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7);
  CHECK(channel_send(&channel, bytes, 0, NULL, 0) == -EINVAL && channel_send(&channel, bytes, sizeof bytes, NULL, 0) == -EMSGSIZE);
  CHECK(channel_send(&channel, bytes, 1, fds, CHANNEL_FD_LIMIT + 1) == -EINVAL);
  CHECK(channel_receive(sockets[1], back, sizeof back, fds, &fd_count) == -EAGAIN);
  CHECK(channel_send(&channel, bytes, CHANNEL_MESSAGE_LIMIT, NULL, 0) == 1);
  CHECK(channel_receive(sockets[1], back, sizeof back, fds, &fd_count) == CHANNEL_MESSAGE_LIMIT && memcmp(bytes, back, sizeof back) == 0);
  int null = open("/dev/null", O_RDONLY), many[9];
  for (int i = 0; i < 9; i++) many[i] = null;
  CHECK(channel_send(&channel, "fds", 3, many, 8) == 1);
  CHECK(channel_receive(sockets[1], back, sizeof back, fds, &fd_count) == 3 && fd_count == 8 && close_on_exec(fds[7]));
  for (size_t i = 0; i < fd_count; i++) close(fds[i]);
  CHECK(channel_send(&channel, "bad", 3, &(int){-1}, 1) == -EBADF);

  // Cut short: refused, and nothing of it stays open.
  int now = open_descriptors();
  CHECK(send_fds(sockets[0], many, 9, 10) == 0);
  CHECK(channel_receive(sockets[1], back, sizeof back, fds, &fd_count) == -EPROTO && fd_count == 0);
  CHECK(send_fds(sockets[0], many, 2, CHANNEL_MESSAGE_LIMIT + 1) == 0);
  CHECK(channel_receive(sockets[1], back, sizeof back, fds, &fd_count) == -EPROTO && fd_count == 0);
  CHECK(send_fds(sockets[0], many, 2, 0) == 0);
  CHECK(channel_receive(sockets[1], back, sizeof back, fds, &fd_count) == -EPROTO && open_descriptors() == now);

  // The peer does not read: a bounded queue, which keeps order and descriptors.
  int file = open(in_folder("a"), O_RDONLY), sent = 0, result;
  for (; sent < 100000; sent++) {
    memcpy(bytes, &sent, sizeof sent);
    result = channel_send(&channel, bytes, 1000, sent == 1000 ? &file : NULL, sent == 1000 ? 1 : 0);
    if (result != 1) break;
  }
  CHECK(result == 0 && channel.queued == CHANNEL_QUEUE_LIMIT && sent > CHANNEL_QUEUE_LIMIT);
  close(file);
  CHECK(channel_flush(&channel) == -EAGAIN);
  int received = 0, with_fd = -1;
  while (received < sent) {
    ssize_t got = channel_receive(sockets[1], back, sizeof back, fds, &fd_count);
    if (got == -EAGAIN) {
      result = channel_flush(&channel);
      if (result != 0 && result != -EAGAIN) break;
      continue;
    }
    if (got != 1000 || memcmp(back, &received, sizeof received) != 0) break;
    if (fd_count == 1) with_fd = received;
    if (fd_count == 1) close(fds[0]);
    received++;
  }
  CHECK(received == sent && with_fd == 1000 && channel.queued == 0 && channel_flush(&channel) == 0);

  // What was sent before the end still arrives.
  CHECK(channel_send(&channel, "last", 4, NULL, 0) == 1);
  channel_end(&channel);
  CHECK(channel_send(&channel, "late", 4, NULL, 0) == -EBADF);
  CHECK(channel_receive(sockets[1], back, sizeof back, fds, &fd_count) == 4);
  CHECK(channel_receive(sockets[1], back, sizeof back, fds, &fd_count) == 0);
  channel_begin(&channel, sockets[1]);
  CHECK(channel_send(&channel, "gone", 4, NULL, 0) == -EPIPE);
  channel_end(&channel);
  close(null);
  CHECK(open_descriptors() == before);
}

void test_channels(void) {
  test_addresses();
  test_messages();
}
