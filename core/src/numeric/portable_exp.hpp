// exp() with the same bits on every target: their libraries differ in the last one now and then.
#pragma once

namespace regauge {

// e^x, rounded to 32 bits of mantissa.
double portableExp(double x);

}  // namespace regauge
