// Channel: uv_poll on a SOCK_SEQPACKET socket.
#include "glue.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "channel.h"

enum { MESSAGES_PER_WAKEUP = 16, LINGER_MILLISECONDS = 5000 };

enum phase { OPEN, FLUSHING, CLOSED };

struct js_channel {
  struct held held;
  struct channel channel;
  enum phase phase;
  int error; // why it ended, 0 at an orderly end
  unsigned closing;
  napi_env env;
  bool ending; // the environment is being torn down: no more calls into JavaScript
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
  napi_ref self, on_message, on_close;
  uv_poll_t readiness;
  uv_timer_t linger;
  uint8_t *received; // room for one message
};

// ---- closing a channel ----

static void destroy_channel(struct held *held) {
  struct js_channel *js = (struct js_channel *)held;
  free(js->received);
  free(js);
}

static void channel_handle_closed(uv_handle_t *handle) {
  struct js_channel *js = handle->data;
  if (--js->closing > 0) return;
  napi_env env = js->env;
  napi_handle_scope scope;
  napi_open_handle_scope(env, &scope);
  channel_end(&js->channel); // after libuv let go of the descriptor
  if (!js->ending) {
    napi_value code;
    if (js->error == 0) {
      napi_get_undefined(env, &code);
    } else {
      napi_create_string_utf8(env, errno_name(js->error), NAPI_AUTO_LENGTH, &code);
    }
    call_back(env, js->context, js->on_close, 1, &code);
  }
  napi_delete_reference(env, js->self);
  napi_delete_reference(env, js->on_message);
  napi_delete_reference(env, js->on_close);
  napi_async_destroy(env, js->context);
  napi_remove_async_cleanup_hook(js->cleanup);
  let_go(&js->held);
  napi_close_handle_scope(env, scope);
}

static void end_channel(struct js_channel *js, int error) {
  if (js->phase == CLOSED) return;
  js->phase = CLOSED;
  if (js->error == 0) js->error = error;
  js->closing = 2;
  uv_poll_stop(&js->readiness);
  uv_close((uv_handle_t *)&js->readiness, channel_handle_closed);
  uv_close((uv_handle_t *)&js->linger, channel_handle_closed);
}

static void channel_environment_ends(napi_async_cleanup_hook_handle cleanup, void *data) {
  struct js_channel *js = data;
  (void)cleanup;
  js->ending = true;
  end_channel(js, 0);
}

static void linger_over(uv_timer_t *timer) {
  end_channel(timer->data, ETIMEDOUT);
}

// ---- messages ----

static void on_channel_ready(uv_poll_t *handle, int status, int events);

static void watch_channel(struct js_channel *js) {
  if (js->phase == CLOSED) return;
  int events = (js->phase == OPEN ? UV_READABLE : 0) | (js->channel.first != NULL ? UV_WRITABLE : 0);
  uv_poll_start(&js->readiness, events, on_channel_ready);
}

static void deliver(struct js_channel *js, size_t length, const int *fds, size_t fd_count) {
  napi_env env = js->env;
  napi_value message, data, list;
  napi_create_object(env, &message);
  napi_create_buffer_copy(env, length, js->received, NULL, &data);
  napi_create_array_with_length(env, fd_count, &list);
  for (size_t i = 0; i < fd_count; i++) napi_set_element(env, list, (uint32_t)i, make_int(env, fds[i]));
  set_property(env, message, "data", data);
  set_property(env, message, "fds", list);
  call_back(env, js->context, js->on_message, 1, &message);
}

static void receive_messages(struct js_channel *js) {
  for (int i = 0; i < MESSAGES_PER_WAKEUP && js->phase == OPEN; i++) {
    int fds[CHANNEL_FD_LIMIT];
    size_t fd_count;
    ssize_t got = channel_receive(js->channel.fd, js->received, CHANNEL_MESSAGE_LIMIT, fds, &fd_count);
    if (got == -EAGAIN) return;
    if (got == -ECONNRESET && js->error == 0) {
      // The peer closed without reading everything of ours; what it sent before is still there.
      js->error = ECONNRESET;
      continue;
    }
    if (got <= 0) {
      end_channel(js, (int)-got);
      return;
    }
    napi_handle_scope scope;
    napi_open_handle_scope(js->env, &scope);
    deliver(js, (size_t)got, fds, fd_count);
    napi_close_handle_scope(js->env, scope);
  }
}

static void send_waiting(struct js_channel *js) {
  int result = channel_flush(&js->channel);
  if (result == -EAGAIN) return;
  if (result == -EPIPE || result == -ECONNRESET) {
    // The peer is gone; its last words are read before the end is told.
    if (js->phase == OPEN) {
      channel_forget(&js->channel);
      if (js->error == 0) js->error = -result;
      return;
    }
  }
  if (result != 0 || js->phase == FLUSHING) end_channel(js, -result);
}

static void on_channel_ready(uv_poll_t *handle, int status, int events) {
  struct js_channel *js = handle->data;
  hold_once(&js->held);
  if (status < 0) events = UV_READABLE | UV_WRITABLE; // the calls below say what is wrong
  if ((events & UV_WRITABLE) != 0 && js->channel.first != NULL) send_waiting(js);
  if ((events & UV_READABLE) != 0) receive_messages(js);
  watch_channel(js);
  let_go(&js->held);
}

// ---- methods of a channel ----

