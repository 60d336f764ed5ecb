// Runs system calls that it reads from stdin, one a line (fields separated by tabs), and prints one line for each: what it gave, or the
// name of its errno. `@uid:gid` before the call makes it as that user. `case NAME` begins a new folder in the one given as argument.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { most_fields = 12, most_slots = 8 };

static char *field[most_fields];
static int fields;
static int slot[most_slots];
static struct timespec saved[most_slots];
static char answer[1 << 16];

static const char *arg(int i) { return i < fields ? field[i] : ""; }
static long long number(int i) { return strtoll(arg(i), NULL, 0); }
static mode_t octal(int i) { return (mode_t)strtoul(arg(i), NULL, 8); }
static int fd(int i) { return slot[number(i) % most_slots]; }

struct word {
  const char *name;
  int value;
};

static int word_of(const struct word *words, const char *name) {
  for (; words->name != NULL; words++)
    if (strcmp(words->name, name) == 0) return words->value;
  fprintf(stderr, "unknown word: %s\n", name);
  exit(2);
}

/** Words joined by '|'. */
static int flags_of(const struct word *words, const char *text) {
  char copy[256];
  snprintf(copy, sizeof copy, "%s", text);
  int flags = 0;
  char *rest = copy;
  for (char *one; (one = strsep(&rest, "|")) != NULL;) flags |= word_of(words, one);
  return flags;
}

static const struct word open_flags[] = {{"r", O_RDONLY},           {"w", O_WRONLY},       {"rw", O_RDWR},
                                         {"creat", O_CREAT},        {"excl", O_EXCL},      {"trunc", O_TRUNC},
                                         {"append", O_APPEND},      {"nonblock", O_NONBLOCK}, {"nofollow", O_NOFOLLOW},
                                         {"directory", O_DIRECTORY}, {"path", O_PATH},      {"sync", O_SYNC},
                                         {"noatime", O_NOATIME},    {NULL, 0}};
