#include "tls/resume.h"
#include "tls/session.h"
#include "tls/tickets.h"
#include <pthread.h>

static void init(void) {
    wire_init();
    tickets_init();
}

void tls_init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init);
}

void tls_thread_finish(void) {
    resume_finish();
    wire_finish();
    OPENSSL_thread_stop();
}
