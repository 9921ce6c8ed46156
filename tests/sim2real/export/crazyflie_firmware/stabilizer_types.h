/* The part of the firmware's types that an exported controller uses, under the firmware's names, for tests on the host. */
#ifndef STABILIZER_TYPES_H
#define STABILIZER_TYPES_H

#include <stdbool.h>
#include <stdint.h>

typedef struct { float x, y, z; } Axis3f;
typedef struct { uint32_t timestamp; float x, y, z; } vector_t;
typedef struct { uint32_t timestamp; float roll, pitch, yaw; } attitude_t;
typedef struct { float x, y, z, w; } quaternion_t;
typedef struct { Axis3f gyro; } sensorData_t;
typedef struct { quaternion_t attitudeQuaternion; vector_t position, velocity; } state_t;
typedef enum { controlModeLegacy, controlModeForceTorque, controlModeForce } control_mode_t;
typedef struct { float normalizedForces[4]; control_mode_t controlMode; } control_t;
typedef enum { modeDisable, modeAbs, modeVelocity } stab_mode_t;
typedef struct { stab_mode_t x, y, z, roll, pitch, yaw, quat; } setpoint_mode_t;
typedef struct {
    uint32_t timestamp;
    attitude_t attitude, attitudeRate;
    float thrust;
    vector_t position, velocity;
    bool velocity_body;
    setpoint_mode_t mode;
} setpoint_t;

#endif