static const struct word allocations[] = {{"plain", 0},
                                          {"keep", FALLOC_FL_KEEP_SIZE},
                                          {"punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE},
                                          {"zero", FALLOC_FL_ZERO_RANGE},
                                          {NULL, 0}};
static const struct word whences[] = {{"set", SEEK_SET}, {"cur", SEEK_CUR}, {"end", SEEK_END}, {"data", SEEK_DATA}, {"hole", SEEK_HOLE}, {NULL, 0}};
static const struct word renames[] = {{"none", 0}, {"noreplace", RENAME_NOREPLACE}, {"exchange", RENAME_EXCHANGE}, {"whiteout", RENAME_WHITEOUT}, {"both", RENAME_NOREPLACE | RENAME_EXCHANGE}, {NULL, 0}};
static const struct word locks[] = {{"shared", LOCK_SH}, {"exclusive", LOCK_EX}, {"try", LOCK_NB}, {"none", LOCK_UN}, {NULL, 0}};
static const struct word rights[] = {{"exists", F_OK}, {"r", R_OK}, {"w", W_OK}, {"x", X_OK}, {NULL, 0}};

static const char *type_of(mode_t mode) {
  switch (mode & S_IFMT) {
  case S_IFREG: return "file";
  case S_IFDIR: return "folder";
  case S_IFLNK: return "symlink";
  case S_IFIFO: return "fifo";
  case S_IFSOCK: return "socket";
  case S_IFBLK: return "block";
  case S_IFCHR: return "char";
  default: return "?";
  }
}

/** Facts of a file: names joined by ','. */
static int describe(int result, const struct stat *of, const char *wanted) {
  if (result < 0) return result;
  char copy[256];
  snprintf(copy, sizeof copy, "%s", wanted);
  char *rest = copy;
  int length = 0;
  for (char *one; (one = strsep(&rest, ",")) != NULL;) {
    const char *between = length == 0 ? "" : ",";
    char *at = answer + length;
    size_t room = sizeof answer - (size_t)length;
    if (strcmp(one, "type") == 0) length += snprintf(at, room, "%s%s", between, type_of(of->st_mode));
    else if (strcmp(one, "mode") == 0) length += snprintf(at, room, "%s%04o", between, of->st_mode & 07777);
    else if (strcmp(one, "nlink") == 0) length += snprintf(at, room, "%s%lu", between, (unsigned long)of->st_nlink);
    else if (strcmp(one, "uid") == 0) length += snprintf(at, room, "%s%u", between, of->st_uid);
    else if (strcmp(one, "gid") == 0) length += snprintf(at, room, "%s%u", between, of->st_gid);
    else if (strcmp(one, "size") == 0) length += snprintf(at, room, "%s%lld", between, (long long)of->st_size);
    else if (strcmp(one, "rdev") == 0) length += snprintf(at, room, "%s%u:%u", between, major(of->st_rdev), minor(of->st_rdev));
    else if (strcmp(one, "mtime") == 0) length += snprintf(at, room, "%s%lld.%09ld", between, (long long)of->st_mtim.tv_sec, of->st_mtim.tv_nsec);
    else if (strcmp(one, "atime") == 0) length += snprintf(at, room, "%s%lld.%09ld", between, (long long)of->st_atim.tv_sec, of->st_atim.tv_nsec);
    else exit(2);
  }
  return 0;
}

static struct timespec time_of(const char *text) {
  struct timespec time = {0, 0};
  if (strcmp(text, "now") == 0) time.tv_nsec = UTIME_NOW;
  else if (strcmp(text, "omit") == 0) time.tv_nsec = UTIME_OMIT;
  else {
    char *dot;
    time.tv_sec = strtoll(text, &dot, 10);
    if (*dot == '.') time.tv_nsec = strtol(dot + 1, NULL, 10);
  }
  return time;
}

static int set_times(const char *path, int flags) {
  struct timespec times[2] = {time_of(arg(2)), time_of(arg(3))};
  return utimensat(AT_FDCWD, path, times, flags);
}

static int keep(int to, int opened) {
  if (opened >= 0) slot[to % most_slots] = opened;
  return opened < 0 ? -1 : 0;
}

static int give(long long value) {
  if (value < 0) return -1;
  snprintf(answer, sizeof answer, "%lld", value);
  return 0;
}

/** Text with each NUL as '.', so that holes are seen. */
static int show(ssize_t length) {
  if (length < 0) return -1;
  for (ssize_t i = 0; i < length; i++)
    if (answer[i] == 0) answer[i] = '.';
  answer[length] = 0;
  return 0;
}

static int open_and_close(void) {
  int opened = open(arg(1), flags_of(open_flags, arg(2)), fields > 3 ? octal(3) : 0644);
  if (opened >= 0) close(opened);
  return opened < 0 ? -1 : 0;
}

static int put(const char *path, const char *text) {
  int to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (to < 0) return -1;
  ssize_t done = write(to, text, strlen(text));
  return close(to) == 0 && done == (ssize_t)strlen(text) ? 0 : -1;
}

static int cat(const char *path) {
  int from = open(path, O_RDONLY);
  if (from < 0) return -1;
  ssize_t length = read(from, answer, sizeof answer - 1);
  close(from);
  return show(length);
}

static int by_name(const void *one, const void *other) { return strcmp(*(char *const *)one, *(char *const *)other); }

/** Sorted names of a folder, dots included. */
static int list(const char *path) {
  DIR *folder = opendir(path);
  if (folder == NULL) return -1;
  char *names[256];
  size_t count = 0;
  for (struct dirent *one; count < 256 && (one = readdir(folder)) != NULL;) names[count++] = strdup(one->d_name);
  closedir(folder);
  qsort(names, count, sizeof *names, by_name);
  size_t length = 0;
  for (size_t i = 0; i < count; i++) {
    length += (size_t)snprintf(answer + length, sizeof answer - length, "%s%s", i == 0 ? "" : " ", names[i]);
    free(names[i]);
  }
  return 0;
}

static int bind_socket(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) exit(2);
  strcpy(address.sun_path, path);
  int socket_fd = socket(AF_UNIX, SOCK_STREAM, 0);
  int result = bind(socket_fd, (struct sockaddr *)&address, sizeof address);
  int error = errno;
  close(socket_fd);
  errno = error;
  return result;
}

static int make_node(void) {
  const char *kind = arg(2);
  mode_t type = *kind == 'p' ? S_IFIFO : *kind == 'c' ? S_IFCHR : *kind == 'b' ? S_IFBLK : *kind == 's' ? S_IFSOCK : S_IFREG;
  return mknod(arg(1), type | octal(3), makedev((unsigned)number(4), (unsigned)number(5)));
}

