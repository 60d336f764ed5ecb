// ChannelServer: uv_poll on a listening socket; every connection is offered to JavaScript once.
#include "glue.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "channel.h"

enum { CONNECTIONS_PER_WAKEUP = 16 };

struct js_server {
  struct held held;
  struct listener listener;
  bool closed;
  napi_env env;
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
  napi_ref self, on_connection;
  uv_poll_t readiness;
};

// A connection that waits for its events; good for one call, during onConnection only.
struct offer {
  struct held held;
  int fd;
};

static void destroy_offer(struct held *held) {
  struct offer *offer = (struct offer *)held;
  if (offer->fd >= 0) close(offer->fd);
  free(offer);
}

static napi_value accept_offer(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  struct offer *offer = call.data;
  if (offer->fd < 0) return throw_system_error(env, EBADF, "accept", NULL);
  int fd = offer->fd;
  offer->fd = -1;
  return open_channel(env, fd, call.count > 0 ? call.values[0] : NULL);
}

static void offer_connection(struct js_server *js, int fd) {
  struct offer *offer = calloc(1, sizeof *offer);
  if (offer == NULL) {
    close(fd);
    return;
  }
  *offer = (struct offer){{1, destroy_offer}, fd};
  napi_handle_scope scope;
  napi_open_handle_scope(js->env, &scope);
  napi_value function;
  hold_once(&offer->held);
  napi_create_function(js->env, "accept", NAPI_AUTO_LENGTH, accept_offer, offer, &function);
  napi_add_finalizer(js->env, function, offer, held_collected, NULL, NULL);
  call_back(js->env, js->context, js->on_connection, 1, &function);
  if (offer->fd >= 0) close(offer->fd); // nobody wanted it
  offer->fd = -1;
  let_go(&offer->held);
  napi_close_handle_scope(js->env, scope);
}

static void on_connection_ready(uv_poll_t *handle, int status, int events) {
  struct js_server *js = handle->data;
  (void)status;
  (void)events;
  hold_once(&js->held);
  for (int i = 0; i < CONNECTIONS_PER_WAKEUP && !js->closed; i++) {
    int fd = listener_accept(&js->listener);
    if (fd < 0) break;
    offer_connection(js, fd);
  }
  let_go(&js->held);
}

static void destroy_server(struct held *held) {
  free(held);
}

static void server_handle_closed(uv_handle_t *handle) {
  struct js_server *js = handle->data;
  napi_env env = js->env;
  napi_handle_scope scope;
  napi_open_handle_scope(env, &scope);
  napi_delete_reference(env, js->self);
  napi_delete_reference(env, js->on_connection);
  napi_async_destroy(env, js->context);
  napi_remove_async_cleanup_hook(js->cleanup);
  let_go(&js->held);
  napi_close_handle_scope(env, scope);
}

static void close_server(struct js_server *js) {
  if (js->closed) return;
  js->closed = true;
  uv_poll_stop(&js->readiness);
  listener_close(&js->listener); // at once: whoever calls close may listen again on the same path
  uv_close((uv_handle_t *)&js->readiness, server_handle_closed);
}

static void server_environment_ends(napi_async_cleanup_hook_handle cleanup, void *data) {
  (void)cleanup;
  close_server(data);
}

static napi_value server_close_method(napi_env env, napi_callback_info info) {
  close_server(call_of(env, info).data);
  return NULL;
}

static napi_value listen_channel(napi_env env, napi_callback_info info) {
  struct call call = call_of(env, info);
  napi_value on_connection, object, name;
  uv_loop_t *loop;
  char *path;
  if (!path_argument(&call, 0, &path)) return NULL;
  struct js_server *js = calloc(1, sizeof *js);
  if (js == NULL || !function_argument(&call, 1, &on_connection)) {
    if (js == NULL) throw_system_error(env, ENOMEM, "bind", path);
    free(js);
    free(path);
    return NULL;
  }
  int result = listener_open(&js->listener, path);
  if (result != 0) {
    throw_system_error(env, -result, "bind", path);
    free(js);
    free(path);
    return NULL;
  }
  free(path);
  napi_get_uv_event_loop(env, &loop);
  result = uv_poll_init(loop, &js->readiness, js->listener.fd);
  if (result != 0) {
    listener_close(&js->listener);
    free(js);
    return throw_system_error(env, -result, "uv_poll_init", NULL);
  }
  js->readiness.data = js;
  js->held = (struct held){1, destroy_server};
  js->env = env;
  napi_create_object(env, &object);
  add_method(env, object, "close", server_close_method, &js->held);
  napi_create_string_utf8(env, "CloudMoorChannelServer", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, object, name, &js->context);
  napi_create_reference(env, object, 1, &js->self);
  napi_create_reference(env, on_connection, 1, &js->on_connection);
  napi_add_async_cleanup_hook(env, server_environment_ends, js, &js->cleanup);
  uv_poll_start(&js->readiness, UV_READABLE, on_connection_ready);
  return object;
}

void define_listener(napi_env env, napi_value exports) {
  const struct method methods[] = {{"listenChannel", listen_channel}};
  add_functions(env, exports, methods, COUNT_OF(methods));
}
