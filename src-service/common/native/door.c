#define _GNU_SOURCE
#include "door.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "notify.h"

enum { MAGIC = 0x4c534d43, LAYOUT_VERSION = 1, PAGE = 4096, ANSWERED_OFFSET = 72 };
enum place_state { FREE, HELD, HELD_WRITE, LEFT };

struct memory_header {
  uint32_t magic, layout_version, slab_count, slab_size, slot_count, slot_size, slabs_offset, slots_offset;
};

static uint64_t now_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// ---- request memory ----

static bool geometry_valid(const struct door_geometry *g) {
  return g->slab_count >= 2 && g->slab_count <= 4096 && g->slot_count >= 1 && g->slot_count <= 65536 && g->slab_size % PAGE == 0 &&
         g->slab_size >= FUSE_MIN_READ_BUFFER && g->slab_size <= (64u << 20) && g->slot_size % PAGE == 0 && g->slot_size >= PAGE &&
         g->slot_size <= (1u << 20);
}

static uint64_t memory_size_of(const struct door_geometry *g) {
  return DOOR_HEADER_SIZE + (uint64_t)g->slab_count * g->slab_size + (uint64_t)g->slot_count * g->slot_size;
}

// A kill during a copy into a page that is not there yet costs the caller an EIO: every page is written before the first read.
static void touch_for_writing(uint8_t *memory, size_t size) {
  for (size_t at = 0; at < size; at += PAGE) __atomic_fetch_or((uint32_t *)(memory + at), 0, __ATOMIC_RELAXED);
}

