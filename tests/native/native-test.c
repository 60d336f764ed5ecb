// Checks the plain C files of the addon without Node. A socket pair plays /dev/fuse where no mount is needed.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "door.h"
#include "fs.h"
#include "mount.h"
#include "notify.h"
#include "process.h"

static int passed, failed;
static char folder[] = "/tmp/cloudmoor-native-XXXXXX";

#define CHECK(condition) check((condition), #condition, __func__, __LINE__)

static bool check(bool condition, const char *text, const char *where, int line) {
  if (condition) {
    passed++;
  } else {
    failed++;
    fprintf(stderr, "native: FAILED %s, line %d: %s\n", where, line, text);
  }
  return condition;
}

static const char *in_folder(const char *name) {
  static char paths[8][160];
  static int turn;
  char *path = paths[turn++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

static int count_entries(const char *path) {
  DIR *listing = opendir(path);
  int count = 0;
  while (listing != NULL && readdir(listing) != NULL) count++;
  if (listing != NULL) closedir(listing);
  return count;
}

static int open_descriptors(void) {
  return count_entries("/proc/self/fd");
}

static void wait_milliseconds(long milliseconds) {
  struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&pause, NULL);
}

static bool close_on_exec(int fd) {
  return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

// ---- door ----

enum { SLABS = 4, SLAB = 16384, SLOTS = 3, SLOT = 4096 };
static const struct door_geometry geometry = {SLABS, SLAB, SLOTS, SLOT};

struct bench {
  int kernel, fuse, memory;
  struct door door;
  uint32_t pairs[2 * DOOR_BATCH];
};

static void set_up(struct bench *b) {
  int sockets[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
  b->kernel = sockets[0];
  b->fuse = sockets[1];
  b->memory = door_create_memory(&geometry);
  CHECK(b->memory >= 0);
  CHECK(door_open(&b->door, b->fuse, b->memory, 50) == 0);
}

static void tear_down(struct bench *b) {
  door_free(&b->door);
  close(b->kernel);
  close(b->fuse);
  close(b->memory);
}

static void ask_raw(struct bench *b, uint32_t claimed, size_t length, uint32_t code, uint64_t unique) {
  uint8_t bytes[SLAB];
  memset(bytes, (int)unique, sizeof bytes);
  struct fuse_in_header request = {.len = claimed, .opcode = code, .unique = unique, .nodeid = 1};
  memcpy(bytes, &request, sizeof request);
  CHECK(send(b->kernel, bytes, length, 0) == (ssize_t)length);
}

static void ask(struct bench *b, size_t length, uint32_t code, uint64_t unique) {
  ask_raw(b, (uint32_t)length, length, code, unique);
}

static struct fuse_in_header *request_at(struct bench *b, uint32_t offset) {
  return (struct fuse_in_header *)(b->door.memory + offset);
}

// The next answer that the kernel's side got; an error of 1 says that there was none.
static struct fuse_out_header answer(struct bench *b, void *payload, size_t room) {
  uint8_t bytes[4096];
  struct fuse_out_header out = {.error = 1};
  ssize_t got = recv(b->kernel, bytes, sizeof bytes, MSG_DONTWAIT);
  if (got < (ssize_t)sizeof out) return out;
  memcpy(&out, bytes, sizeof out);
  CHECK(out.len == (uint32_t)got);
  if (payload != NULL) memcpy(payload, bytes + sizeof out, room < (size_t)got - sizeof out ? room : (size_t)got - sizeof out);
  return out;
}

static bool in_slot(uint32_t offset) {
  return offset >= DOOR_HEADER_SIZE + SLABS * SLAB;
}

static uint64_t answered(struct bench *b) {
  uint64_t value;
  memcpy(&value, b->door.memory + 72, sizeof value);
  return value;
}

static void test_memory(void) {
  struct door_geometry bad[] = {{1, SLAB, SLOTS, SLOT}, {SLABS, 4096, SLOTS, SLOT}, {SLABS, SLAB + 1, SLOTS, SLOT},
                                {SLABS, SLAB, 0, SLOT}, {SLABS, SLAB, SLOTS, 100}, {4096, 64u << 20, SLOTS, SLOT}};
  int before = open_descriptors();
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(door_create_memory(&bad[i]) == -EINVAL);
  int fd = door_create_memory(&geometry);
  CHECK(fd >= 0 && close_on_exec(fd));
  struct stat info;
  CHECK(fstat(fd, &info) == 0 && info.st_size == DOOR_HEADER_SIZE + SLABS * SLAB + SLOTS * SLOT);
  // Slabs get their pages when they are first used.
  CHECK(info.st_blocks * 512 >= DOOR_HEADER_SIZE + SLOTS * SLOT && info.st_blocks * 512 < info.st_size);
  CHECK(ftruncate(fd, 4096) != 0 && errno == EPERM);
  uint8_t *page;
  CHECK(door_map_header(fd, &page) == 0);
  CHECK(memcmp(page, "CMSL", 4) == 0 && ((uint32_t *)page)[1] == 1);
  CHECK(((uint32_t *)page)[6] == 4096 && ((uint32_t *)page)[7] == DOOR_HEADER_SIZE + SLABS * SLAB);

  struct door door;
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (size_t field = 0; field < 8; field++) {
    uint32_t right = ((uint32_t *)page)[field];
    ((uint32_t *)page)[field] = right + 4096;
    CHECK(door_open(&door, null, fd, 0) == -EINVAL);
    ((uint32_t *)page)[field] = 0xffffffff;
    CHECK(door_open(&door, null, fd, 0) == -EINVAL);
    ((uint32_t *)page)[field] = right;
  }
  CHECK(door_open(&door, -1, fd, 0) == -EBADF);
  CHECK(door_open(&door, null, null, 0) < 0);
  CHECK(door_open(&door, null, -1, 0) == -EBADF);
  CHECK(door_map_header(null, &(uint8_t *){NULL}) == -EINVAL);
  CHECK(door_map_header(-1, &(uint8_t *){NULL}) == -EBADF);
  munmap(page, DOOR_HEADER_SIZE);
  close(null);
  close(fd);
  CHECK(open_descriptors() == before);
}

static void test_small_requests(void) {
  struct bench b;
  set_up(&b);
  CHECK(door_read(&b.door, b.pairs) == 0);
  ask(&b, 56, FUSE_GETATTR, 11);
  ask(&b, SLOT, FUSE_LOOKUP, 12);
  CHECK(door_read(&b.door, b.pairs) == 2);
  CHECK(in_slot(b.pairs[0]) && in_slot(b.pairs[2]) && b.pairs[1] == 56 && b.pairs[3] == SLOT);
  CHECK(request_at(&b, b.pairs[0])->unique == 11 && request_at(&b, b.pairs[0])->opcode == FUSE_GETATTR);
  CHECK(request_at(&b, b.pairs[2])->unique == 12 && b.door.memory[b.pairs[2] + SLOT - 1] == 12);
  for (uint32_t i = 0; i < SLABS; i++) CHECK(request_at(&b, DOOR_HEADER_SIZE + i * SLAB)->unique == 0);
  uint64_t payload = 0;
  CHECK(door_reply(&b.door, b.pairs[0], 0, "payload", 8) == 0);
  struct fuse_out_header out = answer(&b, &payload, 8);
  CHECK(out.unique == 11 && out.error == 0 && out.len == sizeof out + 8 && memcmp(&payload, "payload", 8) == 0);
  CHECK(request_at(&b, b.pairs[0])->unique == 0 && answered(&b) == 1 && b.door.replied);
  CHECK(door_reply(&b.door, b.pairs[2], ENOENT, "payload", 8) == 0);
  out = answer(&b, NULL, 0);
  CHECK(out.unique == 12 && out.error == -ENOENT && out.len == sizeof out && answered(&b) == 2);
  // A place is answered once, and only where a request begins.
  uint32_t end = (uint32_t)b.door.memory_size;
  uint32_t wrong[] = {b.pairs[0], b.pairs[2], 0, 72, 4095, 4096, 4097, b.pairs[0] + 8, end, 0x7fffffff, 0xffffffff};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    CHECK(door_reply(&b.door, wrong[i], 0, NULL, 0) == -EINVAL);
    CHECK(door_release(&b.door, wrong[i]) == -EINVAL);
  }
  CHECK(answer(&b, NULL, 0).error == 1);
  // An errno that the kernel would refuse becomes EIO.
  int odd[] = {-5, 512, 100000};
  for (size_t i = 0; i < 3; i++) {
    ask(&b, 40, FUSE_STATFS, 20 + i);
    CHECK(door_read(&b.door, b.pairs) == 1);
    CHECK(door_reply(&b.door, b.pairs[0], odd[i], NULL, 0) == 0);
    CHECK(answer(&b, NULL, 0).error == -EIO);
  }
  tear_down(&b);
}

static void test_writes(void) {
  struct bench b;
  set_up(&b);
  ask(&b, 80, FUSE_WRITE, 1); // also a small one keeps its slab
  ask(&b, SLAB, FUSE_WRITE, 2);
  ask(&b, SLAB, FUSE_WRITE, 3);
  CHECK(door_read(&b.door, b.pairs) == SLABS / 2);
  CHECK(!in_slot(b.pairs[0]) && !in_slot(b.pairs[2]) && b.pairs[3] == SLAB);
  CHECK(b.door.memory[b.pairs[2] + SLAB - 1] == 2);
  CHECK(!door_can_read(&b.door) && b.door.counters.no_slab == 1);
  CHECK(door_read(&b.door, b.pairs + 8) == 0 && door_poll(&b.door, b.pairs + 8) == 0);
  CHECK(door_reply(&b.door, b.pairs[0], 0, &(uint64_t){80}, 8) == 0);
  CHECK(door_can_read(&b.door));
  CHECK(door_read(&b.door, b.pairs) == 1 && request_at(&b, b.pairs[0])->unique == 3);
  tear_down(&b);
}

static void test_full(void) {
  struct bench b;
  set_up(&b);
  // Three slots, four slabs: the eighth has to wait.
  for (uint64_t i = 1; i <= SLOTS + SLABS + 1; i++) ask(&b, i == 2 ? SLOT + 1 : 64, FUSE_GETATTR, i);
  CHECK(door_read(&b.door, b.pairs) == SLOTS + SLABS);
  CHECK(in_slot(b.pairs[0]) && !in_slot(b.pairs[2]) && in_slot(b.pairs[4]) && in_slot(b.pairs[6]) && !in_slot(b.pairs[8]));
  CHECK(!door_can_read(&b.door));
  CHECK(door_release(&b.door, b.pairs[0]) == 0 && !door_can_read(&b.door)); // a slot is no help
  CHECK(door_release(&b.door, b.pairs[2]) == 0 && door_can_read(&b.door));
  CHECK(answered(&b) == 0);
  CHECK(door_read(&b.door, b.pairs) == 1 && request_at(&b, b.pairs[0])->unique == 8 && in_slot(b.pairs[0]));
  tear_down(&b);

  struct door_geometry roomy = {SLABS, SLAB, 200, SLOT};
  int memory = door_create_memory(&roomy), sockets[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
  CHECK(door_open(&b.door, sockets[1], memory, 0) == 0);
  b.kernel = sockets[0];
  b.fuse = sockets[1];
  b.memory = memory;
  for (uint64_t i = 1; i <= 100; i++) ask(&b, 64, FUSE_GETATTR, i);
  CHECK(door_read(&b.door, b.pairs) == DOOR_BATCH);
  for (uint32_t i = 0; i < SLABS; i++) CHECK(request_at(&b, DOOR_HEADER_SIZE + i * SLAB)->unique == 0);
  CHECK(door_read(&b.door, b.pairs) == 100 - DOOR_BATCH && b.door.counters.requests == 100);
  tear_down(&b);
}

static void test_hostile_frames(void) {
  struct bench b;
  set_up(&b);
  ask_raw(&b, 1, 1, FUSE_GETATTR, 1);
  ask_raw(&b, 39, 39, FUSE_GETATTR, 2);
  ask_raw(&b, 41, 40, FUSE_GETATTR, 3);
  ask_raw(&b, 0xffffffff, 400, FUSE_WRITE, 4);
  ask_raw(&b, 0, 400, FUSE_WRITE, 5);
  ask_raw(&b, 64, 64, FUSE_GETATTR, 0);
  ask_raw(&b, 64, 64, 0xffffffff, 7);
  CHECK(door_read(&b.door, b.pairs) == 1 && request_at(&b, b.pairs[0])->unique == 7);
  for (uint64_t unique = 3; unique <= 5; unique++) {
    struct fuse_out_header out = answer(&b, NULL, 0);
    CHECK(out.unique == unique && out.error == -EIO);
  }
  CHECK(answer(&b, NULL, 0).error == 1);
  CHECK(b.door.free_slab_count == SLABS && b.door.free_slot_count == SLOTS - 1);
  close(b.kernel);
  CHECK(door_read(&b.door, b.pairs) == -ENODEV);
  CHECK(door_poll(&b.door, b.pairs) == -ENODEV);
  // The kernel is gone: the place is freed all the same.
  CHECK(door_reply(&b.door, b.pairs[0], 0, NULL, 0) < 0 && b.door.free_slot_count == SLOTS && answered(&b) == 0);
  b.kernel = -1;
  tear_down(&b);
}

static void test_leftovers(void) {
  struct bench b;
  uint32_t left[2 * (SLABS + SLOTS)];
  set_up(&b);
  ask(&b, 100, FUSE_WRITE, 1);
  ask(&b, 64, FUSE_MKDIR, 2);
  ask(&b, 64, FUSE_MKDIR, 3);
  ask(&b, 64, FUSE_MKDIR, 4);
  CHECK(door_read(&b.door, b.pairs) == 4);
  uint32_t write = b.pairs[0], slots[3] = {b.pairs[2], b.pairs[4], b.pairs[6]};
  CHECK(door_reply(&b.door, slots[1], 0, NULL, 0) == 0 && answer(&b, NULL, 0).unique == 3);
  // Death between filling a slot and clearing its slab: both name request 4.
  uint32_t twin = DOOR_HEADER_SIZE + (write == DOOR_HEADER_SIZE ? SLAB : 0);
  memcpy(b.door.memory + twin, b.door.memory + slots[2], 64);
  door_stop(&b.door);
  CHECK(door_reply(&b.door, slots[0], 0, NULL, 0) == -EBADF && door_release(&b.door, slots[0]) == -EBADF);
  CHECK(request_at(&b, slots[0])->unique == 2);
  door_free(&b.door);

  CHECK(door_open(&b.door, b.fuse, b.memory, 0) == 0);
  // Before they are asked for, nothing is read over them.
  for (uint64_t i = 0; i < 3; i++) ask(&b, 64, FUSE_GETATTR, 50 + i);
  CHECK(door_read(&b.door, b.pairs) == 3);
  CHECK(request_at(&b, slots[0])->unique == 2 && request_at(&b, slots[2])->unique == 4 && request_at(&b, write)->unique == 1);
  CHECK(door_leftovers(&b.door, left) == 3);
  CHECK(in_slot(left[0]) && in_slot(left[2]) && left[4] == write && left[5] == 100 && left[1] == 64);
  CHECK(request_at(&b, twin)->unique == 0 && b.door.writes_held == 1);
  CHECK(door_leftovers(&b.door, left + 6) == 0);
  for (int i = 0; i < 3; i++) CHECK(door_reply(&b.door, left[2 * i], 0, NULL, 0) == 0);
  for (int i = 0; i < 3; i++) CHECK(door_release(&b.door, b.pairs[2 * i]) == 0);
  CHECK(b.door.writes_held == 0 && b.door.free_slab_count == SLABS && b.door.free_slot_count == SLOTS);
  for (int i = 0; i < 3; i++) CHECK(answer(&b, NULL, 0).error == 0);

  // What a dying process scribbled over.
  uint32_t lengths[SLOTS] = {0xffffffff, 39, SLOT + 1};
  for (uint32_t i = 0; i < SLOTS; i++) {
    struct fuse_in_header *slot = request_at(&b, DOOR_HEADER_SIZE + SLABS * SLAB + i * SLOT);
    *slot = (struct fuse_in_header){.len = lengths[i], .opcode = FUSE_MKDIR, .unique = 90 + i};
  }
  *request_at(&b, DOOR_HEADER_SIZE) = (struct fuse_in_header){.len = SLAB + 1, .opcode = FUSE_WRITE, .unique = 93};
  door_free(&b.door);
  CHECK(door_open(&b.door, b.fuse, b.memory, 0) == 0);
  CHECK(door_leftovers(&b.door, left) == 0 && b.door.free_slab_count == SLABS && b.door.free_slot_count == SLOTS);
  for (uint64_t i = 0; i < 4; i++) {
    struct fuse_out_header out = answer(&b, NULL, 0);
    CHECK(out.unique == 90 + i && out.error == -EIO);
  }
  tear_down(&b);
}

static void test_polling(void) {
  struct polling polling = {.limit_microseconds = 50, .next_rest = 64};
  for (int i = 0; i < 16; i++) {
    CHECK(polling_allowed(&polling));
    polling_record(&polling, false);
  }
  int rounds = 0;
  while (!polling_allowed(&polling)) rounds++;
  CHECK(rounds == 64);
  for (int i = 0; i < 16; i++) polling_record(&polling, false);
  for (rounds = 0; !polling_allowed(&polling); rounds++) continue;
  CHECK(rounds == 128);
  for (int i = 0; i < 16; i++) polling_record(&polling, i % 4 == 0);
  CHECK(polling_allowed(&polling));
  struct polling never = {.limit_microseconds = 0};
  CHECK(!polling_allowed(&never));

  struct bench b;
  set_up(&b);
  b.door.polling.limit_microseconds = 20000; // also on a machine with one processor
  ask(&b, 64, FUSE_GETATTR, 5);
  CHECK(door_poll(&b.door, b.pairs) == 1 && b.door.counters.poll_hits == 1);
  CHECK(door_poll(&b.door, b.pairs) == 0 && b.door.counters.poll_hits == 1);
  CHECK(b.door.counters.poll_nanoseconds >= 20000000);
  b.door.polling.limit_microseconds = 0;
  ask(&b, 64, FUSE_GETATTR, 6);
  CHECK(door_poll(&b.door, b.pairs) == 0);
  tear_down(&b);
}

struct inval_inode {
  struct fuse_out_header out;
  struct fuse_notify_inval_inode_out inode;
};

static struct inval_inode inval(int64_t from) {
  struct inval_inode message = {{sizeof message, FUSE_NOTIFY_INVAL_INODE, 0}, {.ino = 1, .off = from, .len = 0}};
  return message;
}

static bool thread_ended(void) {
  for (int i = 0; i < 200; i++) {
    if (count_entries("/proc/self/task") == 3) return true; // ".", "..", us
    wait_milliseconds(10);
  }
  return false;
}

static void test_notifications(void) {
  struct bench b;
  set_up(&b);
  struct inval_inode harmless = inval(-1), ranged = inval(0);
  struct fuse_out_header epoch = {sizeof epoch, 8, 0}, entry = {sizeof entry, FUSE_NOTIFY_INVAL_ENTRY, 0};
  CHECK(door_notify(&b.door, &harmless, sizeof harmless) == 0 && answer(&b, NULL, 0).error == FUSE_NOTIFY_INVAL_INODE);
  CHECK(door_notify(&b.door, &epoch, sizeof epoch) == 0 && answer(&b, NULL, 0).error == 8);
  CHECK(door_notify(&b.door, &ranged, sizeof ranged) == -EINVAL && door_notify(&b.door, &entry, sizeof entry) == -EINVAL);
  CHECK(door_notify(&b.door, &harmless, 20) == -EINVAL && door_notify(&b.door, &harmless, 3) == -EINVAL);
  harmless.out.unique = 9;
  CHECK(door_notify(&b.door, &harmless, sizeof harmless) == -EINVAL);
  CHECK(door_notify_later(&b.door, &harmless, sizeof harmless) == -EINVAL && b.door.notifier == NULL);

  // The reader stands still: the thread gets stuck, the queue fills, and nothing else waits.
  int size = 4096;
  CHECK(setsockopt(b.fuse, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
  CHECK(fcntl(b.fuse, F_SETFL, fcntl(b.fuse, F_GETFL) & ~O_NONBLOCK) == 0);
  int taken = 0, result = 1;
  while (taken < 5000) {
    ranged.inode.ino = (uint64_t)taken;
    result = door_notify_later(&b.door, &ranged, sizeof ranged);
    if (result != 1 && taken < NOTIFIER_QUEUE_LIMIT) wait_milliseconds(1);
    if (result != 1) break;
    taken++;
  }
  CHECK(result == 0 && taken >= NOTIFIER_QUEUE_LIMIT && taken < NOTIFIER_QUEUE_LIMIT + 200);
  for (int i = 0; i < taken; i++) {
    struct inval_inode got;
    if (recv(b.kernel, &got, sizeof got, 0) != sizeof got || got.inode.ino != (uint64_t)i) {
      CHECK(i == taken);
      break;
    }
  }
  CHECK(recv(b.kernel, &ranged, sizeof ranged, MSG_DONTWAIT) < 0 && errno == EAGAIN);
  // Freed while the thread is stuck again: it ends by itself once the write comes back.
  while (door_notify_later(&b.door, &ranged, sizeof ranged) == 1) continue;
  tear_down(&b);
  CHECK(thread_ended());
}

// ---- mount ----

static int send_fds(int socket, const int *fds, size_t count, size_t length) {
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

// ---- fs ----

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

// ---- channels ----

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

// ---- process ----

static int in_child(int (*body)(void)) {
  pid_t pid = fork();
  if (pid == 0) _exit(body());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int without_capabilities(void) {
  if (process_drop_capabilities() != 0 || process_can_mount()) return 1;
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 2;
  return mount("none", folder, "tmpfs", 0, NULL) == 0 || errno != EPERM ? 3 : 0;
}

static bool ending;

static void *wait_for_end(void *blocked) {
  sigset_t all;
  sigfillset(&all);
  if (blocked != NULL) pthread_sigmask(SIG_SETMASK, &all, NULL);
  while (!__atomic_load_n(&ending, __ATOMIC_RELAXED)) wait_milliseconds(20);
  return NULL;
}

// Threads have rights of their own, and some block every signal.
static int without_capabilities_in_threads(void) {
  pthread_t threads[3];
  for (size_t i = 0; i < 3; i++) pthread_create(&threads[i], NULL, wait_for_end, i == 1 ? &threads : NULL);
  wait_milliseconds(50);
  if (process_drop_capabilities() != 0) return 1;
  DIR *listing = opendir("/proc/self/task");
  int clean = 0;
  for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
    char path[300], text[4096] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
    int fd = entry->d_name[0] == '.' ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0) continue;
    close(fd);
    if (strstr(text, "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n") != NULL && strstr(text, "NoNewPrivs:\t1") != NULL) clean++;
  }
  closedir(listing);
  __atomic_store_n(&ending, true, __ATOMIC_RELAXED);
  for (size_t i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  return clean == 4 ? 0 : 2;
}

static int without_core(void) {
  struct rlimit limit;
  if (process_forbid_core() != 0) return 1;
  return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 || getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_cur != 0 ? 2 : 0;
}

static int with_name(void) {
  char name[16];
  if (process_set_name("a-very-long-process-name") != 0 || prctl(PR_GET_NAME, name, 0, 0, 0) != 0) return 1;
  return strcmp(name, "a-very-long-pro") == 0 ? 0 : 2;
}

static int told_at(const char *shown, const char *bound, socklen_t length) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, bound, length);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  char text[32] = "";
  int result = 1;
  if (bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) == 0) {
    setenv("NOTIFY_SOCKET", shown, 1);
    bool told = process_notify_systemd("READY=1") == 1 && recv(fd, text, sizeof text, MSG_DONTWAIT) == 7;
    result = told && strcmp(text, "READY=1") == 0 ? 0 : 2;
  }
  unsetenv("NOTIFY_SOCKET");
  close(fd);
  return result;
}

static void test_process(void) {
  CHECK(in_child(without_capabilities) == 0);
  CHECK(in_child(without_capabilities_in_threads) == 0);
  CHECK(in_child(without_core) == 0);
  CHECK(in_child(with_name) == 0);
  unsetenv("NOTIFY_SOCKET");
  CHECK(process_notify_systemd("READY=1") == 0);
  const char *path = in_folder("notify");
  CHECK(told_at(path, path, (socklen_t)strlen(path)) == 0);
  char shown[64], bound[64];
  snprintf(shown, sizeof shown, "@cloudmoor-native-%d", (int)getpid());
  memcpy(bound, shown, sizeof bound);
  bound[0] = '\0';
  CHECK(told_at(shown, bound, (socklen_t)strlen(shown)) == 0);
  setenv("NOTIFY_SOCKET", in_folder("absent"), 1);
  CHECK(process_notify_systemd("READY=1") == -ENOENT);
  unsetenv("NOTIFY_SOCKET");

  int before = open_descriptors();
  pid_t pid = fork();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  CHECK(!process_is_gone(pid) && !process_is_gone(getpid()) && !process_is_gone(1));
  kill(pid, SIGKILL);
  int tries = 0;
  while (!process_is_gone(pid) && tries++ < 200) wait_milliseconds(5);
  CHECK(process_is_gone(pid)); // not yet reaped …
  CHECK(waitpid(pid, NULL, 0) == pid && process_is_gone(pid)); // … and nobody's exit status was taken
  CHECK(open_descriptors() == before);
}

int main(void) {
  if (mkdtemp(folder) == NULL) {
    perror(folder);
    return 1;
  }
  test_memory();
  test_small_requests();
  test_writes();
  test_full();
  test_hostile_frames();
  test_leftovers();
  test_polling();
  test_notifications();
  test_receive_fd();
  test_mount();
  test_files();
  test_attributes();
  test_addresses();
  test_messages();
  test_process();
  const char *names[] = {"a", "b", "link", "fifo", "notify", "socket", "mount"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) remove(in_folder(names[i]));
  rmdir(folder);
  if (failed > 0) fprintf(stderr, "native: %d checks failed\n", failed);
  if (failed == 0) printf("native: %d checks passed\n", passed);
  return failed > 0;
}
