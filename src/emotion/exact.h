/* emotion/exact.h: exp and log that give the same bits on every machine.
 *
 * The C library may round exp(0.3) one way here and another way there; a text whose two best feelings lie close together
 * would then change its code with the machine, and the shipped table would depend on who built it. These two use nothing
 * but +, -, * and / on doubles, which IEEE 754 fixes to the last bit as long as no multiply-add is fused (the build says
 * -ffp-contract=off). They are right to about 1e-15 relative, which is far more than eight probabilities of four digits ask.
 * sqrt() is exact by the standard and may be used directly. */
#ifndef WEIR_EMOTION_EXACT_H
#define WEIR_EMOTION_EXACT_H
#include <stdint.h>
#include <string.h>

/* e to the x; 0 below -700, and x is clamped to 700 above, so the result is always finite */
static inline double exact_exp(double x)
{
    if (!(x >= -700.0))          /* also catches a NaN */
        return 0.0;
    if (x > 700.0)
        x = 700.0;
    /* x = k ln 2 + r with |r| <= 0.35; ln 2 in two parts, so that k times the first one is exact */
    double scaled = x * 1.44269504088896340736;
    int k = (int)(scaled >= 0 ? scaled + 0.5 : scaled - 0.5);
    double r = (x - (double)k * 6.93147180369123816490e-01) - (double)k * 1.90821492927058770002e-10;
    double sum = 1.0;
    for (int i = 14; i >= 1; i--)
        sum = 1.0 + sum * (r / (double)i);
    uint64_t bits = (uint64_t)(k + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

/* the natural logarithm of a positive, normal x; -708 for anything else */
static inline double exact_log(double x)
{
    if (!(x >= 2.3e-308))
        return -708.0;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int k = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffULL) | 0x3ff0000000000000ULL;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.41421356237309505) {
        m = m / 2;
        k++;
    }
    double t = (m - 1) / (m + 1), square = t * t, sum = 0;       /* ln m = 2 artanh t, |t| <= 0.172 */
    for (int i = 21; i >= 1; i -= 2)
        sum = sum * square + 1.0 / (double)i;
    return 2 * t * sum + (double)k * 0.693147180559945309417;
}

#endif
