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

#include "memory.h"
#include "notify.h"

enum { PAGE = 4096, ANSWERED_OFFSET = 72 };
enum place_state { FREE, HELD, HELD_WRITE, LEFT };

static uint64_t now_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
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

// Gives a slab its memory, before the first request is read into it. Most mounts never use more than a few.
static bool prepare_slab(struct door *door, uint32_t slab) {
  if (door->slab_ready[slab]) return true;
  uint32_t offset = place_offset(door, slab);
  if (fallocate(door->memory_fd, 0, offset, door->geometry.slab_size) != 0) return false;
  memory_touch(door->memory + offset, door->geometry.slab_size);
  door->slab_ready[slab] = true;
  return true;
}

// Slabs that were used before lie above those that never were.
static void push_free(struct door *door, uint32_t place) {
  door->states[place] = FREE;
  if (is_slab(door, place)) {
    door->free_slabs[door->free_slab_count++] = place;
    door->memory_short = false;
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
  int result = flags < 0 || fcntl(door->fd, F_SETFL, flags | O_NONBLOCK) != 0 ? -errno : memory_map(door, memory_fd);
  if (result == 0) {
    door->states = calloc(place_count(door), sizeof *door->states);
    door->free_slabs = calloc(door->geometry.slab_count, sizeof *door->free_slabs);
    door->slab_ready = calloc(door->geometry.slab_count, sizeof *door->slab_ready);
    door->free_slots = calloc(door->geometry.slot_count, sizeof *door->free_slots);
    if (door->states == NULL || door->free_slabs == NULL || door->slab_ready == NULL || door->free_slots == NULL) result = -ENOMEM;
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
  // What a predecessor left lies in slabs that have their memory; two more let requests be read at once.
  for (uint32_t slab = 0; slab < door->geometry.slab_count; slab++) {
    if ((slab < 2 || door->states[slab] == LEFT) && !prepare_slab(door, slab)) {
      int error = errno;
      door_free(door);
      return -error;
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
  if (door->memory_fd > 0) close(door->memory_fd);
  free(door->free_slabs);
  free(door->slab_ready);
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
  return door->fd >= 0 && door->free_slab_count > 0 && !door->memory_short && door->writes_held < door->geometry.slab_count / 2;
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
    uint32_t top = door->free_slabs[door->free_slab_count - 1];
    // Without memory for another one, reading goes on when a slab comes back.
    if (!prepare_slab(door, top)) {
      door->memory_short = true;
      door->counters.no_slab++;
      break;
    }
    struct fuse_in_header *slab = request_at(door, top);
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
