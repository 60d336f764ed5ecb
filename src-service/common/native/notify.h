// Notifications to the kernel. Those that may block, beyond SIGKILL, are written by a thread of their own. Plain C.
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { NOTIFIER_QUEUE_LIMIT = 1024 };

struct notifier;

// A whole message: fuse_out_header with unique 0 and the code in `error`.
bool notification_valid(const void *message, size_t length);
bool notification_never_blocks(const void *message, size_t length);

// Starts the thread, which writes to a duplicate of `fd`. NULL: no memory, thread or descriptor.
struct notifier *notifier_start(int fd);
// 1: queued, 0: queue full, or a negative errno.
int notifier_add(struct notifier *notifier, const void *message, size_t length);
// Never waits: a thread that is stuck in the kernel ends when its write comes back. What is queued is dropped.
void notifier_stop(struct notifier *notifier);
