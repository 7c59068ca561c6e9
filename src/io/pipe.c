#include "io/pipe.h"
#include <fcntl.h>

static void pipe_close(struct loop *l, struct pipe *p) {
    env.close(p->in);
    env.close(p->out);
    mem_free(p);
    l->pipes_made--;
}

/* Bytes that are left in it would be somebody else's: such a pipe is not used again. */
static void give(struct pipe *p, size_t left) {
    struct loop *l = me;
    if (left || l->pipes_free >= PIPES_KEPT) {
        pipe_close(l, p);
        return;
    }
    p->next = l->pipes;
    l->pipes = p;
    l->pipes_free++;
}

struct pipe *pipe_take(struct loop *l) {
    struct pipe *p = l->pipes;
    int fd[2];
    if (p) {
        l->pipes = p->next;
        l->pipes_free--;
        return p;
    }
    if (!env.pipe || l->pipes_made >= PIPES_MAX || !(p = mem_try(sizeof *p)))
        return NULL;
    if (env.pipe(fd) < 0) {
        mem_free(p);
        return NULL;
    }
    fcntl(fd[1], F_SETPIPE_SZ, PIPE_BYTES);
    *p = (struct pipe){.in = fd[1], .out = fd[0], .give = give};
    l->pipes_made++;
    return p;
}

void pipes_finish(struct loop *l) {
    while (l->pipes) {
        struct pipe *p = l->pipes;
        l->pipes = p->next;
        pipe_close(l, p);
    }
    l->pipes_free = 0;
}
