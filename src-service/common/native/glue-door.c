// Door: readiness by uv_poll, polling after replies in a uv_prepare handle, one callback per batch.
#include "glue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "door.h"

// Polling hands the loop back after this long, however busy the connection is.
static const uint64_t turn_nanoseconds = 2000000;

enum phase { OPEN, READING, CLOSED };

struct js_door {
  struct held held;
  struct door door;
  enum phase phase;
  bool waiting_for_slab;
  unsigned closing; // handles that libuv still closes
  napi_env env;
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
  napi_ref self, on_requests, on_closed;
  uint32_t *batch;
  uv_loop_t *loop;
  uv_poll_t readiness;
  uv_prepare_t turn;
};

static void destroy_door(struct held *held) {
  struct js_door *js = (struct js_door *)held;
  door_free(&js->door);
  free(js);
}

// ---- closing ----

static void closed_for_good(struct js_door *js) {
  napi_delete_reference(js->env, js->self);
  napi_delete_reference(js->env, js->on_requests);
  napi_delete_reference(js->env, js->on_closed);
  napi_async_destroy(js->env, js->context);
  napi_remove_async_cleanup_hook(js->cleanup);
  let_go(&js->held);
}

static void handle_closed(uv_handle_t *handle) {
  struct js_door *js = handle->data;
  if (--js->closing > 0) return;
  napi_handle_scope scope;
  napi_open_handle_scope(js->env, &scope);
  door_stop(&js->door); // after libuv let go of the descriptor
  napi_env env = js->env;
  closed_for_good(js);
  napi_close_handle_scope(env, scope);
}

static void close_door(struct js_door *js) {
  if (js->phase == CLOSED) return;
  bool handles = js->phase == READING;
  js->phase = CLOSED;
  if (!handles) {
    door_stop(&js->door);
    closed_for_good(js);
    return;
  }
  uv_poll_stop(&js->readiness);
  js->closing = 2;
  uv_close((uv_handle_t *)&js->readiness, handle_closed);
  uv_close((uv_handle_t *)&js->turn, handle_closed);
}

static void environment_ends(napi_async_cleanup_hook_handle cleanup, void *data) {
  (void)cleanup;
  close_door(data);
}

static void connection_over(struct js_door *js, int error) {
  napi_value values[1] = {make_int(js->env, error)};
  uv_poll_stop(&js->readiness);
  call_back(js->env, js->context, js->on_closed, 1, values);
  close_door(js);
}

// ---- reading ----

static void on_ready(uv_poll_t *handle, int status, int events);

// Hands over a batch; a negative count says that the connection is over. False when there is nothing more to do now.
static bool hand_over(struct js_door *js, int count) {
  if (count == 0) return false;
  hold_once(&js->held);
  napi_handle_scope scope;
  napi_env env = js->env;
  napi_open_handle_scope(env, &scope);
  js->door.replied = false;
  if (count < 0) {
    connection_over(js, -count);
  } else {
    napi_value values[1] = {make_int(env, count)};
    call_back(env, js->context, js->on_requests, 1, values);
  }
  napi_close_handle_scope(env, scope);
  bool more = js->phase == READING && count > 0;
  let_go(&js->held);
  return more;
}

// Without a slab to read into, readiness would wake us for ever.
static void watch(struct js_door *js) {
  if (js->phase != READING) return;
  bool can_read = door_can_read(&js->door);
  if (can_read == !js->waiting_for_slab) return;
  js->waiting_for_slab = !can_read;
  if (can_read) {
    uv_poll_start(&js->readiness, UV_READABLE, on_ready);
  } else {
    uv_poll_stop(&js->readiness);
  }
}

static void on_ready(uv_poll_t *handle, int status, int events) {
  struct js_door *js = handle->data;
  (void)events;
  js->door.counters.wakeups++;
  hold_once(&js->held);
  int count = door_read(&js->door, js->batch);
  hand_over(js, count);
  // libuv has stopped the handle if it reports an error; the read said what it means.
  if (status < 0 && js->phase == READING) uv_poll_start(&js->readiness, UV_READABLE, on_ready);
  watch(js);
  let_go(&js->held);
}

// Just before the loop would sleep: after replies the next request is often only microseconds away.
static void on_turn(uv_prepare_t *handle) {
  struct js_door *js = handle->data;
  if (!js->door.replied) return;
  hold_once(&js->held);
  uint64_t begin = uv_hrtime();
  bool more = true;
  while (more && js->door.replied && uv_backend_timeout(js->loop) != 0 && uv_hrtime() - begin < turn_nanoseconds) {
    js->door.replied = false;
    more = hand_over(js, door_poll(&js->door, js->batch));
  }
  if (js->phase == READING) js->door.replied = false;
  watch(js);
  let_go(&js->held);
}

