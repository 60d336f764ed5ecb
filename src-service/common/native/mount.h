// Mounting, the descriptor that fusermount3 sends, and passthrough's backing files. Plain C; negative errno on failure.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct mount_options {
  const char *source;
  bool allow_other, read_only;
  uint32_t max_read;
};

// The /dev/fuse descriptor of the new mount.
int mount_direct(const char *path, const struct mount_options *options);
int mount_end(const char *path, int flags);
int mount_socket_pair(int sockets[2]);
// Waits for one descriptor on a stream socket; -ECONNRESET when the peer ends without sending one.
int mount_receive_fd(int socket, int timeout_milliseconds);
int mount_backing_open(int fuse_fd, int file_fd);
int mount_backing_close(int fuse_fd, uint32_t backing_id);
