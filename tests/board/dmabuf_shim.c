/*
 * For LD_PRELOAD, in tests alone: /dev/udmabuf and /dev/dma_heap on a kernel that has neither.
 *
 * libcamera's virtual camera takes its picture buffers from one of the two. Here they are memfds, which map and share as
 * DMA buffers do, and need no synchronising. Descriptors beyond KINDS are left to the kernel.
 *
 * And C++ objects begin as zeros: the virtual pipeline of libcamera 0.4 never writes a picture's status, which then is
 * what the memory held before, now and then "cancelled". 0 is "success".
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#define KINDS 65536
enum kind { NONE, UDMABUF, HEAP };
static unsigned char kinds[KINDS];

#define NEXT(name) static __typeof__(&name) next; if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int stand_in(const char *path)
{
    enum kind kind = NONE;
    if (path && !strcmp(path, "/dev/udmabuf"))
        kind = UDMABUF;
    else if (path && (!strcmp(path, "/dev/dma_heap/system") || !strcmp(path, "/dev/dma_heap/linux,cma")))
        kind = HEAP;
    if (kind == NONE)
        return -1;
    int fd = memfd_create("device", MFD_CLOEXEC);
    if (fd >= 0 && fd < KINDS)
        kinds[fd] = kind;
    return fd;
}

#define MODE mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { \
    va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

#define OPEN(name) int name(const char *path, int flags, ...) { \
    NEXT(name); MODE; int fd = stand_in(path); return fd >= 0 ? fd : next(path, flags, mode); }
#define OPENAT(name) int name(int at, const char *path, int flags, ...) { \
    NEXT(name); MODE; int fd = stand_in(path); return fd >= 0 ? fd : next(at, path, flags, mode); }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int close(int fd)
{
    NEXT(close);
    if (fd >= 0 && fd < KINDS)
        kinds[fd] = NONE;
    return next(fd);
}

static int allocated(struct dma_heap_allocation_data *wanted)
{
    int fd = memfd_create("buffer", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, wanted->len)) {
        close(fd);
        return -1;
    }
    wanted->fd = fd;
    return fd < 0 ? -1 : 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    NEXT(ioctl);
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    enum kind kind = fd >= 0 && fd < KINDS ? kinds[fd] : NONE;
    if (kind == UDMABUF && request == UDMABUF_CREATE)
        return fcntl(((struct udmabuf_create *)argument)->memfd, F_DUPFD_CLOEXEC, 3);
    if (kind == HEAP && request == DMA_HEAP_IOCTL_ALLOC)
        return allocated(argument);
    int answer = next(fd, request, argument);
    if (answer < 0 && (errno == ENOTTY || errno == EINVAL)
        && (request == DMA_BUF_IOCTL_SYNC || request == DMA_BUF_SET_NAME_A || request == DMA_BUF_SET_NAME_B))
        return 0;
    return answer;
}

void *_Znwm(size_t size) /* operator new(unsigned long) */
{
    void *memory = calloc(1, size ? size : 1);
    if (!memory)
        abort();
    return memory;
}
