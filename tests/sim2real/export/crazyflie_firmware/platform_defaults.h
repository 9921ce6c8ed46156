#define THRUST_MAX 0.2f /* [N] */
