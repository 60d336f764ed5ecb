#define _GNU_SOURCE
#include "glue.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct call call_of(napi_env env, napi_callback_info info) {
  struct call call = {.env = env, .count = COUNT_OF(call.values)};
  napi_get_cb_info(env, info, &call.count, call.values, NULL, &call.data);
  return call;
}

napi_value throw_type_error(napi_env env, const char *what) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", what);
  return NULL;
}

static bool refuse_argument(struct call *call, size_t at, const char *expected) {
  char text[80];
  snprintf(text, sizeof text, "argument %zu must be %s", at + 1, expected);
  throw_type_error(call->env, text);
  return false;
}

static bool refuse_property(napi_env env, const char *name, const char *expected) {
  char text[80];
  snprintf(text, sizeof text, "%s must be %s", name, expected);
  throw_type_error(env, text);
  return false;
}

static bool whole_number(napi_env env, napi_value value, double low, double high, double *number) {
  return napi_get_value_double(env, value, number) == napi_ok && *number >= low && *number <= high && trunc(*number) == *number;
}

static const double safe_integer = 9007199254740991.0;

bool int_argument(struct call *call, size_t at, int32_t *value) {
  double number;
  if (at >= call->count || !whole_number(call->env, call->values[at], INT32_MIN, INT32_MAX, &number)) {
    return refuse_argument(call, at, "a whole number of 32 bits");
  }
  *value = (int32_t)number;
  return true;
}

bool uint_argument(struct call *call, size_t at, uint32_t *value) {
  double number;
  if (at >= call->count || !whole_number(call->env, call->values[at], 0, UINT32_MAX, &number)) {
    return refuse_argument(call, at, "a whole number from 0 to 2^32 - 1");
  }
  *value = (uint32_t)number;
  return true;
}

bool long_argument(struct call *call, size_t at, int64_t *value) {
  double number;
  if (at >= call->count || !whole_number(call->env, call->values[at], -safe_integer, safe_integer, &number)) {
    return refuse_argument(call, at, "a whole number");
  }
  *value = (int64_t)number;
  return true;
}

// Text or Buffer as a C string; false when it is neither or holds a NUL.
static bool bytes_of(napi_env env, napi_value value, char **text) {
  size_t length;
  bool buffer = false;
  napi_is_buffer(env, value, &buffer);
  if (buffer) {
    void *bytes;
    if (napi_get_buffer_info(env, value, &bytes, &length) != napi_ok) return false;
    *text = length == 0 ? strdup("") : strndup(bytes, length);
  } else {
    if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return false;
    *text = malloc(length + 1);
    if (*text != NULL) napi_get_value_string_utf8(env, value, *text, length + 1, &length);
  }
  if (*text != NULL && strlen(*text) == length) return true;
  free(*text);
  *text = NULL;
  return false;
}

bool path_argument(struct call *call, size_t at, char **path) {
  *path = NULL;
  return (at < call->count && bytes_of(call->env, call->values[at], path)) || refuse_argument(call, at, "text or a Buffer without NUL");
}

bool buffer_argument(struct call *call, size_t at, uint8_t **bytes, size_t *length) {
  void *start;
  bool buffer = false;
  if (at < call->count) napi_is_buffer(call->env, call->values[at], &buffer);
  if (!buffer || napi_get_buffer_info(call->env, call->values[at], &start, length) != napi_ok) {
    return refuse_argument(call, at, "a Buffer");
  }
  *bytes = start;
  return true;
}

bool function_argument(struct call *call, size_t at, napi_value *value) {
  napi_valuetype type = napi_undefined;
  if (at < call->count) napi_typeof(call->env, call->values[at], &type);
  if (type != napi_function) return refuse_argument(call, at, "a function");
  *value = call->values[at];
  return true;
}

static bool named(napi_env env, napi_value object, const char *name, napi_value *value) {
  napi_valuetype type;
  if (napi_typeof(env, object, &type) != napi_ok || type != napi_object) return false;
  return napi_get_named_property(env, object, name, value) == napi_ok;
}

bool uint_property(napi_env env, napi_value object, const char *name, uint32_t *value) {
  napi_value found;
  double number;
  if (!named(env, object, name, &found) || !whole_number(env, found, 0, UINT32_MAX, &number)) {
    return refuse_property(env, name, "a whole number from 0 to 2^32 - 1");
  }
  *value = (uint32_t)number;
  return true;
}