static int which_time(const struct stat *of, struct timespec *time) {
  *time = *arg(3) == 'm' ? of->st_mtim : *arg(3) == 'c' ? of->st_ctim : of->st_atim;
  return 0;
}

/** `save SLOT PATH TIME`, later `since SLOT PATH TIME`: later, same or earlier. */
static int compare_time(int save) {
  struct stat of;
  struct timespec time;
  if (lstat(arg(2), &of) < 0 || which_time(&of, &time) < 0) return -1;
  struct timespec *before = &saved[number(1) % most_slots];
  if (save) {
    *before = time;
    return 0;
  }
  long long difference = (time.tv_sec - before->tv_sec) * 1000000000LL + time.tv_nsec - before->tv_nsec;
  strcpy(answer, difference > 0 ? "later" : difference == 0 ? "same" : "earlier");
  return 0;
}

/** `map SLOT OFFSET TEXT`: stores through a shared mapping; `peek SLOT OFFSET LENGTH`: reads through one. */
static int mapped(int store) {
  struct stat of;
  if (fstat(fd(1), &of) < 0) return -1;
  size_t length = (size_t)of.st_size;
  char *memory = mmap(NULL, length, store ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd(1), 0);
  if (memory == MAP_FAILED) return -1;
  if (store) memcpy(memory + number(2), arg(3), strlen(arg(3)));
  else memcpy(answer, memory + number(2), (size_t)number(3));
  int synced = store ? msync(memory, length, MS_SYNC) : 0;
  munmap(memory, length);
  return store ? synced : show((ssize_t)number(3));
}

/** Whether another process could have a write lock on the file: `free`, or `held`. */
static int record_lock(int set) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = number(2), .l_len = number(3)};
  if (set) return fcntl(fd(1), F_SETLK, &lock);
  int report[2];
  if (pipe(report) < 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    int result = fcntl(fd(1), F_GETLK, &lock);
    char said = result < 0 ? 'e' : lock.l_type == F_UNLCK ? 'f' : 'h';
    _exit(write(report[1], &said, 1) == 1 ? 0 : 1);
  }
  char said = 'e';
  ssize_t got = read(report[0], &said, 1);
  close(report[0]);
  close(report[1]);
  waitpid(child, NULL, 0);
  strcpy(answer, got == 1 && said == 'f' ? "free" : said == 'h' ? "held" : "error");
  return 0;
}

static int copy_range(void) {
  off_t from = number(2), to = number(4);
  return give(copy_file_range(fd(1), &from, fd(3), &to, (size_t)number(5), 0));
}

