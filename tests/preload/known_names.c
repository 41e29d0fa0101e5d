/* Random numbers that everybody knows: what an attacker would need who plants something at the name of a temporary file.
 * A library for LD_PRELOAD.
 */
#include <stddef.h>
#include <string.h>

int getentropy(void *room, size_t length) {
    memset(room, 0xab, length);
    return 0;
}
