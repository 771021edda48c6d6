/* A library that answers as libnvidia-ml.so.1 does, for tests on machines without a card.
 *
 * It is played, and no driver. Constants and layouts are not written here: `nvml.h` is made at build time from
 * NVIDIA's own Python bindings (`cards.py`). What a function is called and takes is as those bindings call it; the
 * few that they do not call, `nvmlInit_v2` alone, are as NVIDIA documents them.
 *
 * There are two cards. The first tells everything, the second refuses much. Their readings are functions of the time
 * since the machine's start, so that two readers of the same moment read the same. The file that PLAYED_NVML names
 * changes what is answered; it is read again at every call, and of its lines the last that fits counts:
 *
 *     now SECONDS                                     the time stands still there
 *     cards COUNT                                     so many cards, at most 2
 *     answer CARD FUNCTION CODE                       the function's return value for this card; `*` is any, and
 *                                                     with -1 it does not return until another line says so
 *     xid CARD NUMBER                                 the driver reports an error, once for each line
 *     process CARD compute|graphics PID BYTES PATH    a process that holds memory; hidden if BYTES is -1
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "nvml.h"

#define CARDS 2
#define GIB (1024ull * 1024 * 1024)
#define PID_THAT_CANNOT_BE 4194305 /* Linux ends at 4194304. */
#define SECONDS_PER_XID 20
#define API __attribute__((visibility("default")))

static struct card { int index; } cards[CARDS] = {{0}, {1}};
static int opened;

struct process { int card, graphics; unsigned pid; long long bytes; char path[128]; };
struct events { unsigned cards; unsigned long long seen; };

/* ---- what the file says ---- */

static FILE *script(void) {
    const char *path = getenv("PLAYED_NVML");
    return path ? fopen(path, "re") : NULL;
}

static int fits(const char *word, const char *asked) { return !strcmp(word, "*") || !strcmp(word, asked); }

/* The code to answer with instead, or `usual`. */
static int told(int card, const char *function, int usual) {
    char line[256], of[16], name[96], asked[16];
    snprintf(asked, sizeof asked, "%d", card);
    for (;; usleep(10000)) {
        int found, code = usual;
        FILE *file = script();
        if (!file) return usual;
        while (fgets(line, sizeof line, file))
            if (sscanf(line, "answer %15s %95s %d", of, name, &found) == 3 && fits(of, asked) && fits(name, function))
                code = found;
        fclose(file);
        if (code >= 0) return code;
    }
}

static double number(const char *word, double usual) {
    char line[256], format[32];
    FILE *file = script();
    if (!file) return usual;
    snprintf(format, sizeof format, "%s %%lf", word);
    while (fgets(line, sizeof line, file)) sscanf(line, format, &usual);
    fclose(file);
    return usual;
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return number("now", (double)at.tv_sec + (double)at.tv_nsec / 1e9);
}

static int count(void) { return (int)number("cards", CARDS); }

/* The error number `at` since the start, and whose it is; 0 if there is none yet. Without a file one comes now and then. */
static unsigned long long xid(unsigned long long at, int *card) {
    char line[256];
    unsigned long long found = 0, value;
    FILE *file = script();
    if (!file) {
        *card = 0;
        return at < (unsigned long long)now() / SECONDS_PER_XID ? (at % 3 ? 31 : 13) : 0;
    }
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "xid %d %llu", card, &value) == 2 && at-- == 0) {
            found = value;
            break;
        }
    fclose(file);
    return found;
}