static int call(const char *name) {
  struct stat of;
  struct statvfs system;
#define IS(text) (strcmp(name, text) == 0)
  if (IS("open")) return open_and_close();
  if (IS("keep")) return keep((int)number(1), open(arg(2), flags_of(open_flags, arg(3)), fields > 4 ? octal(4) : 0644));
  if (IS("close")) return close(fd(1));
  if (IS("put")) return put(arg(1), arg(2));
  if (IS("cat")) return cat(arg(1));
  if (IS("list")) return list(arg(1));
  if (IS("mkdir")) return mkdir(arg(1), fields > 2 ? octal(2) : 0755);
  if (IS("rmdir")) return rmdir(arg(1));
  if (IS("unlink")) return unlink(arg(1));
  if (IS("rename")) return rename(arg(1), arg(2));
  if (IS("renameat2")) return renameat2(AT_FDCWD, arg(1), AT_FDCWD, arg(2), (unsigned)word_of(renames, arg(3)));
  if (IS("link")) return link(arg(1), arg(2));
  if (IS("linkfollow")) return linkat(AT_FDCWD, arg(1), AT_FDCWD, arg(2), AT_SYMLINK_FOLLOW);
  if (IS("symlink")) return symlink(arg(1), arg(2));
  if (IS("readlink")) return show(readlink(arg(1), answer, sizeof answer - 1));
  if (IS("mkfifo")) return mkfifo(arg(1), fields > 2 ? octal(2) : 0644);
  if (IS("mknod")) return make_node();
  if (IS("bind")) return bind_socket(arg(1));
  if (IS("chmod")) return chmod(arg(1), octal(2));
  if (IS("chown")) return chown(arg(1), (uid_t)number(2), (gid_t)number(3));
  if (IS("lchown")) return lchown(arg(1), (uid_t)number(2), (gid_t)number(3));
  if (IS("truncate")) return truncate(arg(1), number(2));
  if (IS("utimens")) return set_times(arg(1), 0);
  if (IS("lutimens")) return set_times(arg(1), AT_SYMLINK_NOFOLLOW);
  if (IS("access")) return faccessat(AT_FDCWD, arg(1), flags_of(rights, arg(2)), AT_EACCESS);
  if (IS("stat")) return describe(stat(arg(1), &of), &of, fields > 2 ? arg(2) : "type");
  if (IS("lstat")) return describe(lstat(arg(1), &of), &of, fields > 2 ? arg(2) : "type");
  if (IS("fstat")) return describe(fstat(fd(1), &of), &of, arg(2));
  if (IS("statvfs")) return statvfs(arg(1), &system);
  if (IS("pread")) return show(pread(fd(1), answer, (size_t)number(3), number(2)));
  if (IS("pwrite")) return give(pwrite(fd(1), arg(3), strlen(arg(3)), number(2)));
  if (IS("read")) return show(read(fd(1), answer, (size_t)number(2)));
  if (IS("write")) return give(write(fd(1), arg(2), strlen(arg(2))));
  if (IS("lseek")) return give(lseek(fd(1), number(2), word_of(whences, arg(3))));
  if (IS("ftruncate")) return ftruncate(fd(1), number(2));
  if (IS("fchmod")) return fchmod(fd(1), octal(2));
  if (IS("fchown")) return fchown(fd(1), (uid_t)number(2), (gid_t)number(3));
  if (IS("fsync")) return fsync(fd(1));
  if (IS("fdatasync")) return fdatasync(fd(1));
  if (IS("syncfs")) return syncfs(fd(1));
  if (IS("fallocate")) return fallocate(fd(1), word_of(allocations, arg(2)), number(3), number(4));
  if (IS("copy")) return copy_range();
  if (IS("map")) return mapped(1);
  if (IS("peek")) return mapped(0);
  if (IS("flock")) return flock(fd(1), flags_of(locks, arg(2)));
  if (IS("lock")) return record_lock(1);
  if (IS("locked")) return record_lock(0);
  if (IS("setxattr")) return setxattr(arg(1), arg(2), arg(3), strlen(arg(3)), 0);
  if (IS("getxattr")) return show(getxattr(arg(1), arg(2), answer, sizeof answer - 1));
  if (IS("save")) return compare_time(1);
  if (IS("since")) return compare_time(0);
  if (IS("umask")) return umask(octal(1)), 0;
  if (IS("wait")) return usleep((useconds_t)number(1) * 1000);
  fprintf(stderr, "unknown call: %s\n", name);
  exit(2);
}

static void become(uid_t uid, gid_t gid) {
  if (geteuid() == uid && getegid() == gid) return;
  if (seteuid(0) < 0 || setgroups(0, NULL) < 0 || setegid(gid) < 0 || seteuid(uid) < 0) {
    perror("become");
    exit(2);
  }
}

static void begin(const char *root, const char *name) {
  for (int i = 0; i < most_slots; i++) {
    if (slot[i] > 2) close(slot[i]);
    slot[i] = -1;
  }
  umask(022);
  if (chdir(root) < 0 || mkdir(name, 0755) < 0 || chmod(name, 0777) < 0 || chdir(name) < 0) {
    perror(name);
    exit(2);
  }
}

int main(int count, char **words) {
  char *line = NULL;
  size_t room = 0;
  uid_t uid = geteuid();
  gid_t gid = getegid();
  for (ssize_t length; count == 2 && (length = getline(&line, &room, stdin)) > 0;) {
    line[length - 1] = 0;
    char *rest = line;
    fields = 0;
    while (rest != NULL && fields < most_fields) field[fields++] = strsep(&rest, "\t");
    if (strcmp(field[0], "case") == 0) {
      begin(words[1], arg(1));
      continue;
    }
    if (field[0][0] == '@') {
      unsigned as_uid = 0, as_gid = 0;
      sscanf(field[0], "@%u:%u", &as_uid, &as_gid);
      memmove(field, field + 1, sizeof *field * (size_t)--fields);
      become(as_uid, as_gid);
    }
    strcpy(answer, "0");
    int result = call(field[0]);
    int error = errno;
    become(uid, gid);
    puts(result < 0 ? strerrorname_np(error) : answer);
    fflush(stdout);
  }
  return 0;
}
