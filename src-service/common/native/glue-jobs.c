// Calls that may wait for a disk, a mount or a peer: on the thread pool, each as a Promise.
#include "glue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "mount.h"

enum { RECEIVE_FD_MILLISECONDS = 10000 };

struct job {
  const char *syscall;
  int64_t (*run)(struct job *job);                 // on a pool thread: 0 or more, or a negative errno
  napi_value (*finish)(napi_env env, struct job *job); // the Promise's value; NULL: undefined
  napi_async_work work;
  napi_deferred deferred;
  int64_t result;
  int64_t numbers[5];
  char *path, *name;
  uint8_t *bytes;
  size_t length;
  bool flags[2];
};

static void free_job(struct job *job) {
  free(job->path);
  free(job->name);
  free(job->bytes);
  free(job);
}

static void run_job(napi_env env, void *data) {
  struct job *job = data;
  (void)env;
  job->result = job->run(job);
}

static void finish_job(napi_env env, napi_status status, void *data) {
  struct job *job = data;
  napi_value value = NULL;
  if (status != napi_ok) job->result = -ECANCELED;
  if (job->result < 0 && !(job->finish != NULL && job->result == -ENODATA)) {
    napi_reject_deferred(env, job->deferred, system_error(env, (int)-job->result, job->syscall, job->path));
  } else {
    if (job->finish != NULL) value = job->finish(env, job);
    if (value == NULL) napi_get_undefined(env, &value);
    napi_resolve_deferred(env, job->deferred, value);
  }
  napi_delete_async_work(env, job->work);
  free_job(job);
}

static struct job *new_job(napi_env env, const char *syscall, int64_t (*run)(struct job *), napi_value (*finish)(napi_env, struct job *)) {
  struct job *job = calloc(1, sizeof *job);
  if (job == NULL) {
    throw_system_error(env, ENOMEM, syscall, NULL);
    return NULL;
  }
  job->syscall = syscall;
  job->run = run;
  job->finish = finish;
  return job;
}

// Takes the job over: queued if its arguments were right, freed otherwise (an exception is pending then).
static napi_value start_job(napi_env env, struct job *job, bool arguments_right) {
  napi_value promise = NULL, name;
  if (job == NULL) return NULL;
  if (!arguments_right) {
    free_job(job);
    return NULL;
  }
  napi_create_promise(env, &job->deferred, &promise);
  napi_create_string_utf8(env, job->syscall, NAPI_AUTO_LENGTH, &name);
  napi_create_async_work(env, NULL, name, run_job, finish_job, job, &job->work);
  napi_queue_async_work(env, job->work);
  return promise;
}

static napi_value finish_number(napi_env env, struct job *job) {
  return make_int(env, job->result);
}

static bool numbers(struct call *call, struct job *job, size_t from, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!long_argument(call, from + i, &job->numbers[i])) return false;
  }
  return true;
}

static bool descriptor(struct call *call, struct job *job, size_t at, size_t number) {
  int32_t fd;
  if (!int_argument(call, at, &fd)) return false;
  job->numbers[number] = fd;
  return true;
}

// ---- mounting ----

static int64_t run_mount(struct job *job) {
  struct mount_options options = {job->name, job->flags[0], job->flags[1], (uint32_t)job->numbers[0]};
  return mount_direct(job->path, &options);
}

static napi_value mount_direct_call(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct job *job = new_job(env, "mount", run_mount, finish_number);
  uint32_t max_read = 0;
  bool right = job != NULL && path_argument(&call, 0, &job->path) && text_property(env, call.values[1], "source", &job->name) &&
               bool_property(env, call.values[1], "allowOther", &job->flags[0]) &&
               bool_property(env, call.values[1], "readOnly", &job->flags[1]) && uint_property(env, call.values[1], "maxRead", &max_read);
  if (right) job->numbers[0] = max_read;
  return start_job(env, job, right);
}

static int64_t run_unmount(struct job *job) {
  return mount_end(job->path, (int)job->numbers[0]);
}

static napi_value unmount_call(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct job *job = new_job(env, "umount2", run_unmount, NULL);
  return start_job(env, job, job != NULL && path_argument(&call, 0, &job->path) && descriptor(&call, job, 1, 0));
}

static int64_t run_receive(struct job *job) {
  return mount_receive_fd((int)job->numbers[0], RECEIVE_FD_MILLISECONDS);
}

static napi_value receive_fd_call(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct job *job = new_job(env, "recvmsg", run_receive, finish_number);
  return start_job(env, job, job != NULL && descriptor(&call, job, 0, 0));
}

// ---- files ----

static int64_t run_allocate(struct job *job) {
  return fs_allocate((int)job->numbers[0], (int)job->numbers[1], job->numbers[2], job->numbers[3]);
}

static napi_value fallocate_call(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct job *job = new_job(env, "fallocate", run_allocate, NULL);
  return start_job(env, job, job != NULL && numbers(&call, job, 0, 4));
}

static int64_t run_drop(struct job *job) {
  return fs_drop_pages((int)job->numbers[0], job->numbers[1], job->numbers[2]);
}

static napi_value drop_call(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct job *job = new_job(env, "posix_fadvise", run_drop, NULL);
  return start_job(env, job, job != NULL && numbers(&call, job, 0, 3));
}

static int64_t run_clone(struct job *job) {
  return fs_clone((int)job->numbers[0], (int)job->numbers[1]);
}

