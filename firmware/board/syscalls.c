/* What newlib asks of a system, by semihosting. */
#include "m7sim.h"

#include <errno.h>
#include <fcntl.h>
#include <reent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/times.h>

#undef errno
extern int errno;

#define MOST_FILES 16

/* Descriptor -> semihosting handle + 1; 0 is free. 0, 1 and 2 are opened when first used. */
static int handles[MOST_FILES];
static int positions[MOST_FILES];

static int failed(void)
{
    errno = m7_semihost(M7_SYS_ERRNO, 0);
    return -1;
}

static int sys_open(const char *name, int mode)
{
    const struct {
        const char *name;
        int mode, length;
    } block = {name, mode, (int)strlen(name)};
    return m7_semihost(M7_SYS_OPEN, &block);
}

static int handle_of(int fd)
{
    if (fd < 0 || fd >= MOST_FILES) {
        errno = EBADF;
        return -1;
    }
    if (fd < 3 && !handles[fd])
        handles[fd] = sys_open(":tt", fd == 0 ? 0 : fd == 1 ? 4 : 8) + 1;
    if (!handles[fd])
        errno = EBADF;
    return handles[fd] - 1;
}

static int with_handle(int operation, int fd)
{
    const int handle = handle_of(fd);
    return handle < 0 ? -1 : m7_semihost(operation, &handle);
}

int _open(const char *name, int flags, int permissions)
{
    (void)permissions;
    int fd = 3;
    while (fd < MOST_FILES && handles[fd])
        fd++;
    if (fd == MOST_FILES) {
        errno = EMFILE;
        return -1;
    }
    int mode = 1; /* rb */
    if (flags & O_APPEND)
        mode = (flags & O_ACCMODE) == O_RDWR ? 11 : 9;
    else if (flags & O_TRUNC)
        mode = (flags & O_ACCMODE) == O_RDWR ? 7 : 5;
    else if ((flags & O_ACCMODE) != O_RDONLY)
        mode = 3; /* r+b */
    int handle = sys_open(name, mode);
    if (handle == -1 && (flags & O_CREAT) && mode == 3)
        handle = sys_open(name, 7);
    if (handle == -1)
        return failed();
    handles[fd] = handle + 1;
    positions[fd] = 0;
    return fd;
}

int _close(int fd)
{
    int result = with_handle(M7_SYS_CLOSE, fd);
    if (fd >= 0 && fd < MOST_FILES)
        handles[fd] = 0;
    return result ? failed() : 0;
}

static int transfer(int operation, int fd, const void *data, int length)
{
    int handle = handle_of(fd);
    if (handle < 0)
        return -1;
    const struct {
        int handle;
        const void *data;
        int length;
    } block = {handle, data, length};
    int left = m7_semihost(operation, &block);
    if (left < 0 || (left == length && length && operation == M7_SYS_WRITE))
        return failed();
    positions[fd] += length - left;
    return length - left;
}

int _write(int fd, const void *data, int length) { return transfer(M7_SYS_WRITE, fd, data, length); }
int _read(int fd, void *data, int length) { return transfer(M7_SYS_READ, fd, data, length); }

int _isatty(int fd)
{
    if (with_handle(M7_SYS_ISTTY, fd) == 1)
        return 1;
    errno = ENOTTY;
    return 0;
}

int _lseek(int fd, int offset, int origin)
{
    if (origin == SEEK_CUR)
        offset += positions[fd < 0 || fd >= MOST_FILES ? 0 : fd];
    else if (origin == SEEK_END) {
        int length = with_handle(M7_SYS_FLEN, fd);
        if (length < 0)
            return failed();
        offset += length;
    }
    const int block[2] = {handle_of(fd), offset};
    if (block[0] < 0)
        return -1;
    if (offset < 0) {
        errno = EINVAL;
        return -1;
    }
    if (m7_semihost(M7_SYS_SEEK, block))
        return failed();
    positions[fd] = offset;
    return offset;
}

int _fstat(int fd, struct stat *status)
{
    memset(status, 0, sizeof *status);
    if (_isatty(fd)) {
        status->st_mode = S_IFCHR;
        return 0;
    }
    int length = with_handle(M7_SYS_FLEN, fd);
    if (length < 0)
        return failed();
    status->st_mode = S_IFREG;
    status->st_size = length;
    status->st_blksize = 512;
    return 0;
}

int _stat(const char *name, struct stat *status)
{
    int fd = _open(name, O_RDONLY, 0);
    if (fd < 0)
        return -1;
    int result = _fstat(fd, status);
    _close(fd);
    return result;
}

int _unlink(const char *name)
{
    const struct {
        const char *name;
        int length;
    } block = {name, (int)strlen(name)};
    return m7_semihost(M7_SYS_REMOVE, &block) ? failed() : 0;
}

/* newlib's own makes a second link and removes the first, which semihosting cannot. */
int _rename_r(struct _reent *reent, const char *old, const char *new)
{
    (void)reent;
    const struct {
        const char *old;
        int old_length;
        const char *new;
        int new_length;
    } block = {old, (int)strlen(old), new, (int)strlen(new)};
    return m7_semihost(M7_SYS_RENAME, &block) ? failed() : 0;
}

int _link(const char *old, const char *new)
{
    (void)old;
    (void)new;
    errno = EMLINK;
    return -1;
}

void *_sbrk(int bytes)
{
    extern char __HeapBase[], __HeapLimit[];
    static char *top;
    if (!top)
        top = __HeapBase;
    if (bytes > __HeapLimit - top || bytes < __HeapBase - top) {
        errno = ENOMEM;
        return (void *)-1;
    }
    char *before = top;
    top += bytes;
    return before;
}

clock_t _times(struct tms *times)
{
    clock_t now = (clock_t)m7_semihost(M7_SYS_CLOCK, 0); /* 1/100 s, as newlib's CLOCKS_PER_SEC */
    if (times)
        *times = (struct tms){.tms_utime = now};
    return now;
}

int _gettimeofday(struct timeval *time, void *zone)
{
    (void)zone;
    time->tv_sec = m7_semihost(M7_SYS_TIME, 0);
    time->tv_usec = 0;
    return 0;
}

int _getpid(void) { return 1; }

int _kill(int process, int number)
{
    (void)process;
    m7_exit(128 + number);
}

void _exit(int code) { m7_exit(code); }
