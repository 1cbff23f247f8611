/* Kernels with one fault each, all rectifiers in place. */
#include <stdint.h>

#ifdef BROKEN
#error "these options do not compile"
#endif

static void rectify(int8_t *data, int length)
{
  for (int i = 0; i < length; i++) {
    data[i] = data[i] < 0 ? 0 : data[i];
  }
}

int right(int8_t *data, int length)
{
  rectify(data, length);
  return 0;
}

int wrong(int8_t *data, int length)
{
  rectify(data, length);
  data[length / 2]++;
  return 0;
}

int refuses(int8_t *data, int length)
{
  return data[0] - data[0] + length;
}

int faults(int8_t *data, int length)
{
  data[0] = (int8_t)length;
  return *(volatile int *)0x90000000;
}

int overflows(int8_t *data, int length)
{
  volatile char room[300];
  room[0] = data[0];
  return length == 0 ? 0 : 1 + overflows(data, length - 1) + room[0];
}

int endless(volatile int8_t *data, int length)
{
  while (length > 0) {
    data[0]++;
  }
  return 0;
}
