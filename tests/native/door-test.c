// The door: memory, requests, answers, leftovers, notifications. A socket pair plays /dev/fuse.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "door.h"
#include "notify.h"
#include "support.h"

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

void test_door(void) {
  test_memory();
  test_small_requests();
  test_writes();
  test_full();
  test_hostile_frames();
  test_leftovers();
  test_polling();
  test_notifications();
}
