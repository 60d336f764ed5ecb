// Does random things to files in a folder, and to a model of them in memory, and compares. Arguments: folder, seed, calls (0: until the
// stop file is there), folder for a copy of the model at the end, `strict` or `patient`, stop file. Patient: what fails because the cloud is
// away or the cache full has not happened. The last line tells the counts; exit 1 and the last calls if model and folder differ.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { folders = 4, files_each = 6, names = folders * files_each, most_handles = 8, largest = 1 << 18, most_told = 40 };

struct file {
  unsigned char bytes[largest];
  size_t size;
  int names, handles;
};

struct handle {
  int fd;
  struct file *file;
  int append, writable;
};

static struct file *name[names];
static struct handle handles[most_handles];
static unsigned char buffer[largest], other[largest];
static char told[most_told][200];
static uint64_t state;
static unsigned long long calls, refused;
static int patient, tells;
static double worst;
static const char *root;

static uint32_t any(uint32_t below) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)((state >> 11) % below);
}

static void tell(const char *format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(told[tells++ % most_told], sizeof *told, format, list);
  va_end(list);
}

static void fail(const char *what, long long got, long long wanted) {
  for (int i = tells > most_told ? tells - most_told : 0; i < tells; i++) fprintf(stderr, "%s\n", told[i % most_told]);
  fprintf(stderr, "call %llu: %s: %lld, not %lld (%s)\n", calls, what, got, wanted, strerror(errno));
  exit(1);
}

static const char *path_of(int index) {
  static char paths[2][64];
  static int turn;
  char *path = paths[turn++ & 1];
  snprintf(path, sizeof *paths, "d%d/f%d", index / files_each, index % files_each);
  return path;
}

/** Whether a call has happened; ends the program if it failed for a reason that it should not have. */
static int happened(const char *what, long long result) {
  calls++;
  if (result >= 0) return 1;
  int may = errno == ENOSPC || errno == ENETUNREACH || errno == ETIMEDOUT || errno == EREMOTEIO || errno == EBUSY || errno == EDQUOT;
  if (!patient || !may) fail(what, -errno, 0);
  refused++;
  return 0;
}

static void let_go(struct file *file) {
  if (file != NULL && file->names == 0 && file->handles == 0) free(file);
}

static struct file *take_name(int index) {
  struct file *file = name[index];
  name[index] = NULL;
  if (file != NULL) file->names--;
  return file;
}

static void grow(struct file *file, size_t size) {
  if (size > file->size) memset(file->bytes + file->size, 0, size - file->size);
  file->size = size;
}

static void fill(size_t length) {
  for (size_t i = 0; i < length; i += 8) {
    uint64_t word = ((uint64_t)any(1u << 31) << 32) | any(1u << 31);
    memcpy(buffer + i, &word, length - i < 8 ? length - i : 8);
  }
}

/** Small ones are frequent, and so are ends of blocks and pages. */
static size_t length_of(void) {
  static const size_t edges[] = {1, 511, 4095, 4096, 4097, 65535, 65536, 65537, 131072};
  uint32_t kind = any(10);
  return kind < 6 ? 1 + any(3000) : kind < 8 ? edges[any(9)] : 1 + any(largest / 3);
}

static size_t place_in(size_t size) {
  uint32_t kind = any(10);
  size_t at = kind < 6 && size > 0 ? any((uint32_t)size) : kind < 8 ? size : any(largest);
  return at < largest ? at : largest - 1;
}

static void check(const char *what, const unsigned char *got, ssize_t length, const struct file *file, size_t at, size_t wanted) {
  size_t there = at >= file->size ? 0 : file->size - at < wanted ? file->size - at : wanted;
  if (length != (ssize_t)there) fail(what, length, (long long)there);
  for (size_t i = 0; i < there; i++)
    if (got[i] != file->bytes[at + i]) {
      tell("first difference at %zu of a file of %zu bytes", at + i, file->size);
      fail(what, got[i], file->bytes[at + i]);
    }
}

