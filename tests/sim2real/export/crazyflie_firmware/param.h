/* Parameters: here a function through which a test sets policy.fly. */
#define PARAM_UINT8 0
#define PARAM_GROUP_START(name) void set_##name(uint8_t value); void set_##name(uint8_t value) {
#define PARAM_ADD(type, name, address) *(address) = value;
#define PARAM_GROUP_STOP(name) }
