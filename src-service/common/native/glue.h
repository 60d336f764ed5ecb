// Between JavaScript and the plain C files. Everything that knows N-API or libuv is in the glue*.c files.
#pragma once
#define NAPI_VERSION 9
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

// One call from JavaScript. The argument readers throw a TypeError and return false when the value does not fit.
struct call {
  napi_env env;
  size_t count;
  napi_value values[8];
  void *data;
};

struct call call_of(napi_env env, napi_callback_info info);
bool int_argument(struct call *call, size_t at, int32_t *value);
bool uint_argument(struct call *call, size_t at, uint32_t *value);
// A whole number of at most 2^53.
bool long_argument(struct call *call, size_t at, int64_t *value);
// Text, or bytes in a Buffer, without NUL; the caller frees it.
bool path_argument(struct call *call, size_t at, char **path);
bool buffer_argument(struct call *call, size_t at, uint8_t **bytes, size_t *length);
bool function_argument(struct call *call, size_t at, napi_value *value);

bool uint_property(napi_env env, napi_value object, const char *name, uint32_t *value);
bool long_property(napi_env env, napi_value object, const char *name, int64_t *value);
bool bool_property(napi_env env, napi_value object, const char *name, bool *value);
bool function_property(napi_env env, napi_value object, const char *name, napi_value *value);
bool text_property(napi_env env, napi_value object, const char *name, char **value);

napi_value throw_type_error(napi_env env, const char *what);
// An Error with the errno name as `code` and `syscall path: text` as message; `path` may be NULL.
napi_value system_error(napi_env env, int error, const char *syscall, const char *path);
napi_value throw_system_error(napi_env env, int error, const char *syscall, const char *path);
const char *errno_name(int error);

napi_value make_int(napi_env env, int64_t value);
napi_value make_bool(napi_env env, bool value);
void set_property(napi_env env, napi_value object, const char *name, napi_value value);

// What lives as long as JavaScript or libuv can still reach it: functions, buffers and open handles each hold it once.
struct held {
  unsigned holders;
  void (*destroy)(struct held *held);
};
void hold_once(struct held *held);
void let_go(struct held *held);
// A finalizer that lets go of its data.
void held_collected(napi_env env, void *data, void *hint);
// Adds a function that finds `held` as call.data and keeps it alive.
void add_method(napi_env env, napi_value object, const char *name, napi_callback callback, struct held *held);

struct method {
  const char *name;
  napi_callback callback;
};
void add_functions(napi_env env, napi_value exports, const struct method *methods, size_t count);

// Calls back into JavaScript from libuv; an exception becomes an uncaughtException.
void call_back(napi_env env, napi_async_context context, napi_ref callback, size_t count, const napi_value *values);

// The Channel of a connected socket. Takes the descriptor over, whatever happens. NULL with a pending exception on failure.
napi_value open_channel(napi_env env, int fd, napi_value events);

void define_door(napi_env env, napi_value exports);
void define_channel(napi_env env, napi_value exports);
void define_listener(napi_env env, napi_value exports);
void define_calls(napi_env env, napi_value exports);
void define_jobs(napi_env env, napi_value exports);
