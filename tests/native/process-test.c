// Rights, names and ends of processes.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "notify.h"
#include "process.h"
#include "support.h"

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

void test_process(void) {
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
