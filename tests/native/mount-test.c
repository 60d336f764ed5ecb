// Mounting, and taking the descriptor that fusermount3 sends.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mount.h"
#include "process.h"
#include "support.h"

static void test_receive_fd(void) {
  int before = open_descriptors(), pair[2];
  CHECK(mount_socket_pair(pair) == 0 && close_on_exec(pair[0]) && close_on_exec(pair[1]));
  CHECK(mount_receive_fd(pair[0], 30) == -ETIMEDOUT);
  int null = open("/dev/null", O_RDONLY), two[2] = {null, null};
  CHECK(send_fds(pair[1], &null, 1, 1) == 0);
  int fd = mount_receive_fd(pair[0], 1000);
  CHECK(fd >= 0 && close_on_exec(fd) && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  close(fd);
  CHECK(send_fds(pair[1], two, 2, 1) == 0);
  fd = mount_receive_fd(pair[0], 1000);
  CHECK(open_descriptors() == before + 3 + (fd >= 0 ? 1 : 0));
  if (fd >= 0) close(fd);
  CHECK(send_fds(pair[1], NULL, 0, 1) == 0);
  CHECK(mount_receive_fd(pair[0], 1000) == -ECONNRESET);
  close(pair[1]);
  CHECK(mount_receive_fd(pair[0], 1000) == -ECONNRESET);
  CHECK(mount_receive_fd(-1, 10) < 0);
  close(pair[0]);
  close(null);
  CHECK(open_descriptors() == before);
}

static bool mounts_line(const char *path, char *line, size_t room) {
  FILE *mounts = fopen("/proc/mounts", "re");
  bool found = false;
  while (mounts != NULL && !found && fgets(line, (int)room, mounts) != NULL) found = strstr(line, path) != NULL;
  if (mounts != NULL) fclose(mounts);
  return found;
}

static void test_mount(void) {
  int before = open_descriptors();
  struct mount_options options = {"cloudmoor:native-test", true, true, 131072};
  CHECK(mount_direct(in_folder("absent"), &options) < 0 && open_descriptors() == before);
  CHECK(mount_end(in_folder("absent"), 0) == -ENOENT || !process_can_mount());
  CHECK(mount_backing_open(0, 0) < 0 && mount_backing_close(0, 1) < 0);
  if (!process_can_mount() || access("/dev/fuse", R_OK | W_OK) != 0) {
    fprintf(stderr, "native: no right to mount here, the mount itself is not checked\n");
    return;
  }
  const char *path = in_folder("mount");
  char line[512] = "";
  CHECK(mkdir(path, 0700) == 0);
  int fd = mount_direct(path, &options);
  CHECK(fd >= 0 && close_on_exec(fd) && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  CHECK(mounts_line(path, line, sizeof line));
  const char *expected[] = {"cloudmoor:native-test ", " fuse.cloudmoor ", "ro,", "nosuid", "nodev",
                            "default_permissions", "allow_other", "max_read=131072"};
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) CHECK(strstr(line, expected[i]) != NULL);
  // The kernel asks for INIT at once.
  uint8_t bytes[FUSE_MIN_READ_BUFFER];
  CHECK(read(fd, bytes, sizeof bytes) > 40 && ((struct fuse_in_header *)bytes)->opcode == FUSE_INIT);
  close(fd);
  CHECK(mount_end(path, MNT_DETACH) == 0 && !mounts_line(path, line, sizeof line));
  CHECK(rmdir(path) == 0 && open_descriptors() == before);
}

void test_mounts(void) {
  test_receive_fd();
  test_mount();
}
