// The kernel door: requests are read straight into shared memory, so that they survive the process that read them.
// Plain C: no N-API, no libuv. Functions return 0 or more, or a negative errno.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "polling.h"

enum {
  DOOR_BATCH = 64,          // requests handed over at once
  DOOR_HEADER_SIZE = 4096,  // first page of the request memory; fields are named in native.ts
};

struct door_geometry {
  uint32_t slab_count, slab_size, slot_count, slot_size;
};

struct door_counters {
  uint64_t wakeups, requests, poll_hits, poll_nanoseconds, no_slab;
};

struct door {
  int fd; // our own duplicate, or -1 after door_stop
  int memory_fd; // our own duplicate
  uint8_t *memory;
  size_t memory_size;
  struct door_geometry geometry;
  uint32_t slots_offset;
  uint8_t *states; // one per place: slabs, then slots
  uint32_t *free_slabs, *free_slots;
  bool *slab_ready;  // has its memory, every page touched
  bool memory_short; // no memory for another slab until one comes back
  uint32_t free_slab_count, free_slot_count;
  uint32_t writes_held;
  bool replied; // since the flag was last cleared
  struct door_counters counters;
  struct polling polling;
  struct notifier *notifier;
};

// A sealed memfd with its header written; slabs get their pages when they are first used.
int door_create_memory(const struct door_geometry *geometry);
// Maps the header page. *page is given back with munmap(page, DOOR_HEADER_SIZE).
int door_map_header(int memory_fd, uint8_t **page);

int door_open(struct door *door, int fuse_fd, int memory_fd, uint32_t poll_microseconds);
// Closes the connection's descriptor; requests stay in memory.
void door_stop(struct door *door);
void door_free(struct door *door);

// Fills `pairs` (offset, length) with what a predecessor left: at most slab_count + slot_count pairs. Returns how many.
uint32_t door_leftovers(struct door *door, uint32_t *pairs);
// False while no slab may be used for reading; a reply or release changes that.
bool door_can_read(const struct door *door);
// Reads what waits, up to DOOR_BATCH requests. Returns how many, or a negative errno when the connection is over.
int door_read(struct door *door, uint32_t *pairs);
// Reads, and while nothing waits tries again for as long as polling pays.
int door_poll(struct door *door, uint32_t *pairs);
int door_reply(struct door *door, uint32_t offset, int error, const void *payload, size_t length);
int door_release(struct door *door, uint32_t offset);

// Refuses (-EINVAL) notifications that could block the caller for ever.
int door_notify(struct door *door, const void *message, size_t length);
// 1: queued for the thread, 0: queue full.
int door_notify_later(struct door *door, const void *message, size_t length);