static bool fds_argument(struct call *call, size_t at, int fds[CHANNEL_FD_LIMIT], size_t *count) {
  uint32_t length = 0;
  bool array = false;
  if (at < call->count) napi_is_array(call->env, call->values[at], &array);
  if (array) napi_get_array_length(call->env, call->values[at], &length);
  if (!array || length > CHANNEL_FD_LIMIT) {
    throw_type_error(call->env, "fds must be an array of at most 8 descriptors");
    return false;
  }
  for (uint32_t i = 0; i < length; i++) {
    napi_value value;
    if (napi_get_element(call->env, call->values[at], i, &value) != napi_ok || napi_get_value_int32(call->env, value, &fds[i]) != napi_ok) {
      throw_type_error(call->env, "fds must be an array of at most 8 descriptors");
      return false;
    }
  }
  *count = length;
  return true;
}

static napi_value channel_send_method(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct js_channel *js = call.data;
  uint8_t *bytes;
  size_t length, fd_count;
  int fds[CHANNEL_FD_LIMIT];
  if (!buffer_argument(&call, 0, &bytes, &length) || !fds_argument(&call, 1, fds, &fd_count)) return NULL;
  if (js->phase != OPEN) return make_bool(env, false);
  bool idle = js->channel.first == NULL;
  int result = channel_send(&js->channel, bytes, length, fds, fd_count);
  // A peer that has gone is told by onClose, after what it sent last; the message is lost as one on its way would be.
  if (result == -EPIPE || result == -ECONNRESET || result == -ENOTCONN) {
    if (js->error == 0) js->error = -result;
    return make_bool(env, true);
  }
  if (result < 0) return throw_system_error(env, -result, "sendmsg", NULL);
  if (idle && js->channel.first != NULL) watch_channel(js);
  return make_bool(env, result == 1);
}

static napi_value channel_close_method(napi_env env, napi_callback_info info) {
  struct js_channel *js = call_of(env, info).data;
  if (js->phase != OPEN) return NULL;
  if (js->channel.first == NULL) {
    end_channel(js, 0);
  } else {
    js->phase = FLUSHING;
    uv_timer_start(&js->linger, linger_over, LINGER_MILLISECONDS, 0); // a stopped peer must not keep us for ever
    watch_channel(js);
  }
  return NULL;
}

// ---- opening a channel ----

static napi_value peer_object(napi_env env, const struct peer *peer) {
  napi_value result;
  napi_create_object(env, &result);
  set_property(env, result, "uid", make_int(env, peer->uid));
  set_property(env, result, "gid", make_int(env, peer->gid));
  set_property(env, result, "pid", make_int(env, peer->pid));
  return result;
}

napi_value open_channel(napi_env env, int fd, napi_value events) {
  napi_value on_message, on_close, object, name;
  struct peer peer;
  struct js_channel *js = NULL;
  uv_loop_t *loop;
  napi_get_uv_event_loop(env, &loop);
  if (!function_property(env, events, "onMessage", &on_message) || !function_property(env, events, "onClose", &on_close)) goto refused;
  int result = peer_of(fd, &peer);
  if (result == 0) {
    js = calloc(1, sizeof *js);
    if (js != NULL) js->received = malloc(CHANNEL_MESSAGE_LIMIT);
    if (js == NULL || js->received == NULL) result = -ENOMEM;
  }
  if (result == 0) result = uv_poll_init(loop, &js->readiness, fd);
  if (result != 0) {
    throw_system_error(env, -result, "channel", NULL);
    goto refused;
  }
  uv_timer_init(loop, &js->linger);
  js->readiness.data = js->linger.data = js;
  js->held = (struct held){1, destroy_channel};
  js->env = env;
  channel_begin(&js->channel, fd);
  napi_create_object(env, &object);
  set_property(env, object, "peer", peer_object(env, &peer));
  add_method(env, object, "send", channel_send_method, &js->held);
  add_method(env, object, "close", channel_close_method, &js->held);
  napi_create_string_utf8(env, "CloudMoorChannel", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, object, name, &js->context);
  napi_create_reference(env, object, 1, &js->self); // until closed: the collector may not take an open channel
  napi_create_reference(env, on_message, 1, &js->on_message);
  napi_create_reference(env, on_close, 1, &js->on_close);
  napi_add_async_cleanup_hook(env, channel_environment_ends, js, &js->cleanup);
  watch_channel(js);
  return object;
refused:
  if (js != NULL) free(js->received);
  free(js);
  close(fd);
  return NULL;
}

static napi_value connect_channel(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  char *path;
  if (!path_argument(&call, 0, &path)) return NULL;
  int fd = channel_connect(path);
  if (fd < 0) throw_system_error(env, -fd, "connect", path);
  free(path);
  return fd < 0 ? NULL : open_channel(env, fd, call.count > 1 ? call.values[1] : NULL);
}

static napi_value peer_credentials(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct peer peer;
  int32_t fd;
  if (!int_argument(&call, 0, &fd)) return NULL;
  int result = peer_of(fd, &peer);
  return result != 0 ? throw_system_error(env, -result, "SO_PEERCRED", NULL) : peer_object(env, &peer);
}

void define_channel(napi_env env, napi_value exports) {
  const struct method methods[] = {{"connectChannel", connect_channel}, {"peerCredentials", peer_credentials}};
  add_functions(env, exports, methods, COUNT_OF(methods));
}