/* The processes of a card. Without a file: whoever started this one, and two that are not of this machine. */
static int processes(int card, int graphics, struct process *out, int most) {
    char line[256], kind[16];
    int n = 0;
    FILE *file = script();
    if (!file) {
        struct process usual[] = {
            {0, 0, PID_THAT_CANNOT_BE, 20 * GIB, ""}, {0, 0, (unsigned)getppid(), 3 * GIB, ""}, {0, 1, PID_THAT_CANNOT_BE + 1, GIB / 2, ""},
            {1, 0, (unsigned)getppid(), 4 * GIB, ""}, {1, 1, PID_THAT_CANNOT_BE + 1, -1, ""},
        };
        for (unsigned i = 0; i < sizeof usual / sizeof *usual && n < most; i++)
            if (usual[i].card == card && usual[i].graphics == graphics) out[n++] = usual[i];
        return n;
    }
    while (n < most && fgets(line, sizeof line, file)) {
        struct process p;
        if (sscanf(line, "process %d %15s %u %lld %127[^\n]", &p.card, kind, &p.pid, &p.bytes, p.path) != 5) continue;
        p.graphics = !strcmp(kind, "graphics");
        if (p.card == card && p.graphics == graphics) out[n++] = p;
    }
    fclose(file);
    return n;
}

/* ---- how busy a card is: up and down, the second slower ---- */

static unsigned load(int card) {
    unsigned period = card ? 90 : 60, phase = (unsigned)((unsigned long long)(now() * 10) % (period * 10));
    unsigned share = phase * 200 / (period * 10);
    return share <= 100 ? share : 200 - share;
}

/* ---- answers ---- */

#define OPEN(card, usual) do { \
    int code_ = opened ? told(card, __func__, usual) : NVML_ERROR_UNINITIALIZED; \
    if (code_ != NVML_SUCCESS) return code_; \
} while (0)

#define OF_CARD(device, usual) \
    struct card *card = device; \
    if (!card || card->index >= count()) return NVML_ERROR_INVALID_ARGUMENT; \
    OPEN(card->index, usual)

/* A reading that the second card refuses. */
#define REFUSED (card->index ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS)

static int text(char *out, unsigned length, const char *value) {
    if (strlen(value) >= length) return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(out, value);
    return NVML_SUCCESS;
}

static int begin(const char *function) {
    int code = told(-1, function, NVML_SUCCESS);
    opened += code == NVML_SUCCESS;
    return code;
}

API int nvmlInit_v2(void) { return begin(__func__); }
API int nvmlInitWithFlags(unsigned flags) { (void)flags; return begin(__func__); }

API int nvmlShutdown(void) {
    if (!opened) return NVML_ERROR_UNINITIALIZED;
    opened--;
    return NVML_SUCCESS;
}

API const char *nvmlErrorString(int code) { (void)code; return "played"; }

API int nvmlSystemGetDriverVersion(char *out, unsigned length) {
    OPEN(-1, NVML_SUCCESS);
    return text(out, length, "999.42.01");
}

API int nvmlSystemGetProcessName(unsigned pid, char *out, unsigned length) {
    OPEN(-1, NVML_SUCCESS);
    struct process found[16];
    for (int card = 0; card < CARDS; card++)
        for (int graphics = 0; graphics < 2; graphics++)
            for (int i = 0, n = processes(card, graphics, found, 16); i < n; i++)
                if (found[i].pid == pid && found[i].path[0]) return text(out, length, found[i].path);
    if (pid == PID_THAT_CANNOT_BE) return text(out, length, "/opt/engine/bin/vllm");
    if (pid == PID_THAT_CANNOT_BE + 1) return text(out, length, "/usr/lib/xorg/Xorg");
    return NVML_ERROR_NOT_FOUND;
}

API int nvmlDeviceGetCount_v2(unsigned *out) {
    OPEN(-1, NVML_SUCCESS);
    *out = (unsigned)count();
    return NVML_SUCCESS;
}

API int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **out) {
    OPEN((int)index, NVML_SUCCESS);
    if (index >= (unsigned)count()) return NVML_ERROR_INVALID_ARGUMENT;
    *out = &cards[index];
    return NVML_SUCCESS;
}

API int nvmlDeviceGetUUID(void *device, char *out, unsigned length) {
    OF_CARD(device, NVML_SUCCESS);
    return text(out, length, card->index ? "GPU-b0000000-0000-0000-0000-000000000001" : "GPU-a0000000-0000-0000-0000-000000000000");
}

