#define _GNU_SOURCE
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAGIC = 0x4c534d43, LAYOUT_VERSION = 1, PAGE = 4096 };

struct memory_header {
  uint32_t magic, layout_version, slab_count, slab_size, slot_count, slot_size, slabs_offset, slots_offset;
};

static bool geometry_valid(const struct door_geometry *g) {
  return g->slab_count >= 2 && g->slab_count <= 4096 && g->slot_count >= 1 && g->slot_count <= 65536 && g->slab_size % PAGE == 0 &&
         g->slab_size >= FUSE_MIN_READ_BUFFER && g->slab_size <= (64u << 20) && g->slot_size % PAGE == 0 && g->slot_size >= PAGE &&
         g->slot_size <= (1u << 20);
}

static uint64_t memory_size_of(const struct door_geometry *g) {
  return DOOR_HEADER_SIZE + (uint64_t)g->slab_count * g->slab_size + (uint64_t)g->slot_count * g->slot_size;
}

// A kill during a copy into a page that is not there yet costs the caller an EIO: every page is written before the first read.
void memory_touch(uint8_t *memory, size_t size) {
  // Best effort, the limit may be small: what is locked is not swapped out again.
  mlock(memory, size);
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
  // fallocate reports missing memory as an error, where touching a page would raise SIGBUS. Slabs get theirs when they are first used.
  off_t slots = (off_t)header.slots_offset;
  if (ftruncate(fd, (off_t)size) != 0 || fallocate(fd, 0, 0, DOOR_HEADER_SIZE) != 0 || fallocate(fd, 0, slots, (off_t)size - slots) != 0 ||
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

int memory_map(struct door *door, int memory_fd) {
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
  void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
  if (at == MAP_FAILED) return -errno;
  door->memory_fd = fcntl(memory_fd, F_DUPFD_CLOEXEC, 3);
  if (door->memory_fd < 0) {
    int error = errno;
    munmap(at, size);
    return -error;
  }
  door->memory = at;
  door->memory_size = size;
  door->geometry = g;
  door->slots_offset = h.slots_offset;
  memory_touch(door->memory, DOOR_HEADER_SIZE);
  memory_touch(door->memory + h.slots_offset, size - h.slots_offset);
  return 0;
}
