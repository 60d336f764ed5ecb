#define _GNU_SOURCE
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 // newer than the headers of the oldest systems we build on
#endif

static int drop_in_this_thread(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2];
  memset(none, 0, sizeof none);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL) return -errno;
  return syscall(SYS_capset, &header, none) == 0 ? 0 : -errno;
}

static void drop_on_signal(int signal) {
  (void)signal;
  int before = errno;
  drop_in_this_thread();
  errno = before;
}

// Whether a thread of this process still may do anything special; one that has ended may not.
static bool thread_has_rights(pid_t thread) {
  char path[64], line[128];
  snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)thread);
  FILE *status = fopen(path, "re");
  bool rights = false;
  unsigned long long set;
  while (status != NULL && fgets(line, sizeof line, status) != NULL) {
    if (sscanf(line, "CapPrm: %llx", &set) == 1 && set != 0) rights = true;
    if (sscanf(line, "NoNewPrivs: %llu", &set) == 1 && set == 0) rights = true;
  }
  if (status != NULL) fclose(status);
  return rights;
}

// Asks every thread that has rights, each once. Returns how many there were, or a negative errno.
static int ask_threads(int signal, pid_t *asked, size_t room, size_t *count) {
  DIR *threads = opendir("/proc/self/task");
  if (threads == NULL) return -errno;
  int left = 0;
  for (struct dirent *entry = readdir(threads); entry != NULL; entry = readdir(threads)) {
    pid_t thread = (pid_t)atoi(entry->d_name);
    if (thread == 0 || !thread_has_rights(thread)) continue;
    left++;
    size_t at = 0;
    while (at < *count && asked[at] != thread) at++;
    if (at < *count || *count == room) continue;
    asked[(*count)++] = thread;
    syscall(SYS_tgkill, getpid(), thread, signal);
  }
  closedir(threads);
  return left;
}

int process_drop_capabilities(void) {
  enum { PASSES = 1000, PAUSE_NANOSECONDS = 2000000, THREADS = 1024 };
  // Rights belong to each thread. Signal 33 is the one that the C library itself uses to reach every thread (setuid), and lets
  // none block. The action is made through another signal, because sigaction refuses 33 and the raw call needs the library's trampoline.
  const int everywhere = 33, spare = SIGRTMAX - 1;
  struct sigaction action = {.sa_handler = drop_on_signal, .sa_flags = SA_RESTART | SA_ONSTACK}, spare_before;
  uint64_t raw[8], before[8]; // the kernel's own struct sigaction, opaque
  int result = drop_in_this_thread();
  if (result != 0) return result;
  if (sigaction(spare, &action, &spare_before) != 0) return -errno;
  if (syscall(SYS_rt_sigaction, spare, NULL, raw, 8) != 0 || syscall(SYS_rt_sigaction, everywhere, raw, before, 8) != 0) return -errno;
  sigaction(spare, &spare_before, NULL);
  pid_t *asked = calloc(THREADS, sizeof *asked);
  size_t count = 0;
  result = asked == NULL ? -ENOMEM : 1;
  for (int pass = 0; pass < PASSES && result > 0; pass++) {
    result = ask_threads(everywhere, asked, THREADS, &count);
    if (result > 0) nanosleep(&(struct timespec){.tv_nsec = PAUSE_NANOSECONDS}, NULL);
  }
  free(asked);
  if (result > 0) return -EBUSY; // a signal may still be on its way: our action stays
  syscall(SYS_rt_sigaction, everywhere, before, NULL, 8);
  return result;
}

bool process_can_mount(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct now[2];
  if (syscall(SYS_capget, &header, now) != 0) return false;
  return (now[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN)) != 0;
}

int process_forbid_core(void) {
  struct rlimit none = {0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) return -errno;
  return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : -errno;
}

int process_set_name(const char *name) {
  return prctl(PR_SET_NAME, name, 0, 0, 0) == 0 ? 0 : -errno;
}

int process_notify_systemd(const char *message) {
  const char *path = getenv("NOTIFY_SOCKET");
  if (path == NULL || path[0] == '\0') return 0;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
  memcpy(address.sun_path, path, strlen(path));
  if (path[0] == '@') address.sun_path[0] = '\0';
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  // An abstract name ends where the address ends: no padding may follow it.
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
  ssize_t sent = sendto(fd, message, strlen(message), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address, length);
  int result = sent < 0 ? -errno : 1;
  close(fd);
  return result;
}

bool process_is_gone(pid_t pid) {
  // A pidfd is readable once all threads have ended, whoever the parent is.
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (fd >= 0) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    bool gone = poll(&wait, 1, 0) > 0;
    close(fd);
    return gone;
  }
  if (errno == ESRCH) return true;
  // Before Linux 5.3. WNOWAIT: the exit status stays for the parent's own wait.
  siginfo_t info = {.si_pid = 0};
  if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0) return info.si_pid == pid;
  return kill(pid, 0) != 0 && errno == ESRCH;
}
