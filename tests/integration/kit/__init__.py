# SPDX-License-Identifier: Apache-2.0
"""Servers, clients and the proxy's process for the integration tests."""
