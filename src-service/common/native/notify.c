#define _GNU_SOURCE
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOTIFY_INVAL_INODE = 2, NOTIFY_INC_EPOCH = 8, MESSAGE_LIMIT = 8192, STACK_SIZE = 256 * 1024 };

// Lives until both the door and the thread have let go: a thread stuck in the kernel outlasts its door.
struct notifier {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  int fd;
  bool stopping;
  unsigned holders;
  uint32_t first, count;
  struct {
    void *bytes;
    size_t length;
  } queue[NOTIFIER_QUEUE_LIMIT];
};

// Called with the lock held; gives it back.
static void notifier_let_go(struct notifier *notifier) {
  bool last = --notifier->holders == 0;
  pthread_mutex_unlock(&notifier->lock);
  if (!last) return;
  for (; notifier->count > 0; notifier->count--) free(notifier->queue[notifier->first++ % NOTIFIER_QUEUE_LIMIT].bytes);
  if (notifier->fd >= 0) close(notifier->fd);
  pthread_cond_destroy(&notifier->wake);
  pthread_mutex_destroy(&notifier->lock);
  free(notifier);
}

static void *notifier_run(void *data) {
  struct notifier *notifier = data;
  pthread_mutex_lock(&notifier->lock);
  while (true) {
    while (notifier->count == 0 && !notifier->stopping) pthread_cond_wait(&notifier->wake, &notifier->lock);
    if (notifier->stopping) break;
    void *bytes = notifier->queue[notifier->first].bytes;
    size_t length = notifier->queue[notifier->first].length;
    notifier->first = (notifier->first + 1) % NOTIFIER_QUEUE_LIMIT;
    notifier->count--;
    pthread_mutex_unlock(&notifier->lock);
    // The result does not matter: ENOENT says that the kernel had nothing cached, ENODEV that the mount is gone.
    ssize_t ignored = write(notifier->fd, bytes, length);
    (void)ignored;
    free(bytes);
    pthread_mutex_lock(&notifier->lock);
  }
  notifier_let_go(notifier);
  return NULL;
}

struct notifier *notifier_start(int fd) {
  struct notifier *notifier = calloc(1, sizeof *notifier);
  if (notifier == NULL) return NULL;
  pthread_mutex_init(&notifier->lock, NULL);
  pthread_cond_init(&notifier->wake, NULL);
  notifier->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  notifier->holders = 2;
  sigset_t all, before;
  sigfillset(&all);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED); // nobody waits for it: it may be stuck in the kernel
  pthread_attr_setstacksize(&attributes, STACK_SIZE);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  int error = notifier->fd < 0 ? errno : pthread_create(&thread, &attributes, notifier_run, notifier);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  if (error == 0) return notifier;
  pthread_mutex_lock(&notifier->lock);
  notifier->holders = 1;
  notifier_let_go(notifier);
  return NULL;
}

void notifier_stop(struct notifier *notifier) {
  pthread_mutex_lock(&notifier->lock);
  notifier->stopping = true;
  pthread_cond_signal(&notifier->wake);
  notifier_let_go(notifier);
}

int notifier_add(struct notifier *notifier, const void *message, size_t length) {
  void *copy = malloc(length);
  if (copy == NULL) return -ENOMEM;
  memcpy(copy, message, length);
  pthread_mutex_lock(&notifier->lock);
  bool room = notifier->count < NOTIFIER_QUEUE_LIMIT;
  if (room) {
    uint32_t at = (notifier->first + notifier->count++) % NOTIFIER_QUEUE_LIMIT;
    notifier->queue[at].bytes = copy;
    notifier->queue[at].length = length;
    pthread_cond_signal(&notifier->wake);
  }
  pthread_mutex_unlock(&notifier->lock);
  if (!room) free(copy);
  return room;
}

bool notification_valid(const void *message, size_t length) {
  struct fuse_out_header out;
  if (length < sizeof out || length > MESSAGE_LIMIT) return false;
  memcpy(&out, message, sizeof out);
  return out.unique == 0 && out.len == length && out.error > 0;
}

bool notification_never_blocks(const void *message, size_t length) {
  struct fuse_out_header out;
  struct fuse_notify_inval_inode_out inode;
  memcpy(&out, message, sizeof out);
  if (out.error == NOTIFY_INC_EPOCH) return true;
  if (out.error != NOTIFY_INVAL_INODE || length != sizeof out + sizeof inode) return false;
  memcpy(&inode, (const uint8_t *)message + sizeof out, sizeof inode);
  return inode.off < 0;
}
