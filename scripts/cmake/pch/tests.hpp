// What most unit tests include of others (HAMAL_PCH).
#pragma once
#include "standard.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