// ---- methods ----

static napi_value start(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct js_door *js = call.data;
  if (js->phase != OPEN) return throw_system_error(env, js->phase == READING ? EALREADY : EBADF, "door start", NULL);
  int result = uv_poll_init(js->loop, &js->readiness, js->door.fd);
  if (result != 0) return throw_system_error(env, -result, "uv_poll_init", NULL);
  uv_prepare_init(js->loop, &js->turn);
  uv_unref((uv_handle_t *)&js->turn);
  js->readiness.data = js->turn.data = js;
  js->phase = READING;
  js->waiting_for_slab = true;
  uv_prepare_start(&js->turn, on_turn);
  watch(js);
  return NULL;
}

static napi_value stop(napi_env env, napi_callback_info info) {
  close_door(call_of(env, info).data);
  return NULL;
}

static napi_value leftovers(napi_env env, napi_callback_info info) {
  struct js_door *js = call_of(env, info).data;
  if (js->phase == CLOSED) return throw_system_error(env, EBADF, "door leftovers", NULL);
  size_t most = (size_t)js->door.geometry.slab_count + js->door.geometry.slot_count;
  uint32_t *pairs = malloc(most * 2 * sizeof *pairs);
  if (pairs == NULL) return throw_system_error(env, ENOMEM, "door leftovers", NULL);
  size_t count = (size_t)door_leftovers(&js->door, pairs) * 2;
  void *bytes;
  napi_value memory, result = NULL;
  napi_create_arraybuffer(env, count * sizeof *pairs, &bytes, &memory);
  if (count > 0) memcpy(bytes, pairs, count * sizeof *pairs);
  napi_create_typedarray(env, napi_uint32_array, count, memory, 0, &result);
  free(pairs);
  return result;
}

static napi_value reply(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct js_door *js = call.data;
  uint32_t offset, payload_offset = 0, payload_length = 0;
  int32_t error;
  uint8_t *payload = NULL;
  size_t room = 0;
  if (!uint_argument(&call, 0, &offset) || !int_argument(&call, 1, &error)) return NULL;
  napi_valuetype type = napi_null;
  if (call.count > 2) napi_typeof(env, call.values[2], &type);
  if (type != napi_null && type != napi_undefined) {
    if (!buffer_argument(&call, 2, &payload, &room)) return NULL;
    if (!uint_argument(&call, 3, &payload_offset) || !uint_argument(&call, 4, &payload_length)) return NULL;
    if (payload_offset > room || payload_length > room - payload_offset) {
      napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "the payload lies outside of its Buffer");
      return NULL;
    }
    payload += payload_offset;
  }
  int result = js->phase == CLOSED ? -EBADF : door_reply(&js->door, offset, error, payload, payload_length);
  if (js->waiting_for_slab) watch(js);
  return make_int(env, result);
}

static napi_value release(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct js_door *js = call.data;
  uint32_t offset;
  if (!uint_argument(&call, 0, &offset)) return NULL;
  if (js->phase != CLOSED && door_release(&js->door, offset) == -EINVAL) {
    return throw_system_error(env, EINVAL, "door release", NULL);
  }
  if (js->waiting_for_slab) watch(js);
  return NULL;
}

static napi_value notify(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct js_door *js = call.data;
  uint8_t *message;
  size_t length;
  if (!buffer_argument(&call, 0, &message, &length)) return NULL;
  return make_int(env, js->phase == CLOSED ? -EBADF : door_notify(&js->door, message, length));
}

static napi_value notify_later(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct js_door *js = call.data;
  uint8_t *message;
  size_t length;
  if (!buffer_argument(&call, 0, &message, &length)) return NULL;
  int result = js->phase == CLOSED ? 0 : door_notify_later(&js->door, message, length);
  if (result < 0) return throw_system_error(env, -result, "notifyLater", NULL);
  return make_bool(env, result == 1);
}

static napi_value counters(napi_env env, napi_callback_info info) {
  struct js_door *js = call_of(env, info).data;
  const struct door_counters *now = &js->door.counters;
  napi_value result;
  napi_create_object(env, &result);
  set_property(env, result, "wakeups", make_int(env, (int64_t)now->wakeups));
  set_property(env, result, "requests", make_int(env, (int64_t)now->requests));
  set_property(env, result, "pollHits", make_int(env, (int64_t)now->poll_hits));
  set_property(env, result, "pollMicroseconds", make_int(env, (int64_t)(now->poll_nanoseconds / 1000)));
  set_property(env, result, "noSlab", make_int(env, (int64_t)now->no_slab));
  return result;
}

// ---- opening ----

