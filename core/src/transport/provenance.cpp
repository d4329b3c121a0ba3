#include "transport/provenance.hpp"

namespace regauge {

std::string recordAfter(const std::string& record, const Gauge& gauge) {
    if (gauge.isIdentity()) return record;
    const std::size_t comma = record.rfind(',');
    const std::string last = comma == std::string::npos ? record : record.substr(comma + 1);
    if (!last.empty() && last == gauge.inverse().fingerprint())
        return comma == std::string::npos ? "" : record.substr(0, comma);
    return record.empty() ? gauge.fingerprint() : record + "," + gauge.fingerprint();
}

}  // namespace regauge