static struct handle *some_handle(int writable) {
  struct handle *one = &handles[any(most_handles)];
  return one->file == NULL || (writable && !one->writable) ? NULL : one;
}

static void shut(struct handle *one) {
  if (one->file == NULL) return;
  tell("close %d", (int)(one - handles));
  happened("close", close(one->fd));
  one->file->handles--;
  let_go(one->file);
  one->file = NULL;
}

static void step_open(void) {
  struct handle *one = &handles[any(most_handles)];
  shut(one);
  int index = (int)any(names);
  int truncate = any(6) == 0, append = any(5) == 0, writable = any(4) != 0;
  int flags = (writable ? O_RDWR | O_CREAT : O_RDONLY) | (writable && truncate ? O_TRUNC : 0) | (append ? O_APPEND : 0);
  if (!writable && name[index] == NULL) return;
  tell("open %s %x as %d", path_of(index), flags, (int)(one - handles));
  int fd = open(path_of(index), flags, 0644);
  if (!happened("open", fd)) return;
  if (name[index] == NULL) {
    name[index] = calloc(1, sizeof(struct file));
    name[index]->names = 1;
  }
  if (flags & O_TRUNC) name[index]->size = 0;
  *one = (struct handle){fd, name[index], append, writable};
  one->file->handles++;
}

static void step_write(void) {
  struct handle *one = some_handle(1);
  if (one == NULL) return;
  size_t at = one->append ? one->file->size : place_in(one->file->size);
  size_t length = length_of();
  if (at + length > largest) length = largest - at;
  if (length == 0) return;
  fill(length);
  tell("write %d at %zu, %zu", (int)(one - handles), at, length);
  ssize_t done = one->append ? write(one->fd, buffer, length) : pwrite(one->fd, buffer, length, (off_t)at);
  if (!happened("write", done)) return;
  if (!patient && done != (ssize_t)length) fail("short write", done, (long long)length);
  if (at + (size_t)done > one->file->size) grow(one->file, at + (size_t)done);
  memcpy(one->file->bytes + at, buffer, (size_t)done);
}

static void step_read(void) {
  struct handle *one = some_handle(0);
  if (one == NULL) return;
  size_t at = place_in(one->file->size), length = length_of();
  tell("read %d at %zu, %zu", (int)(one - handles), at, length);
  ssize_t got = pread(one->fd, other, length, (off_t)at);
  if (happened("read", got)) check("read", other, got, one->file, at, length);
}

static void step_truncate(void) {
  struct handle *one = some_handle(1);
  int index = (int)any(names);
  struct file *file = one != NULL ? one->file : name[index];
  if (file == NULL) return;
  size_t size = any(3) == 0 ? any(largest) : place_in(file->size);
  tell("truncate %s to %zu", one != NULL ? "a handle" : path_of(index), size);
  if (happened("truncate", one != NULL ? ftruncate(one->fd, (off_t)size) : truncate(path_of(index), (off_t)size))) grow(file, size);
}

static void step_map(void) {
  struct handle *one = some_handle(1);
  if (one == NULL || one->file->size == 0 || patient) return;
  struct file *file = one->file;
  size_t at = any((uint32_t)file->size), length = length_of();
  if (length > file->size - at) length = file->size - at;
  int store = any(2) == 0, sync = any(2) == 0;
  tell("map %d, %s at %zu, %zu%s", (int)(one - handles), store ? "store" : "load", at, length, sync ? ", synced" : "");
  unsigned char *memory = mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_SHARED, one->fd, 0);
  if (!happened("mmap", memory == MAP_FAILED ? -1 : 0)) return;
  if (store) {
    fill(length);
    memcpy(memory + at, buffer, length);
    memcpy(file->bytes + at, buffer, length);
  } else {
    check("load", memory + at, (ssize_t)length, file, at, length);
  }
  if (sync) happened("msync", msync(memory, file->size, MS_SYNC));
  munmap(memory, file->size);
}