bool long_property(napi_env env, napi_value object, const char *name, int64_t *value) {
  napi_value found;
  double number;
  if (!named(env, object, name, &found) || !whole_number(env, found, -safe_integer, safe_integer, &number)) {
    return refuse_property(env, name, "a whole number");
  }
  *value = (int64_t)number;
  return true;
}

bool bool_property(napi_env env, napi_value object, const char *name, bool *value) {
  napi_value found;
  if (named(env, object, name, &found) && napi_get_value_bool(env, found, value) == napi_ok) return true;
  return refuse_property(env, name, "true or false");
}

bool function_property(napi_env env, napi_value object, const char *name, napi_value *value) {
  napi_valuetype type;
  if (named(env, object, name, value) && napi_typeof(env, *value, &type) == napi_ok && type == napi_function) return true;
  return refuse_property(env, name, "a function");
}

bool text_property(napi_env env, napi_value object, const char *name, char **value) {
  napi_value found;
  return (named(env, object, name, &found) && bytes_of(env, found, value)) || refuse_property(env, name, "text without NUL");
}

// ---- errors ----

// In glibc since 2.32; elsewhere libuv knows most of the names.
extern const char *strerrorname_np(int error) __attribute__((weak));

const char *errno_name(int error) {
  const char *name = strerrorname_np != NULL ? strerrorname_np(error) : NULL;
  return name != NULL ? name : uv_err_name(-error);
}

napi_value system_error(napi_env env, int error, const char *syscall, const char *path) {
  char text[512], reason[128];
  uv_strerror_r(-error, reason, sizeof reason);
  const char *known = strstr(reason, "Unknown system error") == NULL ? reason : strerror(error);
  snprintf(text, sizeof text, "%s%s%.300s: %s", syscall, path == NULL ? "" : " ", path == NULL ? "" : path, known);
  napi_value code, message, result;
  napi_create_string_utf8(env, errno_name(error), NAPI_AUTO_LENGTH, &code);
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message);
  napi_create_error(env, code, message, &result);
  return result;
}

napi_value throw_system_error(napi_env env, int error, const char *syscall, const char *path) {
  napi_throw(env, system_error(env, error, syscall, path));
  return NULL;
}

// ---- values ----

napi_value make_int(napi_env env, int64_t value) {
  napi_value result = NULL;
  napi_create_int64(env, value, &result);
  return result;
}

napi_value make_bool(napi_env env, bool value) {
  napi_value result = NULL;
  napi_get_boolean(env, value, &result);
  return result;
}

void set_property(napi_env env, napi_value object, const char *name, napi_value value) {
  napi_property_descriptor property = {.utf8name = name, .value = value, .attributes = napi_enumerable};
  napi_define_properties(env, object, 1, &property);
}

// ---- lifetimes ----

void hold_once(struct held *held) {
  held->holders++;
}

void let_go(struct held *held) {
  if (--held->holders == 0) held->destroy(held);
}

void held_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  let_go(data);
}

void add_method(napi_env env, napi_value object, const char *name, napi_callback callback, struct held *held) {
  napi_value function;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, held, &function) != napi_ok) return;
  hold_once(held);
  napi_add_finalizer(env, function, held, held_collected, NULL, NULL);
  set_property(env, object, name, function);
}

void add_functions(napi_env env, napi_value exports, const struct method *methods, size_t count) {
  for (size_t i = 0; i < count; i++) {
    napi_value function;
    napi_create_function(env, methods[i].name, NAPI_AUTO_LENGTH, methods[i].callback, NULL, &function);
    set_property(env, exports, methods[i].name, function);
  }
}

void call_back(napi_env env, napi_async_context context, napi_ref callback, size_t count, const napi_value *values) {
  napi_value function, receiver;
  if (napi_get_reference_value(env, callback, &function) != napi_ok || function == NULL) return;
  if (napi_get_global(env, &receiver) != napi_ok) return;
  if (napi_make_callback(env, context, receiver, function, count, values, NULL) != napi_pending_exception) return;
  napi_value error;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

NAPI_MODULE_INIT() {
  define_door(env, exports);
  define_channel(env, exports);
  define_listener(env, exports);
  define_calls(env, exports);
  define_jobs(env, exports);
  return exports;
}
