/* One call of the controller with plain arrays. */
#include <string.h>

#include "controller.h"
#include "controller_pid.h"

static setpoint_t asked;
static int pid_calls;

void controllerPidInit(void) { pid_calls = 0; }
bool controllerPidTest(void) { return true; }
void controllerPid(control_t *control, const setpoint_t *setpoint, const sensorData_t *sensors, const state_t *state,
                   const uint32_t tick) {
    (void)sensors;
    (void)state;
    (void)tick;
    asked = *setpoint;
    ++pid_calls;
    memset(control, 0, sizeof *control);
    control->controlMode = controlModeLegacy;
}

int tick_once(const float *motion, const float *target, uint32_t timestamp, int mode, uint32_t tick, float *out);
void last_asked(float *out);

/* motion: position, velocity, quaternion wxyz, body rates in degrees; out: four forces. Returns the control mode. */
int tick_once(const float *motion, const float *target, uint32_t timestamp, int mode, uint32_t tick, float *out) {
    state_t state;
    sensorData_t sensors;
    setpoint_t setpoint;
    control_t control;
    memset(&state, 0, sizeof state);
    memset(&setpoint, 0, sizeof setpoint);
    memset(&control, 0xFF, sizeof control);
    memcpy(&state.position.x, motion, 3 * sizeof *motion);
    memcpy(&state.velocity.x, motion + 3, 3 * sizeof *motion);
    state.attitudeQuaternion.w = motion[6];
    memcpy(&state.attitudeQuaternion.x, motion + 7, 3 * sizeof *motion);
    memcpy(&sensors.gyro.x, motion + 10, 3 * sizeof *motion);
    memcpy(&setpoint.position.x, target, 3 * sizeof *target);
    setpoint.timestamp = timestamp;
    setpoint.mode.x = setpoint.mode.y = setpoint.mode.z = (stab_mode_t)mode;
    controllerOutOfTree(&control, &setpoint, &sensors, &state, tick);
    memcpy(out, control.normalizedForces, sizeof control.normalizedForces);
    return (int)control.controlMode;
}

/* Calls of the PID controller so far, modes x, z, roll, yaw, rates of roll, pitch, yaw, thrust, velocity, velocity_body. */
void last_asked(float *out) {
    const float values[12] = {(float)pid_calls, (float)asked.mode.x, (float)asked.mode.z, (float)asked.mode.roll,
                              (float)asked.mode.yaw, asked.attitudeRate.roll, asked.attitudeRate.pitch,
                              asked.attitudeRate.yaw, asked.thrust, asked.velocity.x, asked.velocity.z,
                              (float)asked.velocity_body};
    memcpy(out, values, sizeof values);
}
