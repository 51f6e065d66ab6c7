/* Elasticsearch refuses to form a cluster where fewer than 65,535 files may be open. On a machine whose root may not raise its own limit
   (no CAP_SYS_RESOURCE) it is told that number; some thousands are enough for tests. Preloaded in the pods there, and nowhere else. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/resource.h>

#define WANTED 65535

static int asked(const char *name, int resource, void *limit) {
    int (*real)(int, void *) = (int (*)(int, void *))dlsym(RTLD_NEXT, name);
    int result = real(resource, limit);
    struct rlimit64 *found = limit;
    if (result == 0 && resource == RLIMIT_NOFILE && found->rlim_cur < WANTED) {
        found->rlim_cur = WANTED;
        if (found->rlim_max < WANTED) found->rlim_max = WANTED;
    }
    return result;
}

#undef getrlimit
#undef getrlimit64
int getrlimit(__rlimit_resource_t resource, struct rlimit *limit) { return asked("getrlimit", resource, limit); }
int getrlimit64(__rlimit_resource_t resource, struct rlimit64 *limit) { return asked("getrlimit64", resource, limit); }
