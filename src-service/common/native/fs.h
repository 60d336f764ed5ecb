// File calls that Node does not have. Plain C; negative errno on failure.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

// -EAGAIN: not in the page cache.
int64_t fs_read_now(int fd, void *target, size_t length, int64_t position);
// The page cache lets go of what is clean in this range.
int fs_drop_pages(int fd, int64_t offset, int64_t length);
int fs_allocate(int fd, int mode, int64_t offset, int64_t length);
int64_t fs_seek(int fd, int64_t offset, int whence);
int fs_clone(int from_fd, int to_fd);
// Bytes copied: fewer than `length` at the end of the source.
int64_t fs_copy_range(int from_fd, int64_t from_offset, int to_fd, int64_t to_offset, int64_t length);
int fs_set_times(const char *path, const struct timespec times[2]);
// -EEXIST: `to` is there; -EINVAL: this file system cannot tell.
int fs_rename_new(const char *from, const char *to);
int fs_make_node(const char *path, uint32_t mode, uint32_t major, uint32_t minor);
// The value or the list of names in *bytes (malloc), its size as result.
int64_t fs_get_attribute(const char *path, const char *name, uint8_t **bytes);
int64_t fs_list_attributes(const char *path, uint8_t **bytes);
int fs_set_attribute(const char *path, const char *name, const void *value, size_t length);
int fs_remove_attribute(const char *path, const char *name);
int fs_duplicate(int fd);
int fs_close(int fd);
