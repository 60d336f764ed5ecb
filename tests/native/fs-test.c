// What Node lacks for files.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs.h"
#include "support.h"

static void test_files(void) {
  int a = open(in_folder("a"), O_RDWR | O_CREAT | O_CLOEXEC, 0600), b = open(in_folder("b"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  char bytes[8192], back[8192];
  memset(bytes, 'x', sizeof bytes);
  CHECK(pwrite(a, bytes, sizeof bytes, 0) == sizeof bytes && pwrite(a, bytes, 4096, 1 << 20) == 4096);
  int64_t got = fs_read_now(a, back, sizeof back, 4096);
  CHECK((got > 0 && memcmp(back, bytes, 4096) == 0) || got == -EAGAIN || got == -EOPNOTSUPP);
  CHECK(fs_read_now(-1, back, 1, 0) == -EBADF);
  CHECK(fs_seek(a, 0, SEEK_DATA) == 0 && fs_seek(a, 0, SEEK_HOLE) >= 8192 && fs_seek(a, 2 << 20, SEEK_DATA) == -ENXIO);
  CHECK(fs_copy_range(a, 0, b, 100, 1 << 21) == (1 << 20) + 4096);
  CHECK(pread(b, back, 4096, 100 + (1 << 20)) == 4096 && memcmp(back, bytes, 4096) == 0);
  CHECK(fs_copy_range(a, 0, -1, 0, 10) == -EBADF);
  CHECK(fs_allocate(b, 0, 0, 4 << 20) == 0 && lseek(b, 0, SEEK_END) == 4 << 20);
  CHECK(fs_allocate(b, 0, 0, 0) == -EINVAL && fs_allocate(-1, 0, 0, 1) == -EBADF);
  int cloned = fs_clone(a, b);
  CHECK(cloned == 0 || cloned == -EOPNOTSUPP || cloned == -EXDEV || cloned == -EINVAL || cloned == -ENOTTY);
  int copy = fs_duplicate(a);
  CHECK(copy > 2 && close_on_exec(copy) && fs_close(copy) == 0 && fs_close(copy) == -EBADF && fs_duplicate(copy) == -EBADF);
  close(a);
  close(b);

  struct stat info;
  struct timespec times[2] = {{1000000000, 123456789}, {-5, 987654321}};
  CHECK(symlink("nowhere", in_folder("link")) == 0 && fs_set_times(in_folder("link"), times) == 0);
  CHECK(lstat(in_folder("link"), &info) == 0 && info.st_atim.tv_nsec == 123456789 && info.st_mtim.tv_nsec == 987654321);
  CHECK(info.st_mtim.tv_sec == -5 && fs_set_times(in_folder("absent"), times) == -ENOENT);
  CHECK(fs_make_node(in_folder("fifo"), S_IFIFO | 0600, 0, 0) == 0 && lstat(in_folder("fifo"), &info) == 0 && S_ISFIFO(info.st_mode));
  CHECK(fs_make_node(in_folder("fifo"), S_IFIFO | 0600, 0, 0) == -EEXIST);
}

static void test_attributes(void) {
  uint8_t *bytes = NULL;
  const char *path = in_folder("a");
  if (fs_set_attribute(path, "user.one", "value", 5) == -EOPNOTSUPP) {
    fprintf(stderr, "native: no extended attributes under /tmp, they are not checked\n");
    return;
  }
  CHECK(fs_get_attribute(path, "user.one", &bytes) == 5 && memcmp(bytes, "value", 5) == 0);
  free(bytes);
  CHECK(fs_set_attribute(path, "user.two", NULL, 0) == 0 && fs_get_attribute(path, "user.two", &bytes) == 0 && bytes != NULL);
  free(bytes);
  int64_t length = fs_list_attributes(path, &bytes);
  CHECK(length >= 18 && memmem(bytes, (size_t)length, "user.one", 9) != NULL && memmem(bytes, (size_t)length, "user.two", 9) != NULL);
  free(bytes);
  CHECK(fs_remove_attribute(path, "user.one") == 0 && fs_remove_attribute(path, "user.one") == -ENODATA);
  CHECK(fs_get_attribute(path, "user.one", &bytes) == -ENODATA && bytes == NULL);
  CHECK(fs_get_attribute(in_folder("absent"), "user.one", &bytes) == -ENOENT && fs_list_attributes(in_folder("absent"), &bytes) == -ENOENT);
}

void test_files_and_attributes(void) {
  test_files();
  test_attributes();
}