API int nvmlDeviceGetName(void *device, char *out, unsigned length) {
    OF_CARD(device, NVML_SUCCESS);
    return text(out, length, card->index ? "NVIDIA Small (played)" : "NVIDIA Large (played)");
}

API int nvmlDeviceGetUtilizationRates(void *device, c_nvmlUtilization_t *out) {
    OF_CARD(device, NVML_SUCCESS);
    out->gpu = load(card->index);
    out->memory = load(card->index) / 3;
    return NVML_SUCCESS;
}

API int nvmlDeviceGetEncoderUtilization(void *device, unsigned *busy, unsigned *period) {
    OF_CARD(device, REFUSED);
    *busy = 20 + load(0) / 10;
    *period = 167000;
    return NVML_SUCCESS;
}

API int nvmlDeviceGetDecoderUtilization(void *device, unsigned *busy, unsigned *period) {
    OF_CARD(device, REFUSED);
    *busy = 5 + load(0) / 20;
    *period = 167000;
    return NVML_SUCCESS;
}

API int nvmlDeviceGetMemoryInfo_v2(void *device, c_nvmlMemory_v2_t *out) {
    OF_CARD(device, NVML_SUCCESS);
    if (out->version != nvmlMemory_v2) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    out->total = card->index ? 12 * GIB : 48 * GIB;
    out->reserved = GIB / 2;
    out->used = (card->index ? 5 : 25) * GIB + load(card->index) * (GIB / 16);
    out->free = out->total - out->reserved - out->used;
    return NVML_SUCCESS;
}

API int nvmlDeviceGetTemperature(void *device, unsigned sensor, unsigned *out) {
    OF_CARD(device, NVML_SUCCESS);
    if (sensor != NVML_TEMPERATURE_GPU) return NVML_ERROR_INVALID_ARGUMENT;
    *out = 38 + load(card->index) / (card->index ? 3 : 2);
    return NVML_SUCCESS;
}

API int nvmlDeviceGetPowerUsage(void *device, unsigned *out) {
    OF_CARD(device, NVML_SUCCESS);
    *out = card->index ? 18250 + load(1) * 500 : 31125 + load(0) * 2650;
    return NVML_SUCCESS;
}

API int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *out) {
    OF_CARD(device, REFUSED);
    *out = 300000;
    return NVML_SUCCESS;
}

API int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *out) {
    OF_CARD(device, REFUSED);
    *out = (unsigned long long)(now() * 163000);
    return NVML_SUCCESS;
}

API int nvmlDeviceGetClockInfo(void *device, unsigned which, unsigned *out) {
    OF_CARD(device, which == NVML_CLOCK_MEM ? REFUSED : NVML_SUCCESS);
    unsigned busy = load(card->index);
    if (which == NVML_CLOCK_SM) *out = busy < 5 ? 210 : busy > 85 ? 2520 - (busy - 85) * 20 : 2520;
    else if (which == NVML_CLOCK_MEM) *out = busy < 5 ? 405 : 9001;
    else return NVML_ERROR_INVALID_ARGUMENT;
    return NVML_SUCCESS;
}

API int nvmlDeviceGetNumFans(void *device, unsigned *out) {
    OF_CARD(device, REFUSED);
    *out = 2;
    return NVML_SUCCESS;
}

API int nvmlDeviceGetFanSpeed_v2(void *device, unsigned fan, unsigned *out) {
    OF_CARD(device, REFUSED);
    if (fan > 1) return NVML_ERROR_INVALID_ARGUMENT;
    *out = 30 + 5 * fan + load(0) / 2;
    return NVML_SUCCESS;
}

API int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *out) {
    OF_CARD(device, NVML_SUCCESS);
    unsigned busy = load(card->index);
    *out = (busy < 5 ? nvmlClocksEventReasonGpuIdle : 0) | (busy > 85 ? nvmlClocksEventReasonSwPowerCap : 0)
        | (busy > 95 && !card->index ? nvmlClocksEventReasonSwThermalSlowdown | nvmlClocksEventReasonHwSlowdown : 0);
    return NVML_SUCCESS;
}