int door_create_memory(const struct door_geometry *g) {
  if (!geometry_valid(g) || memory_size_of(g) > INT32_MAX) return -EINVAL;
  size_t size = memory_size_of(g);
  int fd = memfd_create("cloudmoor-requests", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  struct memory_header header = {
      .magic = MAGIC,
      .layout_version = LAYOUT_VERSION,
      .slab_count = g->slab_count,
      .slab_size = g->slab_size,
      .slot_count = g->slot_count,
      .slot_size = g->slot_size,
      .slabs_offset = DOOR_HEADER_SIZE,
      .slots_offset = DOOR_HEADER_SIZE + g->slab_count * g->slab_size,
  };
  // fallocate reports missing memory as an error, where touching a page would raise SIGBUS.
  if (ftruncate(fd, (off_t)size) != 0 || fallocate(fd, 0, 0, (off_t)size) != 0 ||
      pwrite(fd, &header, sizeof header, 0) != (ssize_t)sizeof header ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

int door_map_header(int memory_fd, uint8_t **page) {
  struct stat info;
  if (fstat(memory_fd, &info) != 0) return -errno;
  if (info.st_size < DOOR_HEADER_SIZE) return -EINVAL;
  void *at = mmap(NULL, DOOR_HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
  if (at == MAP_FAILED) return -errno;
  *page = at;
  return 0;
}

static int map_memory(struct door *door, int memory_fd) {
  struct memory_header h;
  struct stat info;
  if (fstat(memory_fd, &info) != 0) return -errno;
  ssize_t got = pread(memory_fd, &h, sizeof h, 0);
  if (got < 0) return -errno;
  struct door_geometry g = {h.slab_count, h.slab_size, h.slot_count, h.slot_size};
  if (got != (ssize_t)sizeof h || h.magic != MAGIC || h.layout_version != LAYOUT_VERSION || !geometry_valid(&g)) return -EINVAL;
  uint64_t size = memory_size_of(&g);
  if (size > INT32_MAX || (uint64_t)info.st_size != size || h.slabs_offset != DOOR_HEADER_SIZE) return -EINVAL;
  if (h.slots_offset != DOOR_HEADER_SIZE + g.slab_count * g.slab_size) return -EINVAL;
  void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memory_fd, 0);
  if (at == MAP_FAILED) return -errno;
  door->memory = at;
  door->memory_size = size;
  door->geometry = g;
  door->slots_offset = h.slots_offset;
  // Best effort, the limit may be small: what is locked is not swapped out again.
  mlock(at, size);
  touch_for_writing(door->memory, size);
  return 0;
}

// ---- places: slabs are 0 … slab_count - 1, slots follow ----

static uint32_t place_count(const struct door *door) {
  return door->geometry.slab_count + door->geometry.slot_count;
}

static bool is_slab(const struct door *door, uint32_t place) {
  return place < door->geometry.slab_count;
}

static uint32_t place_offset(const struct door *door, uint32_t place) {
  const struct door_geometry *g = &door->geometry;
  if (place < g->slab_count) return DOOR_HEADER_SIZE + place * g->slab_size;
  return door->slots_offset + (place - g->slab_count) * g->slot_size;
}

static uint32_t place_size(const struct door *door, uint32_t place) {
  return is_slab(door, place) ? door->geometry.slab_size : door->geometry.slot_size;
}

static struct fuse_in_header *request_at(const struct door *door, uint32_t place) {
  return (struct fuse_in_header *)(door->memory + place_offset(door, place));
}

// The place that begins at `offset` and holds a request, or -1.
static int64_t held_place(const struct door *door, uint32_t offset) {
  const struct door_geometry *g = &door->geometry;
  uint32_t place;
  if (offset < DOOR_HEADER_SIZE || offset >= door->memory_size) return -1;
  if (offset < door->slots_offset) {
    place = (offset - DOOR_HEADER_SIZE) / g->slab_size;
  } else {
    place = g->slab_count + (offset - door->slots_offset) / g->slot_size;
  }
  return place_offset(door, place) == offset && door->states[place] != FREE ? (int64_t)place : -1;
}

static uint64_t load_unique(const struct fuse_in_header *request) {
  return __atomic_load_n(&request->unique, __ATOMIC_ACQUIRE);
}

static void store_unique(struct fuse_in_header *request, uint64_t unique) {
  __atomic_store_n(&request->unique, unique, __ATOMIC_RELEASE);
}

static void push_free(struct door *door, uint32_t place) {
  door->states[place] = FREE;
  if (is_slab(door, place)) {
    door->free_slabs[door->free_slab_count++] = place;
  } else {
    door->free_slots[door->free_slot_count++] = place;
  }
}

static void free_place(struct door *door, uint32_t place) {
  store_unique(request_at(door, place), 0);
  if (door->states[place] == HELD_WRITE) door->writes_held--;
  push_free(door, place);
}

static void hold(struct door *door, uint32_t place) {
  bool write = is_slab(door, place) && request_at(door, place)->opcode == FUSE_WRITE;
  door->states[place] = write ? HELD_WRITE : HELD;
  if (write) door->writes_held++;
}

// ---- opening and closing ----

int door_open(struct door *door, int fuse_fd, int memory_fd, uint32_t poll_microseconds) {
  memset(door, 0, sizeof *door);
  polling_begin(&door->polling, poll_microseconds);
  // A duplicate of our own: whoever closes fuse_fd early cannot make us read some other file that got its number.
  door->fd = fcntl(fuse_fd, F_DUPFD_CLOEXEC, 3);
  if (door->fd < 0) return -errno;
  int flags = fcntl(door->fd, F_GETFL);
  int result = flags < 0 || fcntl(door->fd, F_SETFL, flags | O_NONBLOCK) != 0 ? -errno : map_memory(door, memory_fd);
  if (result == 0) {
    door->states = calloc(place_count(door), sizeof *door->states);
    door->free_slabs = calloc(door->geometry.slab_count, sizeof *door->free_slabs);
    door->free_slots = calloc(door->geometry.slot_count, sizeof *door->free_slots);
    if (door->states == NULL || door->free_slabs == NULL || door->free_slots == NULL) result = -ENOMEM;
  }
  if (result != 0) {
    door_free(door);
    return result;
  }
  for (uint32_t place = place_count(door); place-- > 0;) {
    if (load_unique(request_at(door, place)) == 0) {
      push_free(door, place);
    } else {
      door->states[place] = LEFT;
    }
  }
  return 0;
}

void door_stop(struct door *door) {
  if (door->notifier != NULL) notifier_stop(door->notifier);
  door->notifier = NULL;
  if (door->fd >= 0) close(door->fd);
  door->fd = -1;
}

void door_free(struct door *door) {
  door_stop(door);
  if (door->memory != NULL) munmap(door->memory, door->memory_size);
  free(door->states);
  free(door->free_slabs);
  free(door->free_slots);
  memset(door, 0, sizeof *door);
  door->fd = -1;
}

// ---- answering ----

static int write_answer(struct door *door, uint64_t unique, int error, const void *payload, size_t length) {
  struct fuse_out_header out = {.len = (uint32_t)(sizeof out + length), .error = -error, .unique = unique};
  struct iovec parts[2] = {{&out, sizeof out}, {(void *)(uintptr_t)payload, length}};
  ssize_t done;
  do {
    done = writev(door->fd, parts, length == 0 ? 1 : 2);
  } while (done < 0 && errno == EINTR);
  return done < 0 ? -errno : 0;
}

// The kernel copies the payload: a page that is not resident then, and a kill while it is fetched, would be the caller's EIO.
static void touch_for_reading(const uint8_t *bytes, size_t length) {
  for (size_t at = 0; at < length; at += PAGE) (void)*(const volatile uint8_t *)(bytes + at);
  if (length > 0) (void)*(const volatile uint8_t *)(bytes + length - 1);
}

int door_reply(struct door *door, uint32_t offset, int error, const void *payload, size_t length) {
  if (door->fd < 0) return -EBADF;
  int64_t place = held_place(door, offset);
  if (place < 0) return -EINVAL;
  if (error < 0 || error >= 512) error = EIO; // what the kernel would refuse, leaving the caller to wait for ever
  if (error != 0) length = 0;
  struct fuse_in_header *request = request_at(door, (uint32_t)place);
  uint64_t unique = load_unique(request);
  touch_for_reading(payload, length);
  int result = write_answer(door, unique, error, payload, length);
  // An answer of the wrong size may have been refused before its request was found: then this one ends the wait.
  if (result != 0 && result != -ENOENT) write_answer(door, unique, EIO, NULL, 0);
  free_place(door, (uint32_t)place);
  if (result == 0) __atomic_fetch_add((uint64_t *)(door->memory + ANSWERED_OFFSET), 1, __ATOMIC_RELAXED);
  door->replied = true;
  return result;
}

int door_release(struct door *door, uint32_t offset) {
  if (door->fd < 0) return -EBADF;
  int64_t place = held_place(door, offset);
  if (place < 0) return -EINVAL;
  free_place(door, (uint32_t)place);
  return 0;
}

// ---- reading ----

static bool well_formed(const struct fuse_in_header *request, size_t length, uint32_t limit) {
  return length >= sizeof *request && length <= limit && request->len == length && load_unique(request) != 0;
}

bool door_can_read(const struct door *door) {
  // Waiting WRITEs keep to half of the slabs, so that a successor that cannot yet trust the other half has slabs of its own.
  return door->fd >= 0 && door->free_slab_count > 0 && door->writes_held < door->geometry.slab_count / 2;
}

// Moves a small request out of its slab. At no moment is the request in neither place; `door_leftovers` drops the twin.
static uint32_t move_to_slot(struct door *door, const struct fuse_in_header *from, size_t length) {
  uint32_t place = door->free_slots[--door->free_slot_count];
  struct fuse_in_header *to = request_at(door, place);
  size_t after = offsetof(struct fuse_in_header, nodeid);
  memcpy(to, from, offsetof(struct fuse_in_header, unique));
  memcpy((uint8_t *)to + after, (const uint8_t *)from + after, length - after);
  store_unique(to, from->unique);
  return place;
}

// Gives the request just read into the topmost free slab its place, or -1 if it is not one.
static int64_t admit(struct door *door, size_t length) {
  uint32_t slab = door->free_slabs[door->free_slab_count - 1];
  struct fuse_in_header *request = request_at(door, slab);
  uint64_t unique = length >= sizeof *request ? load_unique(request) : 0;
  if (!well_formed(request, length, door->geometry.slab_size)) {
    if (unique != 0) write_answer(door, unique, EIO, NULL, 0);
    store_unique(request, 0);
    return -1;
  }
  uint32_t place = slab;
  if (request->opcode != FUSE_WRITE && length <= door->geometry.slot_size && door->free_slot_count > 0) {
    place = move_to_slot(door, request, length);
    store_unique(request, 0);
  } else {
    door->free_slab_count--;
  }
  hold(door, place);
  return place;
}

int door_read(struct door *door, uint32_t *pairs) {
  int count = 0;
  for (int tries = 0; tries < DOOR_BATCH; tries++) {
    if (!door_can_read(door)) {
      door->counters.no_slab++;
      break;
    }
    struct fuse_in_header *slab = request_at(door, door->free_slabs[door->free_slab_count - 1]);
    store_unique(slab, 0);
    ssize_t got = read(door->fd, slab, door->geometry.slab_size);
    if (got < 0 && (errno == EINTR || errno == ENOENT)) continue; // ENOENT: the request was interrupted while queued
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) {
      if (count > 0) break; // the next read says so again
      return got == 0 ? -ENODEV : -errno;
    }
    int64_t place = admit(door, (size_t)got);
    if (place < 0) continue;
    pairs[2 * count] = place_offset(door, (uint32_t)place);
    pairs[2 * count + 1] = (uint32_t)got;
    count++;
  }
  door->counters.requests += (uint64_t)count;
  return count;
}

uint32_t door_leftovers(struct door *door, uint32_t *pairs) {
  uint32_t slabs = door->geometry.slab_count, count = 0;
  for (uint32_t at = 0; at < place_count(door); at++) {
    uint32_t place = (at + slabs) % place_count(door); // slots first
    if (door->states[place] != LEFT) continue;
    struct fuse_in_header *request = request_at(door, place);
    uint64_t unique = load_unique(request);
    bool twin = false;
    for (uint32_t i = 0; i < count && is_slab(door, place) && !twin; i++) {
      twin = load_unique((const struct fuse_in_header *)(door->memory + pairs[2 * i])) == unique;
    }
    bool damaged = !twin && !well_formed(request, request->len, place_size(door, place));
    if (damaged && unique != 0) write_answer(door, unique, EIO, NULL, 0);
    if (twin || damaged) {
      free_place(door, place);
      continue;
    }
    hold(door, place);
    pairs[2 * count] = place_offset(door, place);
    pairs[2 * count + 1] = request->len;
    count++;
  }
  return count;
}

// ---- polling after a reply ----

int door_poll(struct door *door, uint32_t *pairs) {
  if (!polling_allowed(&door->polling)) return 0;
  uint64_t begin = now_nanoseconds(), now = begin;
  uint64_t limit = (uint64_t)door->polling.limit_microseconds * 1000;
  int count = 0;
  while (count == 0 && now - begin < limit && door_can_read(door)) {
    count = door_read(door, pairs);
    now = now_nanoseconds();
  }
  if (count > 0) door->counters.poll_hits++;
  door->counters.poll_nanoseconds += now - begin;
  polling_record(&door->polling, count > 0);
  return count;
}

// ---- notifications ----

int door_notify(struct door *door, const void *message, size_t length) {
  if (door->fd < 0) return -EBADF;
  if (!notification_valid(message, length) || !notification_never_blocks(message, length)) return -EINVAL;
  return write(door->fd, message, length) < 0 ? -errno : 0;
}

int door_notify_later(struct door *door, const void *message, size_t length) {
  if (door->fd < 0) return -EBADF;
  if (!notification_valid(message, length)) return -EINVAL;
  if (door->notifier == NULL) door->notifier = notifier_start(door->fd);
  return door->notifier == NULL ? -ENOMEM : notifier_add(door->notifier, message, length);
}
