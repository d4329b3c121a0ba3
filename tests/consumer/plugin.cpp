// A shared library that has regauge inside, and reads a gauge from this machine's files.
#include "regauge/error.hpp"
#include "regauge/io/gauge_json.hpp"
#include "regauge/native_files.hpp"
#include "regauge/version.hpp"

#if REGAUGE_VERSION_MAJOR == 0 && REGAUGE_VERSION_MINOR < 1
#error "this is not the version that was asked for"
#endif

// The width of the gauge in a file; 0 where there is no such gauge.
std::size_t widthOf(const std::string& path) {
    try {
        return regauge::readGauge(regauge::NativeFiles(), path).gauge.d();
    } catch (const regauge::Error&) {
        return 0;
    }
}
