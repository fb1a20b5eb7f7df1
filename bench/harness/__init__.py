# SPDX-License-Identifier: Apache-2.0
"""The end-to-end benchmark: peers, cells, measuring and reporting."""
