#include "progress_bar.hpp"

#include <memory>
#include <string>

namespace regauge {

Progress progressBar(Host& host) {
    struct Bar {
        Host& host;
        std::string shown;
        ~Bar() {
            if (!shown.empty()) host.err("\r" + std::string(shown.size(), ' ') + "\r");
        }
    };
    auto bar = std::make_shared<Bar>(Bar{host, {}});
    return Progress([bar](std::string_view stage, std::uint64_t done, std::uint64_t total) {
        if (bar->host.errIsTerminal && total > 0) {
            constexpr std::uint64_t width = 30;
            const auto share = static_cast<double>(done) / static_cast<double>(total);
            const auto filled = static_cast<std::size_t>(share * width);
            std::string line = std::string(filled, '=') + std::string(width - filled, ' ');
            line = "[" + line + "] " + std::to_string(static_cast<int>(share * 100)) + " % " + std::string(stage);
            if (line != bar->shown) {  // redraw only what changed
                const std::size_t leftover = bar->shown.size() > line.size() ? bar->shown.size() - line.size() : 0;
                bar->host.err("\r" + line + std::string(leftover, ' '));
                bar->shown = line;
            }
        }
        return !bar->host.cancelled();
    });
}

}  // namespace regauge
