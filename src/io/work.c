#include "io/work.h"
#include <pthread.h>
#include <signal.h>

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct job *head, **tail;
    unsigned count, threads;
    bool stopping;
    pthread_t thread[WORK_THREADS_MAX];
} work = {.lock = PTHREAD_MUTEX_INITIALIZER, .wanted = PTHREAD_COND_INITIALIZER};

static void come_back(struct message *m) {
    struct job *j = container_of(m, struct job, message);
    j->finished(j);
}

/* The oldest job; NULL: it is time to go. */
static struct job *take(void) {
    pthread_mutex_lock(&work.lock);
    while (!work.head && !work.stopping)
        pthread_cond_wait(&work.wanted, &work.lock);
    struct job *j = work.stopping ? NULL : work.head;
    if (j) {
        work.head = j->next;
        if (!work.head)
            work.tail = &work.head;
        work.count--;
    }
    pthread_mutex_unlock(&work.lock);
    return j;
}

static void *helper(void *unused) {
    (void)unused;
    for (struct job *j; (j = take());) {
        j->run(j);
        loop_send(j->from, &j->message);
    }
    return NULL;
}

/* Signals are for the thread that main chose. */
static bool start_one(pthread_t *out) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(out, NULL, helper, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed == 0;
}

bool work_start(unsigned threads) {
    must(work.threads == 0 && threads >= 1 && threads <= WORK_THREADS_MAX);
    work.head = NULL;
    work.tail = &work.head;
    work.count = 0;
    work.stopping = false;
    while (work.threads < threads && start_one(&work.thread[work.threads]))
        work.threads++;
    if (work.threads == threads)
        return true;
    work_stop();
    return false;
}

void work_stop(void) {
    pthread_mutex_lock(&work.lock);
    work.stopping = true;
    pthread_cond_broadcast(&work.wanted);
    pthread_mutex_unlock(&work.lock);
    for (; work.threads; work.threads--)
        pthread_join(work.thread[work.threads - 1], NULL);
    for (struct job *j; (j = work.head);) {
        work.head = j->next;
        mem_free(j);
    }
}

bool work_give(struct job *j, void (*run)(struct job *), void (*finished)(struct job *)) {
    must(me != NULL);
    j->message.receive = come_back;
    j->from = me;
    j->run = run;
    j->finished = finished;
    j->next = NULL;
    pthread_mutex_lock(&work.lock);
    bool taken = work.threads && !work.stopping && work.count < WORK_QUEUE_MAX;
    if (taken) {
        *work.tail = j;
        work.tail = &j->next;
        work.count++;
        pthread_cond_signal(&work.wanted);
    }
    pthread_mutex_unlock(&work.lock);
    return taken;
}
