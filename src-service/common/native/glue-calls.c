// Calls that never wait.
#include "glue.h"

#include <errno.h>
#include <stdlib.h>

#include "fs.h"
#include "mount.h"
#include "process.h"

static napi_value checked(napi_env env, int result, const char *syscall) {
  return result < 0 ? throw_system_error(env, -result, syscall, NULL) : NULL;
}

static napi_value socket_pair(napi_env env, napi_callback_info info) {
  (void)info;
  int sockets[2];
  int result = mount_socket_pair(sockets);
  if (result != 0) return throw_system_error(env, -result, "socketpair", NULL);
  napi_value pair;
  napi_create_array_with_length(env, 2, &pair);
  napi_set_element(env, pair, 0, make_int(env, sockets[0]));
  napi_set_element(env, pair, 1, make_int(env, sockets[1]));
  return pair;
}

static napi_value backing_open(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  int32_t fuse_fd, file_fd;
  if (!int_argument(&call, 0, &fuse_fd) || !int_argument(&call, 1, &file_fd)) return NULL;
  return make_int(env, mount_backing_open(fuse_fd, file_fd));
}

static napi_value backing_close(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  int32_t fuse_fd;
  uint32_t id;
  if (!int_argument(&call, 0, &fuse_fd) || !uint_argument(&call, 1, &id)) return NULL;
  return make_int(env, mount_backing_close(fuse_fd, id));
}

static napi_value read_now(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  int32_t fd;
  uint8_t *target;
  size_t room;
  uint32_t offset, length;
  int64_t position;
  if (!int_argument(&call, 0, &fd) || !buffer_argument(&call, 1, &target, &room) || !uint_argument(&call, 2, &offset)) return NULL;
  if (!uint_argument(&call, 3, &length) || !long_argument(&call, 4, &position)) return NULL;
  if (offset > room || length > room - offset) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "the target lies outside of its Buffer");
    return NULL;
  }
  // preadv2 takes -1 as the file's own position.
  return make_int(env, position < 0 ? -EINVAL : fs_read_now(fd, target + offset, length, position));
}

static napi_value seek(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  int32_t fd, whence;
  int64_t offset;
  if (!int_argument(&call, 0, &fd) || !long_argument(&call, 1, &offset) || !int_argument(&call, 2, &whence)) return NULL;
  return make_int(env, fs_seek(fd, offset, whence));
}

static napi_value close_fd(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  int32_t fd;
  return int_argument(&call, 0, &fd) ? checked(env, fs_close(fd), "close") : NULL;
}

static napi_value dup_fd(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  int32_t fd;
  if (!int_argument(&call, 0, &fd)) return NULL;
  int copy = fs_duplicate(fd);
  return copy < 0 ? throw_system_error(env, -copy, "fcntl", NULL) : make_int(env, copy);
}

static napi_value drop_capabilities(napi_env env, napi_callback_info info) {
  (void)info;
  return checked(env, process_drop_capabilities(), "capset");
}

static napi_value can_mount(napi_env env, napi_callback_info info) {
  (void)info;
  return make_bool(env, process_can_mount());
}

static napi_value forbid_core(napi_env env, napi_callback_info info) {
  (void)info;
  return checked(env, process_forbid_core(), "prctl");
}

static napi_value set_process_name(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  char *name;
  if (!path_argument(&call, 0, &name)) return NULL;
  int result = process_set_name(name);
  free(name);
  return checked(env, result, "prctl");
}

static napi_value notify_systemd(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  char *message;
  if (!path_argument(&call, 0, &message)) return NULL;
  int result = process_notify_systemd(message);
  free(message);
  return result < 0 ? throw_system_error(env, -result, "sendto", getenv("NOTIFY_SOCKET")) : make_bool(env, result == 1);
}

static napi_value is_gone(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  int32_t pid;
  return int_argument(&call, 0, &pid) ? make_bool(env, process_is_gone(pid)) : NULL;
}

void define_calls(napi_env env, napi_value exports) {
  const struct method methods[] = {
      {"socketPair", socket_pair},
      {"backingOpen", backing_open},
      {"backingClose", backing_close},
      {"readNow", read_now},
      {"seek", seek},
      {"closeFd", close_fd},
      {"dupFd", dup_fd},
      {"dropCapabilities", drop_capabilities},
      {"canMount", can_mount},
      {"forbidCore", forbid_core},
      {"setProcessName", set_process_name},
      {"notifySystemd", notify_systemd},
      {"isGone", is_gone},
  };
  add_functions(env, exports, methods, COUNT_OF(methods));
}