static void step_allocate(void) {
  struct handle *one = some_handle(1);
  if (one == NULL) return;
  static const int modes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE};
  int mode = modes[any(4)];
  size_t at = place_in(one->file->size), length = length_of(), end = at + length;
  if (end > largest) end = largest;
  if (at >= end) return;
  tell("fallocate %d mode %d at %zu to %zu", (int)(one - handles), mode, at, end);
  if (!happened("fallocate", fallocate(one->fd, mode, (off_t)at, (off_t)(end - at)))) return;
  struct file *file = one->file;
  if (!(mode & FALLOC_FL_KEEP_SIZE) && end > file->size) grow(file, end);
  if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) && at < file->size)
    memset(file->bytes + at, 0, (end < file->size ? end : file->size) - at);
}

static void step_copy(void) {
  struct handle *from = some_handle(0), *to = some_handle(1);
  if (from == NULL || to == NULL || to->append) return;
  size_t at = place_in(from->file->size), target = place_in(to->file->size), length = length_of();
  if (target + length > largest) length = largest - target;
  if (from->file == to->file && at < target + length && target < at + length) return;
  tell("copy %d at %zu to %d at %zu, %zu", (int)(from - handles), at, (int)(to - handles), target, length);
  off_t in = (off_t)at, out = (off_t)target;
  ssize_t done = copy_file_range(from->fd, &in, to->fd, &out, length, 0);
  if (!happened("copy_file_range", done) || done == 0) return;
  size_t there = at >= from->file->size ? 0 : from->file->size - at;
  if ((size_t)done > there) fail("copied", done, (long long)there);
  memcpy(buffer, from->file->bytes + at, (size_t)done);
  if (target + (size_t)done > to->file->size) grow(to->file, target + (size_t)done);
  memcpy(to->file->bytes + target, buffer, (size_t)done);
}

static void step_name(void) {
  int from = (int)any(names), to = (int)any(names), kind = (int)any(10);
  if (kind == 0) {
    int one = (int)any(folders), two = (int)any(folders);
    char first[8], second[8];
    snprintf(first, sizeof first, "d%d", one);
    snprintf(second, sizeof second, "d%d", two);
    tell("exchange %s %s", first, second);
    if (one == two || !happened("exchange", renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE))) return;
    for (int i = 0; i < files_each; i++) {
      struct file *file = name[one * files_each + i];
      name[one * files_each + i] = name[two * files_each + i];
      name[two * files_each + i] = file;
    }
  } else if (name[from] == NULL) {
    errno = 0;
    if (access(path_of(from), F_OK) == 0) fail("is there", 0, -ENOENT);
    if (errno != ENOENT && !patient) fail("absent", -errno, -ENOENT);
  } else if (kind < 5) {
    tell("rename %s %s", path_of(from), path_of(to));
    if (!happened("rename", rename(path_of(from), path_of(to))) || name[from] == name[to]) return;
    let_go(take_name(to));
    name[to] = name[from];
    name[from] = NULL;
  } else if (kind < 7 && name[to] == NULL) {
    tell("link %s %s", path_of(from), path_of(to));
    if (!happened("link", link(path_of(from), path_of(to)))) return;
    name[to] = name[from];
    name[to]->names++;
  } else if (kind >= 7) {
    tell("unlink %s", path_of(from));
    if (happened("unlink", unlink(path_of(from)))) let_go(take_name(from));
  }
}

static void step_look(void) {
  int index = (int)any(names);
  struct handle *one = some_handle(0);
  struct stat of;
  if (name[index] != NULL && happened("stat", stat(path_of(index), &of))) {
    tell("stat %s", path_of(index));
    if ((size_t)of.st_size != name[index]->size) fail("size", of.st_size, (long long)name[index]->size);
    if ((int)of.st_nlink != name[index]->names) fail("links", (long long)of.st_nlink, name[index]->names);
  }
  if (one == NULL) return;
  off_t hole = lseek(one->fd, 0, SEEK_HOLE);
  if (one->file->size > 0 && happened("seek", hole) && (size_t)hole > one->file->size) fail("hole", hole, (long long)one->file->size);
  if (any(4) == 0) happened("fsync", any(2) ? fsync(one->fd) : fdatasync(one->fd));
}