static void memory_collected(napi_env env, void *bytes, void *data) {
  (void)env;
  (void)bytes;
  let_go(data);
}

static napi_value door_object(napi_env env, struct js_door *js) {
  const struct method methods[] = {
      {"start", start},   {"stop", stop},     {"leftovers", leftovers},      {"reply", reply},
      {"release", release}, {"notify", notify}, {"notifyLater", notify_later}, {"counters", counters},
  };
  napi_value object, memory, array, batch;
  void *bytes;
  napi_create_object(env, &object);
  if (napi_create_external_buffer(env, js->door.memory_size, js->door.memory, memory_collected, js, &memory) != napi_ok) return NULL;
  hold_once(&js->held);
  set_property(env, object, "memory", memory);
  if (napi_create_arraybuffer(env, DOOR_BATCH * 2 * sizeof *js->batch, &bytes, &array) != napi_ok) return NULL;
  napi_create_typedarray(env, napi_uint32_array, DOOR_BATCH * 2, array, 0, &batch);
  js->batch = bytes;
  set_property(env, object, "batch", batch);
  for (size_t i = 0; i < COUNT_OF(methods); i++) add_method(env, object, methods[i].name, methods[i].callback, &js->held);
  return object;
}

static napi_value open_door(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  uint32_t fuse_fd, memory_fd, poll_microseconds = 80;
  napi_value on_requests, on_closed, name;
  napi_value options = call.values[0];
  bool has_limit = false;
  if (!uint_property(env, options, "fuseFd", &fuse_fd) || !uint_property(env, options, "memoryFd", &memory_fd)) return NULL;
  if (!function_property(env, options, "onRequests", &on_requests) || !function_property(env, options, "onClosed", &on_closed)) return NULL;
  napi_has_named_property(env, options, "pollMicroseconds", &has_limit);
  if (has_limit && !uint_property(env, options, "pollMicroseconds", &poll_microseconds)) return NULL;
  struct js_door *js = calloc(1, sizeof *js);
  if (js == NULL) return throw_system_error(env, ENOMEM, "openDoor", NULL);
  js->held = (struct held){1, destroy_door};
  js->env = env;
  int result = door_open(&js->door, (int)fuse_fd, (int)memory_fd, poll_microseconds < 1000 ? poll_microseconds : 1000);
  if (result != 0) {
    let_go(&js->held);
    return throw_system_error(env, -result, "openDoor", NULL);
  }
  napi_value object = door_object(env, js);
  if (object == NULL) {
    let_go(&js->held);
    return throw_system_error(env, ENOMEM, "openDoor", NULL);
  }
  napi_get_uv_event_loop(env, &js->loop);
  napi_create_string_utf8(env, "CloudMoorDoor", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, object, name, &js->context);
  napi_create_reference(env, object, 1, &js->self); // until stopped: the collector may not take an open door
  napi_create_reference(env, on_requests, 1, &js->on_requests);
  napi_create_reference(env, on_closed, 1, &js->on_closed);
  napi_add_async_cleanup_hook(env, environment_ends, js, &js->cleanup);
  return object;
}

// ---- memory ----

static napi_value create_request_memory(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct door_geometry g;
  napi_value geometry = call.values[0];
  if (!uint_property(env, geometry, "slabCount", &g.slab_count) || !uint_property(env, geometry, "slabSize", &g.slab_size)) return NULL;
  if (!uint_property(env, geometry, "slotCount", &g.slot_count) || !uint_property(env, geometry, "slotSize", &g.slot_size)) return NULL;
  int fd = door_create_memory(&g);
  return fd < 0 ? throw_system_error(env, -fd, "memfd_create", NULL) : make_int(env, fd);
}

static void header_collected(napi_env env, void *page, void *hint) {
  (void)env;
  (void)hint;
  munmap(page, DOOR_HEADER_SIZE);
}

static napi_value map_header(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  int32_t fd;
  uint8_t *page;
  if (!int_argument(&call, 0, &fd)) return NULL;
  int result = door_map_header(fd, &page);
  if (result != 0) return throw_system_error(env, -result, "mmap", NULL);
  napi_value buffer = NULL;
  if (napi_create_external_buffer(env, DOOR_HEADER_SIZE, page, header_collected, NULL, &buffer) == napi_ok) return buffer;
  munmap(page, DOOR_HEADER_SIZE);
  return throw_system_error(env, ENOMEM, "mmap", NULL);
}

void define_door(napi_env env, napi_value exports) {
  const struct method methods[] = {
      {"createRequestMemory", create_request_memory}, {"mapHeader", map_header}, {"openDoor", open_door}};
  add_functions(env, exports, methods, COUNT_OF(methods));
}
