/*
 * pgcertd's control socket: hears pgcertctl and hands each request to a handler, as a call that is
 * answered at once or later (control_call.h). Decides nothing and forms no text.
 */
#pragma once

#include "daemon/control_call.h"

enum { CONTROL_CLIENTS_MAX = 64 }; /* one more is told so and turned away */

typedef struct Control Control;

/* Listens on the path with mode 0660. A stale socket is replaced; a live one is -EADDRINUSE with a
 * sentence that names the process. handler and userdata must outlive it. */
int control_new(sd_event *event, const char *socket_path, const ControlHandler *handler,
                void *userdata, Control **ret, Error *reterr);

/* Ends every connection (closed() is called for unfinished calls) and removes the socket, if it is
 * still ours. */
Control *control_free(Control *control);
DEFINE_CLEANUP(Control *, control_free);
