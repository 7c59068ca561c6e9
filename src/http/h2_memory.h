/*
 * h2_memory - nghttp2's memory, from env: what a peer drives, so it may be refused
 * (NGHTTP2_ERR_NOMEM). Owner: the process. Thread: any (const).
 */
#pragma once
#include <nghttp2/nghttp2.h>

/* nghttp2 copies it; its parameter is not const. */
nghttp2_mem *h2_memory(void);
