/* Runs an exported policy bare on a Cortex-M4F: self-test, actions of a file of observations, stack and time.
 * Files and console are the host's, through semihosting. Exit status: 0 or the number of the step that failed. */
#include <stdint.h>
#include <string.h>

#include "policy.h"

#define MOST_ROWS 10000
#define SYSTICK_CTRL (*(volatile uint32_t *)0xE000E010)
#define SYSTICK_LOAD (*(volatile uint32_t *)0xE000E014)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018)
#define CPACR (*(volatile uint32_t *)0xE000ED88)
#define PAINT 0xA5A5A5A5u
#define PAINTED_WORDS 2048

extern uint32_t _stack_top[];
static float observation[MOST_ROWS][POLICY_OBSERVATION_SIZE];
static float action[MOST_ROWS][POLICY_ACTION_SIZE];

#ifdef POLICY_MEMORY_SIZE
static policy_memory memory;
#define RESET() policy_reset(&memory)
#define ACT(row) policy_act(observation[row], &memory, action[row])
#else
#define RESET()
#define ACT(row) policy_act(observation[row], action[row])
#endif

void reset(void);
static void fault(void);
__attribute__((section(".vectors"), used)) static void *const vectors[] = {_stack_top, (void *)reset, (void *)fault,
                                                                           (void *)fault, (void *)fault, (void *)fault,
                                                                           (void *)fault};

static int host(int operation, const void *argument) {
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void leave(uint32_t status) {
    const uint32_t block[2] = {0x20026u, status};
    host(0x20, block);
    for (;;) {
    }
}

static void fault(void) { leave(99); }

static uint32_t file(const char *name, uint32_t mode, uint32_t operation, void *data, uint32_t size) {
    const uint32_t opening[3] = {(uint32_t)name, mode, strlen(name)};
    const uint32_t handle = (uint32_t)host(0x01, opening);
    const uint32_t block[3] = {handle, (uint32_t)data, size};
    const uint32_t left = (uint32_t)host((int)operation, block);
    host(0x02, &handle);
    return size - left;
}

static void report(const char *name, uint32_t value) {
    char digits[12] = {0};
    int place = 10;
    do {
        digits[place--] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    host(0x04, name);
    host(0x04, " ");
    host(0x04, digits + place + 1);
    host(0x04, "\n");
}

static uint32_t *stack_here(void) {
    uint32_t *pointer;
    __asm__ volatile("mov %0, sp" : "=r"(pointer));
    return pointer;
}

__attribute__((noinline)) static uint32_t stack_of_one_call(void) {
    uint32_t *const here = stack_here();
    for (uint32_t *word = here - PAINTED_WORDS; word < here; ++word) {
        *(volatile uint32_t *)word = PAINT;
    }
    ACT(0);
    const uint32_t *deepest = here - PAINTED_WORDS;
    while (*(const volatile uint32_t *)deepest == PAINT) {
        ++deepest;
    }
    return (uint32_t)(here - deepest) * 4u;
}

static void run(void) {
    const int failed = policy_self_test();
    report("self_test", (uint32_t)failed);
    if (failed) {
        leave(1);
    }
    const uint32_t rows = file("observation.bin", 1, 0x06, observation, sizeof observation) / sizeof observation[0];
    RESET();
    report("stack", stack_of_one_call());
    RESET();
    SYSTICK_LOAD = 0xFFFFFF;
    SYSTICK_VALUE = 0;
    SYSTICK_CTRL = 5;
    const uint32_t before = SYSTICK_VALUE;
    for (uint32_t row = 0; row < rows; ++row) {
        if (ACT(row) != POLICY_OK) {
            leave(2);
        }
    }
    report("ticks", (before - SYSTICK_VALUE) & 0xFFFFFF);
    report("rows", rows);
    file("action.bin", 5, 0x05, action, rows * sizeof action[0]);
    leave(0);
}

void reset(void) {
    CPACR |= 0xFu << 20; /* the floating-point unit is off at reset */
    __asm__ volatile("dsb\n isb" ::: "memory");
    run();
}