API int nvmlDeviceGetTotalEccErrors(void *device, unsigned severity, unsigned since, unsigned long long *out) {
    OF_CARD(device, REFUSED);
    unsigned long long lately = (unsigned long long)now() / (severity == NVML_MEMORY_ERROR_TYPE_CORRECTED ? 15 : 120);
    *out = lately + (since == NVML_VOLATILE_ECC ? 0 : 1000);
    return NVML_SUCCESS;
}

API int nvmlDeviceGetPcieThroughput(void *device, unsigned which, unsigned *out) {
    OF_CARD(device, REFUSED);
    *out = which == NVML_PCIE_UTIL_RX_BYTES ? 120000 + load(0) * 41000 : 40000 + load(0) * 7000;
    return NVML_SUCCESS;
}

static int running(int card, int graphics, unsigned *size, c_nvmlProcessInfo_v2_t *out) {
    struct process found[16];
    int n = processes(card, graphics, found, 16);
    unsigned room = *size;
    *size = (unsigned)n;
    if (n && (!out || room < (unsigned)n)) return NVML_ERROR_INSUFFICIENT_SIZE;
    for (int i = 0; i < n; i++)
        out[i] = (c_nvmlProcessInfo_v2_t){.pid = found[i].pid, .usedGpuMemory = (unsigned long long)found[i].bytes, .gpuInstanceId = ~0u, .computeInstanceId = ~0u};
    return NVML_SUCCESS;
}

API int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *size, c_nvmlProcessInfo_v2_t *out) {
    OF_CARD(device, NVML_SUCCESS);
    return running(card->index, 0, size, out);
}

API int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *size, c_nvmlProcessInfo_v2_t *out) {
    OF_CARD(device, NVML_SUCCESS);
    return running(card->index, 1, size, out);
}

/* ---- errors that the driver reports ---- */

API int nvmlDeviceGetSupportedEventTypes(void *device, unsigned long long *out) {
    OF_CARD(device, NVML_SUCCESS);
    *out = nvmlEventTypePState | nvmlEventTypeXidCriticalError | nvmlEventTypeClock;
    return NVML_SUCCESS;
}

API int nvmlEventSetCreate(void **out) {
    OPEN(-1, NVML_SUCCESS);
    *out = calloc(1, sizeof(struct events));
    return *out ? NVML_SUCCESS : NVML_ERROR_MEMORY;
}

API int nvmlDeviceRegisterEvents(void *device, unsigned long long types, void *set) {
    OF_CARD(device, NVML_SUCCESS);
    struct events *events = set;
    int whose;
    if (!events || !(types & nvmlEventTypeXidCriticalError)) return NVML_ERROR_INVALID_ARGUMENT;
    /* What happened before is not told. */
    while (!events->cards && xid(events->seen, &whose)) events->seen++;
    events->cards |= 1u << card->index;
    return NVML_SUCCESS;
}

API int nvmlEventSetWait_v2(void *set, c_nvmlEventData_t *out, unsigned milliseconds) {
    struct events *events = set;
    OPEN(-1, NVML_SUCCESS);
    for (int card = 0; card < CARDS; card++)
        if (events->cards & 1u << card) OPEN(card, NVML_SUCCESS);
    for (unsigned waited = 0;; waited += 10) {
        int whose;
        unsigned long long value;
        while ((value = xid(events->seen, &whose))) {
            events->seen++;
            if (whose < 0 || whose >= CARDS || !(events->cards & 1u << whose)) continue;
            *out = (c_nvmlEventData_t){.device = &cards[whose], .eventType = nvmlEventTypeXidCriticalError, .eventData = value, .gpuInstanceId = ~0u, .computeInstanceId = ~0u};
            return NVML_SUCCESS;
        }
        if (waited >= milliseconds) return NVML_ERROR_TIMEOUT;
        usleep(10000);
    }
}

API int nvmlEventSetFree(void *set) {
    free(set);
    return NVML_SUCCESS;
}
