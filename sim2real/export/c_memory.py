"""The memory of a policy in C: its type, its step, and its part of the self-test, as text."""

from __future__ import annotations

from policies.actor_critic import ActorCritic
from policies.spec import PolicySpec

_SIZE = "#define @MACRO@_MEMORY_SIZE @MEMORY_WIDTH@ /* floats of a @NAME@_memory */\n"
_TYPE = """/* What the policy carries from step to step. */
typedef struct {
    float values[@MACRO@_MEMORY_SIZE];
} @NAME@_memory;

/* Empties a memory. Call it before the first step of every flight. */
void @NAME@_reset(@NAME@_memory *memory);

"""
_RESET = """void @NAME@_reset(@NAME@_memory *memory) {
    memset(memory, 0, sizeof *memory);
}

"""
_GRU = """static float @NAME@_sigmoid(float x) {
    return 0.5f + 0.5f * @TANH_OF@(0.5f * x);
}

static float @NAME@_gate(const float *row, float bias, const float *in, int inputs) {
    float sum = 0.0f;
    for (int i = 0; i < inputs; ++i) {
        sum += row[i] * in[i];
    }
    return sum + bias;
}

static float @NAME@_by_input(const float *in, int row) {
    return @NAME@_gate(@NAME@_weight_ih_@GRU@[row], @NAME@_bias_ih_@GRU@[row], in, @GRU_INPUTS@);
}

static float @NAME@_by_state(const float *state, int row) {
    return @NAME@_gate(@NAME@_weight_hh_@GRU@[row], @NAME@_bias_hh_@GRU@[row], state, @MACRO@_MEMORY_SIZE);
}

/* One step of a GRU: r, z = sigmoid(W x + b + U h + c), n = tanh(W x + b + r (U h + c)), h' = n + z (h - n). */
static void @NAME@_gru(const float *in, const float *state, float *out) {
    const int units = @MACRO@_MEMORY_SIZE;
    for (int o = 0; o < units; ++o) {
        const float reset = @NAME@_sigmoid(@NAME@_by_input(in, o) + @NAME@_by_state(state, o));
        const float update = @NAME@_sigmoid(@NAME@_by_input(in, units + o) + @NAME@_by_state(state, units + o));
        const float kept = reset * @NAME@_by_state(state, 2 * units + o);
        const float fresh = @TANH_OF@(@NAME@_by_input(in, 2 * units + o) + kept);
        out[o] = fresh + update * (state[o] - fresh);
    }
}

"""
_PAST = """#define @MACRO@_STEP_SIZE (@MACRO@_OBSERVATION_SIZE + @MACRO@_ACTION_SIZE)

/* Writes a history with normalised observations. */
static void @NAME@_past(const @NAME@_memory *memory, float *out) {
    for (int k = 0; k < @MACRO@_MEMORY_SIZE; ++k) {
        const int i = k % @MACRO@_STEP_SIZE;
        out[k] = memory->values[k];
        if (i < @MACRO@_OBSERVATION_SIZE) {
            const float centred = @NAME@_clip(out[k], -1e18f, 1e18f) - @NAME@_observation_mean[i];
            out[k] = @NAME@_clip(centred * @NAME@_observation_scale[i], -@CLIP@, @CLIP@);
        }
    }
}

"""
_READ_PAST = "    @NAME@_past(memory, a + @MACRO@_OBSERVATION_SIZE);\n"
_SHIFT = """    memmove(memory->values + @MACRO@_STEP_SIZE, memory->values,
            (@MACRO@_MEMORY_SIZE - @MACRO@_STEP_SIZE) * sizeof memory->values[0]);
"""
_REMEMBER = """    memcpy(memory->values, observation, @MACRO@_OBSERVATION_SIZE * sizeof memory->values[0]);
    for (int i = 0; i < @MACRO@_ACTION_SIZE; ++i) {
        memory->values[@MACRO@_OBSERVATION_SIZE + i] = @NAME@_clip(@LAST@[i], -1.0f, 1.0f);
    }
"""
_TEST_MEMORY = """    @NAME@_memory memory;
    @NAME@_reset(&memory);
"""
_TEST_RESET = """        if (k % @GOLDEN_STEPS@ == 0) {
            @NAME@_reset(&memory);
        }
"""
_TEST_KEPT = """        if (memcmp(&memory, &before, sizeof memory) != 0) {
            return @GOLDEN_PLUS_1@;
        }
"""
_IN_HEADER = {
    "MEMORY_SIZE": _SIZE,
    "MEMORY_TYPE": _TYPE,
    "OR_MEMORY": " or the memory",
    "BUT_MEMORY": "but the memory\n * ",
    "MEMORY_PARAMETER": "@NAME@_memory *memory, ",
    "OF_SEQUENCES": " (@GOLDEN_STEPS@ steps from an empty memory each)",
}
_IN_SOURCE = {
    "MEMORY_PARAMETER": "@NAME@_memory *memory, ",
    "MEMORY_FUNCTIONS": _RESET,
    "READ_PAST": "",
    "REMEMBER": "",
    "TEST_MEMORY": _TEST_MEMORY,
    "TEST_RESET": _TEST_RESET,
    "TEST_PASS": "&memory, ",
    "TEST_BEFORE": "    const @NAME@_memory before = memory;\n",
    "TEST_KEPT": _TEST_KEPT,
}


def header_words(spec: PolicySpec) -> dict[str, str]:
    """What the words of policy.h.in are replaced by; empty texts without memory."""
    return dict(_IN_HEADER) if spec.memory_width else dict.fromkeys(_IN_HEADER, "")


def source_words(spec: PolicySpec) -> dict[str, str]:
    """What the words of policy.c.in are replaced by; empty texts without memory."""
    if not spec.memory_width:
        return dict.fromkeys(_IN_SOURCE, "")
    if spec.memory == "gru":
        return _IN_SOURCE | {"MEMORY_FUNCTIONS": _GRU + _RESET}
    shift = _SHIFT if spec.memory_size > 1 else ""
    return _IN_SOURCE | {
        "MEMORY_FUNCTIONS": _PAST + _RESET,
        "READ_PAST": _READ_PAST,
        "REMEMBER": shift + _REMEMBER,
    }


def memory_values(policy: ActorCritic, golden_steps: int, tanh: str) -> dict[str, str]:
    """Values of the words inside these texts.

    Args:
        policy: The policy.
        golden_steps: Steps of a golden sequence.
        tanh: Name of the function in C.
    """
    inputs = policy.actor[-2].input_size if policy.spec.memory == "gru" else 0
    return {
        "MEMORY_WIDTH": str(policy.spec.memory_width),
        "GOLDEN_STEPS": str(golden_steps),
        "GRU": str(len(policy.actor) - 2),
        "GRU_INPUTS": str(inputs),
        "TANH_OF": tanh,
    }
