// SPDX-License-Identifier: Apache-2.0
// The bodies of the extensions that are read; for this room.
#pragma once

#include "proto/tlshello/tlshello.h"

enum tlshello_extension {
	TLSHELLO_EXTENSION_SERVER_NAME = 0,
	TLSHELLO_EXTENSION_ALPN = 16,
	TLSHELLO_EXTENSION_EARLY_DATA = 42,
	TLSHELLO_EXTENSION_SUPPORTED_VERSIONS = 43,
	TLSHELLO_EXTENSION_ECH = 0xfe0d,
};

// Each takes the whole body and fills the result in `t`: 0 or -TLSHELLO_E_x.
int tlshello_read_server_name(struct tlshello *t, const uint8_t *data, size_t len);
int tlshello_read_alpn(struct tlshello *t, const uint8_t *data, size_t len);
int tlshello_read_versions(struct tlshello *t, const uint8_t *data, size_t len);
