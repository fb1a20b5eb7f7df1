// SPDX-License-Identifier: Apache-2.0
// The buffers that the packet ports of a worker share.
#include "io/packet/packet_domain.h"

#include <errno.h>
#include <stdlib.h>

struct packet_domain *packet_domain_new(unsigned count)
{
	struct packet_domain *domain = calloc(1, sizeof(*domain));

	if (!domain)
		return NULL;
	if (count < 2 * PACKET_BURST)
		count = 2 * PACKET_BURST;
	domain->count = count;
	domain->memory = malloc((size_t)count * PACKET_STRIDE);
	domain->buffers = calloc(count, sizeof(*domain->buffers));
	domain->kernel = packet_kernel_scratch_new();
	if (!domain->memory || !domain->buffers || !domain->kernel) {
		packet_domain_free(domain);
		return NULL;
	}
	for (unsigned i = count; i-- > 0;) {
		domain->buffers[i].domain = domain;
		packet_buffer_free(&domain->buffers[i]);
	}
	return domain;
}

void packet_domain_free(struct packet_domain *domain)
{
	if (!domain)
		return;
	packet_kernel_scratch_free(domain->kernel);
	free(domain->buffers);
	free(domain->memory);
	free(domain);
}

unsigned packet_domain_idle(const struct packet_domain *domain)
{
	return domain->idle_count + domain->armed;
}

struct packet_buffer *packet_buffer_take(struct packet_domain *domain)
{
	struct packet_buffer *buffer = domain->idle;

	if (!buffer)
		return NULL;
	domain->idle = buffer->next;
	domain->idle_count--;
	buffer->next = NULL;
	buffer->refs = 1;
	return buffer;
}

void packet_buffer_free(struct packet_buffer *buffer)
{
	struct packet_domain *domain = buffer->domain;

	buffer->refs = 0;
	buffer->next = domain->idle;
	domain->idle = buffer;
	domain->idle_count++;
}

int packet_alloc(struct packet_domain *domain, struct packet *ret_packet)
{
	struct packet_buffer *buffer = packet_buffer_take(domain);

	if (!buffer)
		return -ENOBUFS;
	*ret_packet = (struct packet){
		.data = packet_buffer_data(buffer), .buffer = buffer, .headroom = PACKET_HEADROOM};
	return 0;
}
