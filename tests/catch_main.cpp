// Only built with Catch2 2.x, which brings no main of its own.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