/** Number of the names in a folder, -1 if it cannot be listed. */
static int list(const char *path) {
  DIR *folder = opendir(path);
  if (!happened("opendir", folder == NULL ? -1 : 0)) return -1;
  char seen[1024] = "";
  int count = 0;
  errno = 0;
  for (struct dirent *one; (one = readdir(folder)) != NULL;) {
    if (one->d_name[0] == '.') continue;
    count++;
    strncat(seen, " ", sizeof seen - strlen(seen) - 1);
    strncat(seen, one->d_name, sizeof seen - strlen(seen) - 1);
  }
  int complete = happened("readdir", errno == 0 ? 0 : -1);
  closedir(folder);
  tell("list %s:%s", path, seen);
  return complete ? count : -1;
}

static void step_list(void) {
  char path[8];
  int which = (int)any(folders), wanted = 0;
  snprintf(path, sizeof path, "d%d", which);
  int count = list(path);
  for (int i = 0; i < files_each; i++) wanted += name[which * files_each + i] != NULL;
  if (count < 0 || count == wanted) return;
  // Listed once more, to tell what is gone from what was not told.
  list(path);
  fail("entries", count, wanted);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1000 + (double)time.tv_nsec / 1e6;
}

static void step(void) {
  static void (*const steps[])(void) = {step_open, step_open,     step_write,    step_write, step_write, step_read, step_read, step_truncate,
                                        step_map,  step_allocate, step_copy, step_name,  step_name,  step_look, step_list};
  double begun = now();
  steps[any(sizeof steps / sizeof *steps)]();
  double took = now() - begun;
  if (took > worst) worst = took;
}

/** Everything is read once more, and the model is written down. */
static void finish(const char *copy) {
  for (int i = 0; i < most_handles; i++) shut(&handles[i]);
  for (int i = 0; i < names; i++) {
    if (name[i] == NULL) continue;
    int fd = -1;
    ssize_t got = -1;
    for (int tries = 0; got < 0 && tries < (patient ? 300 : 1); tries++) {
      if (tries > 0) usleep(200000);
      if (fd < 0) fd = open(path_of(i), O_RDONLY);
      if (fd >= 0) got = pread(fd, other, largest, 0);
    }
    tell("last read of %s", path_of(i));
    if (got < 0) fail("last read", -errno, 0);
    close(fd);
    check("last read", other, got, name[i], 0, largest);
    char path[512];
    snprintf(path, sizeof path, "%s/d%d", copy, i / files_each);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/%s", copy, path_of(i));
    FILE *out = fopen(path, "w");
    if (out == NULL || fwrite(name[i]->bytes, 1, name[i]->size, out) != name[i]->size || fclose(out) != 0) fail("copy", -errno, 0);
  }
}

int main(int count, char **words) {
  if (count != 7) return 2;
  root = words[1];
  state = strtoull(words[2], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
  unsigned long long most = strtoull(words[3], NULL, 10);
  patient = strcmp(words[5], "patient") == 0;
  if (chdir(root) < 0) return 2;
  for (int i = 0; i < folders; i++) {
    char path[8];
    snprintf(path, sizeof path, "d%d", i);
    if (mkdir(path, 0755) < 0) fail("mkdir", -errno, 0);
  }
  for (int i = 0; i < 50; i++) any(2);
  while (most > 0 ? calls < most : access(words[6], F_OK) != 0) step();
  finish(words[4]);
  printf("{\"calls\":%llu,\"refused\":%llu,\"worstMs\":%.0f}\n", calls, refused, worst);
  return 0;
}
