// Prints the report of a made-up run with something in every section, names that are not nice
// included: "sample_report", or of a run without anything: "sample_report empty".
#include <cstdio>
#include <string_view>

#include "analysis/outputs.h"
#include "sample_results.h"

int main(int argc, char** argv) {
  using namespace weft::analysis;
  Results results;
  if (argc < 2 || std::string_view(argv[1]) != "empty") {
    results = sample_results();
    results.traffic[1].name = "</script><script>alert(1)</script>\"'&";
    results.nodes[0].name = "<img src=x onerror=alert(1)>";
  }
  std::fputs(report_html(results).c_str(), stdout);
  return 0;
}
