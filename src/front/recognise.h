// SPDX-License-Identifier: Apache-2.0
// Tells what a client speaks and gives its session to the driver.
#pragma once

struct driver;
struct session;
struct snap_listener;

// Bytes came, or the client ended, and no driver has the session yet.
void recognise(struct session *session);
// The configured wait passed without enough bytes: whatever it is, it goes as raw TCP.
void recognise_silent(struct session *session);
// Just accepted: a listener that takes nothing but raw TCP needs no byte to decide.
void recognise_at_once(struct session *session, const struct snap_listener *listener);

// In session.c: the driver takes over.
void session_drive(struct session *session, const struct driver *driver);