static napi_value clone_call(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct job *job = new_job(env, "FICLONE", run_clone, NULL);
  return start_job(env, job, job != NULL && descriptor(&call, job, 0, 0) && descriptor(&call, job, 1, 1));
}

static int64_t run_copy(struct job *job) {
  const int64_t *n = job->numbers;
  return fs_copy_range((int)n[0], n[1], (int)n[2], n[3], n[4]);
}

static napi_value copy_call(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct job *job = new_job(env, "copy_file_range", run_copy, finish_number);
  return start_job(env, job, job != NULL && numbers(&call, job, 0, 5));
}

static int64_t run_times(struct job *job) {
  struct timespec times[2] = {{job->numbers[0], job->numbers[1]}, {job->numbers[2], job->numbers[3]}};
  return fs_set_times(job->path, times);
}

static napi_value times_call(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct job *job = new_job(env, "utimensat", run_times, NULL);
  bool right = job != NULL && path_argument(&call, 0, &job->path) && long_property(env, call.values[1], "atimeSec", &job->numbers[0]) &&
               long_property(env, call.values[1], "atimeNsec", &job->numbers[1]) &&
               long_property(env, call.values[1], "mtimeSec", &job->numbers[2]) &&
               long_property(env, call.values[1], "mtimeNsec", &job->numbers[3]);
  return start_job(env, job, right);
}

static int64_t run_rename(struct job *job) {
  return fs_rename_new(job->path, job->name);
}

static napi_value rename_call(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct job *job = new_job(env, "renameat2", run_rename, NULL);
  return start_job(env, job, job != NULL && path_argument(&call, 0, &job->path) && path_argument(&call, 1, &job->name));
}

static int64_t run_node(struct job *job) {
  return fs_make_node(job->path, (uint32_t)job->numbers[0], (uint32_t)job->numbers[1], (uint32_t)job->numbers[2]);
}

static napi_value node_call(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct job *job = new_job(env, "mknod", run_node, NULL);
  return start_job(env, job, job != NULL && path_argument(&call, 0, &job->path) && numbers(&call, job, 1, 3));
}

// ---- extended attributes ----

static int64_t run_get(struct job *job) {
  return fs_get_attribute(job->path, job->name, &job->bytes);
}

static napi_value finish_get(napi_env env, struct job *job) {
  napi_value value = NULL;
  if (job->result == -ENODATA) {
    napi_get_null(env, &value);
  } else {
    napi_create_buffer_copy(env, (size_t)job->result, job->bytes, NULL, &value);
  }
  return value;
}

static napi_value get_call(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct job *job = new_job(env, "lgetxattr", run_get, finish_get);
  return start_job(env, job, job != NULL && path_argument(&call, 0, &job->path) && path_argument(&call, 1, &job->name));
}

static int64_t run_set(struct job *job) {
  return fs_set_attribute(job->path, job->name, job->bytes, job->length);
}

static napi_value set_call(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct job *job = new_job(env, "lsetxattr", run_set, NULL);
  uint8_t *value = NULL;
  bool right = job != NULL && path_argument(&call, 0, &job->path) && path_argument(&call, 1, &job->name) &&
               buffer_argument(&call, 2, &value, &job->length);
  if (right) {
    job->bytes = malloc(job->length + 1);
    right = job->bytes != NULL;
    if (!right) throw_system_error(env, ENOMEM, job->syscall, NULL);
    if (right && job->length > 0) memcpy(job->bytes, value, job->length);
  }
  return start_job(env, job, right);
}

static int64_t run_remove(struct job *job) {
  return fs_remove_attribute(job->path, job->name);
}

static napi_value remove_call(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct job *job = new_job(env, "lremovexattr", run_remove, NULL);
  return start_job(env, job, job != NULL && path_argument(&call, 0, &job->path) && path_argument(&call, 1, &job->name));
}

static int64_t run_list(struct job *job) {
  return fs_list_attributes(job->path, &job->bytes);
}

// The names come one after the other, each ended by NUL.
static napi_value finish_list(napi_env env, struct job *job) {
  napi_value list, name;
  napi_create_array(env, &list);
  uint32_t count = 0;
  for (int64_t at = 0; at < job->result;) {
    size_t length = strnlen((const char *)job->bytes + at, (size_t)(job->result - at));
    napi_create_string_utf8(env, (const char *)job->bytes + at, length, &name);
    napi_set_element(env, list, count++, name);
    at += (int64_t)length + 1;
  }
  return list;
}

static napi_value list_call(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct job *job = new_job(env, "llistxattr", run_list, finish_list);
  return start_job(env, job, job != NULL && path_argument(&call, 0, &job->path));
}

void define_jobs(napi_env env, napi_value exports) {
  const struct method methods[] = {
      {"mountDirect", mount_direct_call}, {"unmount", unmount_call},      {"receiveFd", receive_fd_call},
      {"dropPages", drop_call},           {"fallocate", fallocate_call},      {"cloneFile", clone_call},      {"copyRange", copy_call},
      {"setTimes", times_call},           {"mknod", node_call},           {"renameNew", rename_call},
      {"getAttribute", get_call},         {"setAttribute", set_call},     {"removeAttribute", remove_call},
      {"listAttributes", list_call},
  };
  add_functions(env, exports, methods, COUNT_OF(methods));
}
